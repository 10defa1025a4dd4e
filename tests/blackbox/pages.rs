//! HTML rewriting of the origin's pages: the banner, the guard, third-party tags.

use crate::support::{Origin, Proxy, Reply, consent_cookie, request};

const HTML: &str =
    "<!doctype html><html><head><title>Shop</title></head><body><h1>Shop</h1></body></html>";
const BANNER: &str = "[banner]\nenabled = true\n";
const GUARD: &str = "[page]\nguard = true\n";

/// A page as sent by the origin, with these header lines.
pub fn page(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{head}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn html() -> Vec<u8> {
    page(
        "Content-Type: text/html; charset=utf-8\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n",
        HTML.as_bytes(),
    )
}

/// A browser's page request, with these additional fields.
pub fn load(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut all = vec![
        ("Accept", "text/html"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    all.retain(|(name, _)| !fields.iter().any(|(other, _)| other == name));
    all.extend(fields.iter().filter(|(_, value)| !value.is_empty()));
    proxy.get(path, &all)
}

#[test]
fn undecided_visitors_get_the_banner_last_in_the_body() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start(&origin, BANNER);
    let reply = load(
        &proxy,
        "/shop?a=1&b=%22",
        &[
            ("Accept-Language", "de"),
            ("If-None-Match", "\"a\""),
            ("If-Modified-Since", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ],
    );
    let text = reply.text();
    assert_eq!(reply.status, 200);
    for expected in [
        "<body><h1>Shop</h1><consentry-banner class=\"consentry-banner\" lang=\"de\" ",
        "<template shadowrootmode=\"open\"><style>:host{",
        "<form method=\"post\" action=\"/.consentry/\" target=\"_top\"><input type=\"hidden\" name=\"choice\" value=\"accept\">",
        "name=\"return_to\" value=\"/shop?a=1&#38;b=%22\"",
        "<button value=\"accept\">Alle akzeptieren</button></form><form method=\"post\" action=\"/.consentry/\" target=\"_top\"><input type=\"hidden\" name=\"choice\" value=\"reject\">",
        "<button value=\"reject\">Alle ablehnen</button></form>",
        "href=\"/.consentry/?lang=de&#38;return_to=%2Fshop%3Fa%3D1%26b%3D%2522\" target=\"_top\">Einstellungen</a>",
        "</section></consentry-banner></body></html>",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    assert!(text.is_ascii() && !text.contains("<script"));
    assert_eq!(reply.field("etag").as_deref(), Some("W/\"a\""));
    assert_eq!(reply.field("cache-control").as_deref(), Some("no-store, private"));
    assert_eq!(reply.field("content-length"), None);
    // The browser's cached copy is not valid for this visitor.
    let received = origin.next_request();
    assert_eq!(
        (received.field("if-none-match"), received.field("if-modified-since")),
        (None, None)
    );
    proxy.expect_metric("consentry_pages_total{site=\"default\",outcome=\"banner\"}", 1.0);
    let style = proxy.get("/.consentry/banner.css", &[]);
    assert!(style.text().contains(":host{") && style.status == 200);
    let style = proxy.get("/.consentry/banner.css?page", &[]);
    assert!(style.text().contains("html{scroll-padding-bottom:") && style.status == 200);
}

#[test]
fn the_banner_is_one_element_of_at_most_3500_bytes_compressed_in_each_language() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start(&origin, BANNER);
    for lang in ["de", "en", "es", "fr", "hu", "it", "ja", "ko", "nl", "pl", "pt-BR", "ru", "zh"] {
        let text = load(&proxy, "/", &[("Accept-Language", lang)]).text();
        let (before, rest) = text.split_once("<consentry-banner ").unwrap();
        let (banner, after) = rest.split_once("</consentry-banner>").unwrap();
        assert_eq!(format!("{before}{after}"), HTML, "no text around it");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, banner.as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap().len();
        assert!(bytes <= 3500, "{lang}: {bytes}");
        assert!(!text.contains("name=\"token\""), "tokens are in the preference centre only");
    }
}

#[test]
fn beside_a_foreign_base_links_and_forms_have_the_visited_scheme_and_host() {
    let html = "<html><head><base href=\"https://other.example/x/\"></head><body></body></html>";
    let origin = Origin::responding(page("Content-Type: text/html\r\n", html.as_bytes()));
    let proxy =
        Proxy::start(&origin, &format!("{BANNER}[listen]\ntrusted_proxies = ['127.0.0.1']\n"));
    for (proto, site) in [("http", "http://shop.example"), ("https", "https://shop.example")] {
        let fields = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", proto)];
        let text = load(&proxy, "/", &fields).text();
        assert_eq!(text.matches(&format!(" action=\"{site}/.consentry/\"")).count(), 4, "{text}");
        assert_eq!(text.matches(&format!(" href=\"{site}/.consentry/")).count(), 4, "{text}");
        assert!(!text.contains("=\"/.consentry/"), "{text}");
    }
}

#[test]
fn compressed_pages_do_not_reflect_the_url_and_visitors_still_return_to_it() {
    let secret = "csrf=9f3kQz71LmXw";
    let html = format!("<html><head></head><body><input value=\"{secret}\"></body></html>");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, html.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let origin =
        Origin::responding(page("Content-Type: text/html\r\nContent-Encoding: gzip\r\n", &gzip));
    let proxy = Proxy::start(&origin, BANNER);
    let body = |path: &str| load(&proxy, path, &[("Accept-Encoding", "gzip")]).body;
    let guessed = body(&format!("/account?{secret}"));
    for other in ["/account?csrf=AAAAAAAABBBB", "/csrf=9f3kQz71LmXw?csrf=9f3kQz71LmXw", "/"] {
        assert_eq!(body(other).len(), guessed.len(), "{other}");
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&guessed[..]), &mut text)
        .unwrap();
    assert!(text.contains("consentry-banner") && !text.contains("/account"), "{text}");

    let choose = |referer: &str| {
        let form = "banner=1&lang=en&choice=reject";
        let length = form.len().to_string();
        let mut client = proxy.connect();
        client.send(&request(
            "POST",
            "/.consentry/",
            &[
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Content-Length", &length),
                ("Sec-Fetch-Site", "same-origin"),
                ("Referer", referer),
            ],
        ));
        client.send(form.as_bytes());
        client.reply("POST").field("location").unwrap()
    };
    assert_eq!(choose("http://shop.example/account?item=1"), "/account?item=1");
    assert_eq!(choose("http://evil.example/account?item=1"), "/");
    assert_eq!(choose(""), "/");
    let centre =
        proxy.get("/.consentry/?lang=en", &[("Referer", "http://shop.example/account?item=1")]);
    assert!(centre.text().contains("name=\"return_to\" value=\"/account?item=1\""));
}

#[test]
fn decided_visitors_get_the_page_unchanged() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start(&origin, BANNER);
    for categories in ["", "analytics"] {
        let reply = load(
            &proxy,
            "/",
            &[("Cookie", &consent_cookie(categories)), ("If-None-Match", "\"b\"")],
        );
        assert_eq!(reply.text(), HTML);
        assert_eq!(reply.field("etag").as_deref(), Some("\"a\""));
        assert_eq!(reply.field("cache-control").as_deref(), Some("max-age=60"));
        assert_eq!(reply.field("content-length").unwrap(), HTML.len().to_string());
        assert_eq!(origin.next_request().field("if-none-match").as_deref(), Some("\"b\""));
    }
}

#[test]
fn the_banner_states_an_opt_out_default() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start(&origin, &format!("[consent]\ndefault = 'allow'\n{BANNER}"));
    let text = load(&proxy, "/", &[]).text();
    assert!(text.contains("categories: Functional, Performance and analytics, Advertising, Social networks. You can refuse them"), "{text}");
    let signal = load(&proxy, "/", &[("Sec-GPC", "1")]).text();
    assert!(
        signal.contains("categories: Functional, Performance and analytics. You can refuse them"),
        "{signal}"
    );
}

