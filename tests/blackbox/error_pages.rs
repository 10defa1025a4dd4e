//! Error responses: a page in the visitor's language for browsers, JSON or text for other clients.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{Origin, Proxy, Reply, refusing_address, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CENTRE: &str = "/.consentry/";

/// The `Accept` field that Chromium sends with a navigation.
const BROWSER: (&str, &str) = (
    "Accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
);
const NAVIGATION: (&str, &str) = ("Sec-Fetch-Mode", "navigate");
const GERMAN: (&str, &str) = ("Accept-Language", "de-AT,de;q=0.9,en;q=0.5");

/// A proxy whose upstream refuses connections.
fn proxy_without_upstream(toml: &str) -> Proxy {
    Proxy::start_with(&format!("{toml}\n[[site]]\nupstream = 'http://{}'", refusing_address()))
}

fn send(proxy: &Proxy, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut client = proxy.connect();
    client.send(&request(method, path, fields));
    client.reply(method)
}

/// Posts a form like a browser without scripts.
fn submit(proxy: &Proxy, path: &str, form: &str, fields: &[(&str, &str)]) -> Reply {
    proxy.post(path, form, &[&[BROWSER, NAVIGATION], fields].concat())
}

/// Checks the properties of every error page.
fn assert_page(reply: &Reply, tag: &str, status: u16) -> String {
    let text = reply.text();
    assert_eq!(reply.status, status, "{text}");
    assert!(text.contains(&format!("<html lang=\"{tag}\">")), "{text}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", tag),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("vary", "Accept, Accept-Language, Sec-Fetch-Dest, Sec-Fetch-Mode"),
    ] {
        assert_eq!(reply.field(name).as_deref(), Some(value), "{name}");
    }
    let policy = reply.field("content-security-policy").unwrap();
    let (_, style) = text.split_once("<style>").unwrap();
    let (style, _) = style.split_once("</style>").unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, style.as_bytes());
    use base64::Engine;
    let hash = base64::prelude::BASE64_STANDARD.encode(hash);
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'none'; base-uri 'none'"
        )
    );
    assert!(!text.contains("<script") && !text.contains(" src=") && !text.contains("<link"));
    assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    text
}

#[test]
fn browsers_get_an_error_page_in_their_language_while_the_upstream_is_down() {
    let proxy = proxy_without_upstream("[banner]\nenabled = true\n[page]\nguard = true");
    let fields =
        [BROWSER, NAVIGATION, ("Accept-Language", "ja,en;q=0.8"), ("Cookie", "a=TOPSECRET")];
    let reply = proxy.get("/shop?q=TOPSECRET", &fields);
    let text = assert_page(&reply, "ja", 502);
    assert!(text.contains("<title>サイトに接続できません</title>"), "{text}");
    assert!(text.contains("数分後にもう一度お試しください。"), "{text}");
    assert!(!text.contains("<a "), "no link back without a form: {text}");
    assert!(!text.contains("TOPSECRET") && !text.contains("consentry-banner"), "{text}");
    let id = proxy.next_access_log_entry()["request_id"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("<p>502 · {id}</p>")), "{text}");
    // Browsers without Fetch Metadata, and an unknown language.
    let reply = proxy.get("/", &[BROWSER, ("Accept-Language", "sv")]);
    assert!(assert_page(&reply, "en", 502).contains("The site cannot be reached"));
    proxy.expect_metric("consentry_errors_total{kind=\"upstream_connect\"}", 2.0);
}