#[test]
fn the_banner_is_off_by_default_and_while_observing() {
    let origin = Origin::responding(html());
    for toml in ["", "mode = 'observe'\n[banner]\nenabled = true\n"] {
        let proxy = Proxy::start(&origin, toml);
        assert_eq!(load(&proxy, "/", &[]).text(), HTML, "{toml}");
    }
}

#[test]
fn observe_mode_adds_only_the_reporting_script_to_a_guarded_page() {
    let origin = Origin::responding(html());
    let toml = "mode = 'observe'\n[banner]\nenabled = true\n[page]\nguard = true\n";
    let text = load(&Proxy::start(&origin, toml), "/", &[]).text();
    let at = text.find("<script src=\"/.consentry/guard.js?").unwrap();
    let end = at + text[at..].find("</script>").unwrap() + "</script>".len();
    assert!(text[at..end].contains(" data-observe>"), "{text}");
    assert_eq!(text[..at].to_owned() + &text[end..], HTML);
}

#[test]
fn subresources_and_fragments_get_no_banner() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start(&origin, BANNER);
    for fields in [
        &[("Sec-Fetch-Dest", "empty")][..],
        &[("Sec-Fetch-Dest", "iframe")],
        &[("Sec-Fetch-Dest", ""), ("Accept", "*/*")],
        &[("Sec-Fetch-Dest", ""), ("HX-Request", "true")],
        &[("Sec-Fetch-Dest", ""), ("Turbo-Frame", "cart")],
        &[("Sec-Fetch-Dest", ""), ("X-Requested-With", "XMLHttpRequest")],
    ] {
        assert_eq!(load(&proxy, "/", fields).text(), HTML, "{fields:?}");
    }
    for method in ["POST", "PUT"] {
        let mut client = proxy.connect();
        client.send(&request(method, "/", &[("Accept", "text/html"), ("Content-Length", "0")]));
        assert_eq!(client.reply(method).text(), HTML, "{method}");
    }
    let mut client = proxy.connect();
    client.send(&request("HEAD", "/", &[("Accept", "text/html")]));
    assert_eq!(client.reply("HEAD").field("content-length").unwrap(), HTML.len().to_string());
}

#[test]
fn responses_that_must_not_be_transformed_are_unchanged() {
    for (status, head) in [
        ("200 OK", "Content-Type: application/json\r\n"),
        ("200 OK", "Content-Type: text/html\r\nContent-Disposition: attachment\r\n"),
        ("200 OK", "Content-Type: text/html\r\nCache-Control: no-transform\r\n"),
        ("200 OK", "Content-Type: text/html; charset=utf-16\r\n"),
        ("200 OK", "Content-Type: text/html\r\nContent-Encoding: compress\r\n"),
        ("206 Partial Content", "Content-Type: text/html\r\nContent-Range: bytes 0-9/99\r\n"),
    ] {
        let response =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{head}\r\n{HTML}", HTML.len());
        let origin = Origin::responding(response);
        let proxy = Proxy::start(&origin, BANNER);
        let reply = load(&proxy, "/", &[]);
        assert_eq!(reply.text(), HTML, "{status} {head}");
        assert_eq!(reply.field("content-length").unwrap(), HTML.len().to_string());
    }
}

#[test]
fn a_page_with_invalid_gzip_passes_unchanged_and_is_counted() {
    let origin = Origin::responding(page(
        "Content-Type: text/html\r\nContent-Encoding: gzip\r\n",
        b"\x1f\x8bnot gzip",
    ));
    let proxy = Proxy::start(&origin, BANNER);
    let reply = load(&proxy, "/", &[]);
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"\x1f\x8bnot gzip"[..]));
    proxy.expect_metric("consentry_pages_total{site=\"default\",outcome=\"failed\"}", 1.0);
    proxy.expect_log("could not be rewritten");
}