#[test]
fn other_clients_get_json_or_text_by_accept() {
    let proxy = proxy_without_upstream("");
    let text = |id: &str| {
        format!("502 Bad Gateway\n\nThe site's server cannot be reached.\nRequest id: {id}\n")
    };
    let json = |id: &str| {
        format!(
            "{{\"error\":\"Bad Gateway\",\"message\":\"The site's server cannot be reached.\",\"request_id\":\"{id}\",\"status\":502}}\n"
        )
    };
    let id = || proxy.next_access_log_entry()["request_id"].as_str().unwrap().to_owned();
    for fields in [
        &[][..],
        &[("Accept", "*/*")],
        &[("Accept", "*/*"), NAVIGATION],
        &[BROWSER, ("Sec-Fetch-Mode", "cors")],
        &[("Accept", "text/css,*/*;q=0.1")],
    ] {
        let reply = proxy.get("/", fields);
        assert_eq!(reply.text(), text(&id()), "{fields:?}");
        assert_eq!(reply.field("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.field("vary").as_deref(), Some("Accept, Sec-Fetch-Dest, Sec-Fetch-Mode"));
    }
    for accept in ["application/json", "text/html;q=0.5, application/problem+json"] {
        let reply = proxy.get("/", &[("Accept", accept), NAVIGATION]);
        assert_eq!(reply.text(), json(&id()), "{accept}");
        assert_eq!(reply.field("content-type").as_deref(), Some("application/json"));
    }
}

#[test]
fn a_failed_form_without_script_is_a_page_in_the_language_of_the_form_with_a_link_back() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let english = ("Accept-Language", "en");
    // The body can be parsed, so its fields count.
    let form = "choice=maybe&lang=de&return_to=%2Fshop%3Fa%3D1";
    let reply = submit(&proxy, CENTRE, form, &[english]);
    let text = assert_page(&reply, "de", 400);
    assert!(text.contains("<h1>Die Anfrage war nicht lesbar</h1>"), "{text}");
    let link =
        "<a href=\"/.consentry/?lang=de&#38;return_to=%2Fshop%3Fa%3D1\">Cookie-Einstellungen</a>";
    assert!(text.contains(link), "{text}");
    // The body cannot be parsed: the language and the link come from the referring page.
    let referer = ("Referer", "http://shop.example/.consentry/?lang=de");
    let text = assert_page(&submit(&proxy, CENTRE, "x=1", &[english, referer]), "de", 400);
    assert!(text.contains("<a href=\"/.consentry/?lang=de\">Cookie-Einstellungen</a>"), "{text}");
    // A script submitted the form.
    let agent = ("User-Agent", "Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36");
    let reply = submit(&proxy, CENTRE, "choice=accept&lang=de&banner=1&return_to=/a", &[agent]);
    let text = assert_page(&reply, "de", 403);
    assert!(text.contains("<h1>Die Anfrage wurde abgelehnt</h1>"), "{text}");
    assert!(text.contains("<a href=\"/a\">Zurück zur Website</a>"), "{text}");
    assert!(reply.set_cookies().is_empty());
    // Another site posted the form. Its address is not linked.
    let length = ("Content-Length", "13");
    let fields = [("Origin", "https://evil.example"), ("Referer", "https://evil.example/trap")];
    let evil = [&[BROWSER, NAVIGATION, GERMAN, length], &fields[..]].concat();
    let mut client = proxy.connect();
    client.send(&request("POST", CENTRE, &evil));
    client.send(b"choice=accept");
    let text = assert_page(&client.reply("POST"), "de", 403);
    assert!(text.contains("<a href=\"/.consentry/\">Cookie-Einstellungen</a>"), "{text}");
    assert!(!text.contains("evil"), "{text}");
    // A return path on another host, and markup in it.
    for back in ["//evil.example/", "/%22%3E%3Cscript%3E", "/\"><script>"] {
        let back: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
        let reply = submit(&proxy, CENTRE, &format!("choice=x&banner=1&return_to={back}"), &[]);
        assert_page(&reply, "en", 400);
        assert!(!reply.text().contains("evil"), "{}", reply.text());
    }
    assert!(origin.received_nothing());
}

#[test]
fn an_unrecorded_choice_gets_an_error_page() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("receipts.db")).unwrap();
    let path = folder.path().display();
    let proxy = Proxy::start(
        &Origin::responding(OK),
        &format!(
            "[receipts]\nurl = 'sqlite:{path}/receipts.db'\nspool = '{path}/spool'\nspool_max = 1"
        ),
    );
    assert_eq!(submit(&proxy, CENTRE, "choice=reject", &[]).status, 303);
    let text = assert_page(&submit(&proxy, CENTRE, "choice=reject&lang=pl", &[]), "pl", 503);
    assert!(text.contains("<h1>Wybór nie został zapisany</h1>"), "{text}");
    let reply = proxy.post(CENTRE, "choice=reject", &[]);
    assert_eq!(
        reply.text(),
        "{\"error\":\"the choice cannot be recorded now: nothing has changed, please try again\"}"
    );
}

#[test]
fn a_failed_form_of_the_site_links_back_to_its_page_and_escapes_the_path() {
    let proxy = proxy_without_upstream("");
    let post = |referer: &str| {
        let fields = [("Referer", referer), GERMAN, ("Cookie", "sid=TOPSECRET")];
        let reply = submit(&proxy, "/order", "card=TOPSECRET", &fields);
        let text = assert_page(&reply, "de", 502);
        assert!(!text.contains("TOPSECRET"), "{text}");
        text
    };
    let text = post("https://shop.example/cart?a='\"><script>&b");
    let link = "<a href=\"/cart?a=&#39;&#34;&#62;&#60;script&#62;&#38;b\">Zurück zur Website</a>";
    assert!(text.contains(link), "{text}");
    for referer in ["https://evil.example/cart", "https://shop.example//evil.example", ""] {
        let text = post(referer);
        assert!(text.contains("<a href=\"/\">Zurück zur Website</a>"), "{referer}: {text}");
    }
}

#[test]
fn consent_ui_errors_are_json_unless_the_client_prefers_another_type() {
    let proxy = Proxy::start(&Origin::responding(OK), "centre.api = true");
    let missing = "{\"error\":\"not found\"}";
    for fields in [&[][..], &[("Accept", "*/*")], &[("Accept", "application/json"), NAVIGATION]] {
        let reply = proxy.get("/.consentry/none", fields);
        assert_eq!((reply.status, reply.text().as_str()), (404, missing), "{fields:?}");
        assert_eq!(reply.field("content-type").as_deref(), Some("application/json"));
    }
    let page = proxy.get("/.consentry/none?lang=ko", &[BROWSER, NAVIGATION, GERMAN]);
    assert!(assert_page(&page, "ko", 404).contains("페이지를 찾을 수 없습니다"));
    let text = proxy.get("/.consentry/none", &[("Accept", "text/plain")]).text();
    assert!(text.starts_with("404 Not Found\n\nnot found\nRequest id: "), "{text}");
    let method = send(&proxy, "PUT", CENTRE, &[BROWSER, ("Content-Length", "0")]);
    assert_page(&method, "en", 405);
    assert_eq!(method.field("allow").as_deref(), Some("GET, HEAD, POST"));
}

#[test]
fn api_errors_are_json_even_for_a_form_in_a_frame() {
    let toml = "centre.api = true\n[limits]\nrequests_per_second = 1\nburst = 1";
    let proxy = Proxy::start(&Origin::responding(OK), toml);
    let choose = || submit(&proxy, "/.consentry/consent", "granted=video", &[GERMAN]);
    let refused = choose();
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (400, "{\"error\":\"unknown category\"}")
    );
    assert_eq!(refused.field("vary"), None);
    let limited = choose();
    assert_eq!(limited.status, 429);
    let body: serde_json::Value = serde_json::from_str(&limited.text()).unwrap();
    assert_eq!(body["error"], "Too Many Requests");
    // The form of the preference centre gets a page in its language instead.
    let referer = ("Referer", "http://shop.example/.consentry/?lang=fr");
    let limited = submit(&proxy, CENTRE, "choice=reject&lang=fr", &[GERMAN, referer]);
    let text = assert_page(&limited, "fr", 429);
    assert!(text.contains("<a href=\"/.consentry/?lang=fr\">"), "{text}");
    assert_eq!(limited.field("retry-after").as_deref(), Some("1"));
}