#[test]
fn a_decompression_bomb_passes_in_pieces_in_bounded_memory() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"<!doctype html><body>").unwrap();
    let zeros = vec![b'0'; 1 << 20];
    (0..200).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 300_000);
    let origin =
        Origin::responding(page("Content-Type: text/html\r\nContent-Encoding: gzip\r\n", &bomb));
    let proxy = Proxy::start(&origin, &format!("{BANNER}{GUARD}"));
    let reply = load(&proxy, "/", &[("Accept-Encoding", "gzip")]);
    let mut decoded = flate2::read::GzDecoder::new(reply.body.as_slice());
    let bytes = std::io::copy(&mut decoded, &mut std::io::sink()).unwrap();
    assert!(bytes > 200 << 20, "{bytes}");
    assert!(proxy.peak_kib() < 64 * 1024, "{} KiB", proxy.peak_kib());
}

#[test]
fn the_content_security_policy_of_the_page_is_respected() {
    let linked = "<link rel=\"stylesheet\" href=\"/.consentry/banner.css\">";
    for (policy, style, form) in [
        ("default-src 'self'", linked, true),
        ("style-src 'nonce-r4nd'; script-src 'self'", "<style nonce=\"r4nd\">", true),
        ("style-src 'unsafe-inline'", "<style>", true),
        ("default-src 'none'; form-action 'none'", linked, false),
    ] {
        let head = format!("Content-Type: text/html\r\nContent-Security-Policy: {policy}\r\n");
        let origin = Origin::responding(page(&head, HTML.as_bytes()));
        let proxy = Proxy::start(&origin, BANNER);
        let reply = load(&proxy, "/", &[]);
        let text = reply.text();
        let link = style.replace(".css", ".css?page");
        assert_eq!(
            text.matches(style).count() + text.matches(&link).count(),
            2 + usize::from(style == link) * 2,
            "{text}"
        );
        assert_eq!(text.contains("<style"), style.starts_with("<style"), "{text}");
        assert_eq!(text.contains("<form"), form, "{text}");
        assert!(text.contains("/.consentry/?lang=en"), "the way to decide is always there");
        assert_eq!(reply.field("content-security-policy").as_deref(), Some(policy));
    }
}