#[test]
fn a_request_without_a_site_gets_a_page_in_the_languages_of_the_config() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("de.toml"), "[error.not_found]\ntitle = 'Weg'\ntext = '<b>'")
        .unwrap();
    let english = include_str!("../../config/locales/en.toml");
    let (swedish, _) = english.split_once("[error.").unwrap();
    std::fs::write(folder.path().join("sv.toml"), swedish.replace("English", "Svenska")).unwrap();
    let proxy = Proxy::start_with(&format!(
        "[centre]\nlocales = '{}'\nlanguage = 'it'\n[[site]]\nhosts = ['one.example']\nupstream = 'http://127.0.0.1:1'",
        folder.path().display()
    ));
    let page = |host: &str, language: &str, tag: &str, status: u16| {
        let fields = [BROWSER, ("Host", host), ("Accept-Language", language)];
        assert_page(&proxy.get("/", &fields), tag, status)
    };
    let text = page("two.example", "de", "de", 421);
    assert!(text.contains("<h1>Weg</h1>\n<p>&#60;b&#62;</p>"), "{text}");
    assert!(page("two.example", "xx", "it", 421).contains("Pagina non trovata"));
    assert!(page("two.example", "zh-TW", "zh", 421).contains("找不到页面"));
    assert!(page("one.example", "de", "de", 502).contains("Die Website ist nicht erreichbar"));
    // A language without these texts: English.
    assert!(page("one.example", "sv", "en", 502).contains("The site cannot be reached"));
}

#[test]
fn undecodable_guarded_pages_get_an_error_page() {
    let body = "<script src=\"https://www.googletagmanager.com/gtm.js\"></script>";
    let origin = Origin::responding(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: deflate\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let proxy = Proxy::start(&origin, "[page]\nguard = true");
    let text = assert_page(&proxy.get("/", &[BROWSER, NAVIGATION, GERMAN]), "de", 502);
    assert!(text.contains("<h1>Die Website hat eine Störung</h1>"), "{text}");
    proxy.expect_metric("consentry_pages_total{site=\"default\",outcome=\"failed\"}", 1.0);
    proxy.expect_metric("consentry_errors_total{kind=\"upstream_failed\"}", 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_request_gets_the_fields_of_the_page_and_no_body() {
    let proxy = proxy_without_upstream("");
    let mut client = proxy.connect();
    for path in ["/", "/.consentry/none"] {
        client.send(&request("HEAD", path, &[BROWSER, NAVIGATION, GERMAN]));
        let reply = client.head();
        assert_eq!(reply.field("content-language").as_deref(), Some("de"));
        let length: usize = reply.field("content-length").unwrap().parse().unwrap();
        assert!(length > 1000, "the length of the page: {length}");
    }
    // The next bytes on the connection are a response.
    client.send(&request("GET", "/", &[]));
    assert_eq!(client.reply("GET").status, 502);

    let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (method, path, has_body) in [
        (Method::HEAD, "/", false),
        (Method::HEAD, CENTRE, false),
        (Method::HEAD, "/.consentry/none", false),
        (Method::GET, "/", true),
    ] {
        let uri = format!("http://shop.example{path}");
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("accept", BROWSER.1).header("accept-language", GERMAN.1);
        let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap());
        let response = response.await.unwrap();
        assert_eq!(response.headers()["content-language"], "de", "{path}");
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        assert!(length > 1000, "the length of the page: {length}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(!body.is_empty(), has_body);
    }
    // The host of a request over HTTP/2 is in its target.
    let post = Request::builder().method(Method::POST).uri("http://shop.example/order");
    let post = post.header("accept", BROWSER.1).header("referer", "http://shop.example/cart");
    let response = sender.send_request(post.body(Full::default()).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("<a href=\"/cart\">Back to the site</a>"), "{text}");
}