#[test]
fn the_guard_is_first_in_the_head_and_third_party_tags_without_consent_are_inert() {
    let body = "<!doctype html><html><HEAD><meta charset=utf-8>\
        <link rel=preconnect href='https://www.google-analytics.com'><link rel=stylesheet href='https://facebook.com/a.css'>\
        <script async src=\"https://www.googletagmanager.com/gtag/js?id=1\" type=module></script><script src=/own.js></script></HEAD>\
        <body><img src='//ad.doubleclick.net/x.gif?a&amp;b' alt=x><img srcset='/a.png 1x, https://connect.facebook.net/b.png 2x'>\
        <iframe src=https://www.youtube.com/embed/1></iframe><img src=https://cdn.example/y.png></body></html>";
    let origin = Origin::responding(page("Content-Type: text/html\r\n", body.as_bytes()));
    let proxy = Proxy::start(
        &origin,
        &format!("{GUARD}[[host]]\nname = 'cdn.example'\ncategory = 'social'\n"),
    );
    let reply = load(&proxy, "/", &[("Cookie", &consent_cookie("analytics"))]);
    let text = reply.text();
    let tag = text.split("<HEAD>").nth(1).unwrap().split("</script>").next().unwrap().to_owned();
    assert!(
        tag.starts_with("<script src=\"/.consentry/guard.js?")
            && tag.ends_with("data-granted=\"necessary analytics\">"),
        "{tag}"
    );
    for expected in [
        "<link rel=preconnect href='https://www.google-analytics.com'>",
        "<link href='https://facebook.com/a.css' data-consentry-rel=\"stylesheet\">",
        "<script async src=\"https://www.googletagmanager.com/gtag/js?id=1\" type=module>",
        "<script src=/own.js>",
        "<img alt=x data-consentry-src=\"//ad.doubleclick.net/x.gif?a&amp;b\">",
        "<img data-consentry-srcset=\"/a.png 1x, https://connect.facebook.net/b.png 2x\">",
        "<iframe data-consentry-src=\"https://www.youtube.com/embed/1\">",
        "<img data-consentry-src=\"https://cdn.example/y.png\">",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    // With a decision there is no banner to keep out of caches, but the consent may change.
    assert_eq!(reply.values("cache-control").join(", "), "private, no-cache");
    let none = load(&proxy, "/", &[]).text();
    assert!(
        none.contains(
            "<link href='https://www.google-analytics.com' data-consentry-rel=\"preconnect\">"
        ),
        "{none}"
    );
    assert!(
        none.contains("data-consentry-src=\"https://www.googletagmanager.com/gtag/js?id=1\"")
            && none.contains("type=\"text/plain\""),
        "{none}"
    );
    // With everything granted the page is unchanged, but must be revalidated before each use.
    let all = load(
        &proxy,
        "/",
        &[("Cookie", &crate::support::full_consent()), ("If-None-Match", "\"x\"")],
    );
    assert_eq!(
        (all.text().as_str(), all.field("cache-control").unwrap().as_str()),
        (body, "private")
    );
    assert!(all.values("cache-control").contains(&"no-cache".to_owned()));
    let script = proxy.get(
        &format!(
            "/.consentry/guard.js?{}",
            tag.split('?').nth(1).unwrap().split('"').next().unwrap()
        ),
        &[],
    );
    assert_eq!(script.field("cache-control").as_deref(), Some("max-age=31536000, immutable"));
    assert!(script.text().contains("_ga"));
    assert_eq!(
        proxy.get("/.consentry/guard.js", &[]).field("cache-control").as_deref(),
        Some("max-age=3600")
    );
}

#[test]
fn without_head_and_body_tags_the_guard_still_precedes_the_first_script() {
    let body = "<!doctype html><title>x</title><script>document.cookie='_ga=1'</script>";
    let origin = Origin::responding(page("Content-Type: text/html\r\n", body.as_bytes()));
    let proxy = Proxy::start(&origin, &format!("{GUARD}{BANNER}"));
    let text = load(&proxy, "/", &[]).text();
    let (guard, script) = (text.find("guard.js").unwrap(), text.find("<script>document").unwrap());
    assert!(guard < script && script < text.find("consentry-banner").unwrap(), "{text}");
}

#[test]
fn a_page_in_a_frame_is_guarded_and_has_no_banner() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start(&origin, &format!("{GUARD}{BANNER}"));
    let text = load(&proxy, "/", &[("Sec-Fetch-Dest", "iframe")]).text();
    assert!(text.contains("guard.js") && !text.contains("consentry-banner"), "{text}");
    proxy.expect_metric("consentry_pages_total{site=\"default\",outcome=\"guarded\"}", 1.0);
}

#[test]
fn banner_colours_position_and_switches_are_configurable() {
    let origin = Origin::responding(html());
    let proxy = Proxy::start_with(&format!(
        "[banner]\nenabled = true\nposition = 'top'\ncolours = {{ button = '#123456' }}\n
         [[site]]\nhosts = ['one.example']\nupstream = '{0}'\n[site.banner]\nposition = 'corner'\ncolours = {{ text = '#abc' }}\n
         [[site]]\nhosts = ['two.example']\nupstream = '{0}'\n[site.banner]\nenabled = false\n",
        origin.url()
    ));
    let style = proxy.get("/.consentry/banner.css", &[("Host", "one.example")]).text();
    for expected in ["--consentry-button:#123456", "--consentry-text:#abc", "max-width:26em"] {
        assert!(style.contains(expected), "{style}");
    }
    assert_eq!(proxy.get("/.consentry/banner.css", &[("Host", "two.example")]).status, 404);
    assert_eq!(load(&proxy, "/", &[("Host", "two.example")]).text(), HTML);
}
