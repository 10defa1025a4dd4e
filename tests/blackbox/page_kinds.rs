//! HTML rewriting for every kind of page and request: whatever a browser displays or a script uses is guarded.

use std::io::{Read, Write};

use crate::pages::{load, page};
use crate::support::{Origin, Proxy, Reply, consent_cookie, full_consent};

const GUARD: &str = "[page]\nguard = true\n";
const BANNER: &str = "[banner]\nenabled = true\n";
const TRACKER: &str = "<script src=https://www.googletagmanager.com/gtm.js></script>";
const INERT: &str = "<script data-consentry-src=\"https://www.googletagmanager.com/gtm.js\" type=\"text/plain\"></script>";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn html(head: &str) -> Vec<u8> {
    let body = format!("<!doctype html><html><head></head><body>{TRACKER}</body></html>");
    page(
        &format!("Content-Type: text/html\r\nCache-Control: max-age=600\r\n{head}"),
        body.as_bytes(),
    )
}

/// Whether a page contains the guard's script, and whether the tracker's script is inert.
fn guarded(reply: &Reply) -> (bool, bool) {
    let text = reply.text();
    assert_eq!(text.contains(INERT), !text.contains(TRACKER), "{text}");
    (text.contains("<script src=\"/.consentry/guard.js?"), text.contains(INERT))
}

fn control(reply: &Reply) -> (String, String) {
    (reply.values("cache-control").join(", "), reply.values("vary").join(", "))
}

#[test]
fn html_is_guarded_for_every_destination_and_only_pages_are_cached_as_pages() {
    let origin = Origin::responding(html("ETag: \"a\"\r\nVary: Accept\r\n"));
    let proxy = Proxy::start(&origin, &format!("{GUARD}{BANNER}"));
    for (fields, is_page, banner) in [
        (&[("Sec-Fetch-Dest", "document")][..], true, true),
        (&[("Sec-Fetch-Dest", "document"), ("Sec-Purpose", "prefetch")], true, true),
        (&[("Sec-Fetch-Dest", "iframe")], true, false),
        (&[("Sec-Fetch-Dest", "object")], true, false),
        (&[("Sec-Fetch-Dest", "embed")], true, false),
        // A page fetched by a service worker.
        (&[("Sec-Fetch-Dest", "empty"), ("Upgrade-Insecure-Requests", "1")], true, true),
        (&[("Sec-Fetch-Dest", "empty"), ("Sec-Purpose", "prefetch")], false, false),
        (&[("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors")], false, false),
        (&[("Sec-Fetch-Dest", ""), ("Turbo-Frame", "cart")], false, false),
        (&[("Sec-Fetch-Dest", ""), ("Accept", "*/*")], false, false),
        (&[("Sec-Fetch-Dest", "image"), ("Accept", "image/*")], false, false),
    ] {
        let reply = load(&proxy, "/", fields);
        assert_eq!(guarded(&reply), (is_page, true), "{fields:?}");
        assert_eq!(reply.text().contains("consentry-banner"), banner, "{fields:?}");
        let vary = if banner { "Accept" } else { "Accept, Sec-Fetch-Dest" };
        let cache = if banner { "no-store, private" } else { "max-age=600, private, no-cache" };
        assert_eq!(control(&reply), (cache.to_owned(), vary.to_owned()), "{fields:?}");
        // A cached copy must not be revalidated after the consent has changed.
        assert_eq!(reply.field("etag").is_some(), banner, "{fields:?}");
    }
}

#[test]
fn html_without_a_banner_is_not_cached_as_a_page() {
    let origin = Origin::responding(html(""));
    let proxy = Proxy::start(&origin, BANNER);
    for destination in ["empty", "iframe", "image"] {
        let reply = load(&proxy, "/", &[("Sec-Fetch-Dest", destination)]);
        assert_eq!(guarded(&reply), (false, false));
        assert_eq!(
            control(&reply),
            ("max-age=600, private, no-cache".to_owned(), "Sec-Fetch-Dest".to_owned())
        );
        let fields = [("Sec-Fetch-Dest", destination), ("Cookie", &consent_cookie(""))];
        let decided = load(&proxy, "/", &fields);
        assert_eq!(control(&decided), ("max-age=600".to_owned(), String::new()));
    }
}

#[test]
fn complete_pages_loaded_by_scripts_get_the_banner_and_fragments_do_not() {
    let fragment = format!("<tr><td>{TRACKER}</td></tr>");
    let fragment = page("Content-Type: text/html\r\n", fragment.as_bytes());
    for (answer, fields, banner) in [
        (html(""), &[("HX-Request", "true"), ("HX-Boosted", "true")][..], true),
        (html(""), &[("X-Turbo-Request-Id", "1")], true),
        (html(""), &[("X-Turbo-Request-Id", "1"), ("Turbo-Frame", "cart")], false),
        (html(""), &[("HX-Request", "true")], false),
        (fragment.clone(), &[("HX-Boosted", "true")], false),
        (fragment, &[("X-Turbo-Request-Id", "1")], false),
    ] {
        let origin = Origin::responding(answer);
        let proxy = Proxy::start(&origin, &format!("{GUARD}{BANNER}"));
        let reply = load(&proxy, "/", &[fields, &[("Sec-Fetch-Dest", "empty")]].concat());
        assert_eq!(guarded(&reply), (false, true), "{fields:?}");
        assert_eq!(reply.text().contains("consentry-banner"), banner, "{fields:?}");
    }
}

#[test]
fn data_and_images_are_unchanged() {
    for (head, vary) in [
        ("Content-Type: application/json\r\n", ""),
        ("Content-Type: application/xml\r\n", "Sec-Fetch-Dest"),
        ("Content-Type: image/svg+xml\r\n", "Sec-Fetch-Dest"),
    ] {
        let body = format!("<svg xmlns='http://www.w3.org/2000/svg'>{TRACKER}</svg>");
        let head = format!("{head}Cache-Control: max-age=600\r\nETag: \"a\"\r\n");
        let origin = Origin::responding(page(&head, body.as_bytes()));
        let proxy = Proxy::start(&origin, GUARD);
        let reply = load(&proxy, "/", &[("Sec-Fetch-Dest", "image")]);
        assert_eq!(reply.text(), body);
        assert_eq!(control(&reply), ("max-age=600".to_owned(), vary.to_owned()));
        assert_eq!(reply.field("etag").as_deref(), Some("\"a\""));
    }
}

#[test]
fn revalidation_succeeds_only_while_the_consent_is_unchanged() {
    let origin = Origin::responding(html("ETag: \"a\"\r\n"));
    let proxy = Proxy::start(&origin, GUARD);
    for destination in ["document", "empty"] {
        let get = |fields: &[(&str, &str)]| {
            load(&proxy, "/", &[&[("Sec-Fetch-Dest", destination)], fields].concat())
        };
        let granted = get(&[("Cookie", &full_consent())]);
        assert_eq!(guarded(&granted), (false, false));
        assert_eq!(granted.field("etag").as_deref(), Some("\"a-consentry\""));
        origin.next_request();
        get(&[("Cookie", &full_consent()), ("If-None-Match", "W/\"b\", \"a-consentry\"")]);
        assert_eq!(origin.next_request().field("if-none-match").as_deref(), Some("W/\"b\", \"a\""));
        get(&[
            ("If-None-Match", "\"a-consentry\""),
            ("If-Modified-Since", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ]);
        let received = origin.next_request();
        assert_eq!(
            (received.field("if-none-match"), received.field("if-modified-since")),
            (None, None)
        );
    }
    // A response that is not a page keeps its ETag.
    load(&proxy, "/", &[("Sec-Fetch-Dest", "empty"), ("If-None-Match", "\"a\"")]);
    assert_eq!(origin.next_request().field("if-none-match").as_deref(), Some("\"a\""));
    let unchanged = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
    let origin = Origin::responding(unchanged);
    let proxy = Proxy::start(&origin, GUARD);
    let cookie = full_consent();
    let fields = [("Cookie", &*cookie), ("If-None-Match", "\"a-consentry\"")];
    assert_eq!(load(&proxy, "/", &fields).field("etag").as_deref(), Some("\"a-consentry\""));
}

#[test]
fn pages_are_detected_by_content_type_like_in_browsers() {
    let body = format!("<!doctype html><p>{TRACKER}");
    for (head, expected) in [
        ("", true),
        ("Content-Type: \r\n", true),
        ("Content-Type: text/plain\r\nContent-Type: text/html\r\n", true),
        ("Content-Type: application/json, text/html; charset=utf-8\r\n", true),
        ("Content-Type: unknown/unknown\r\n", true),
        ("Content-Type: text/html\r\nContent-Disposition: attachment, inline\r\n", true),
        ("Content-Type: text/html\r\nContent-Encoding: utf-8\r\n", true),
        ("Content-Type: text/html\r\nContent-Type: text/plain\r\n", false),
        ("X-Content-Type-Options: nosniff\r\n", false),
        ("Content-Type: text/html\r\nContent-Disposition: attachment\r\n", false),
    ] {
        let origin = Origin::responding(page(head, body.as_bytes()));
        let proxy = Proxy::start(&origin, GUARD);
        assert_eq!(guarded(&load(&proxy, "/", &[])), (expected, expected), "{head}");
    }
    let origin = Origin::responding(page("", b"{\"a\": \"<p>\"}"));
    let proxy = Proxy::start(&origin, GUARD);
    assert_eq!(load(&proxy, "/", &[]).text(), "{\"a\": \"<p>\"}");
    let nowhere = format!(
        "HTTP/1.1 302 Found\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let origin = Origin::responding(nowhere);
    let proxy = Proxy::start(&origin, GUARD);
    assert_eq!(guarded(&load(&proxy, "/", &[])), (true, true), "browsers show it");
}

#[test]
fn xml_documents_are_guarded_and_remain_well_formed() {
    const XHTML: &str = "xmlns=\"http://www.w3.org/1999/xhtml\"";
    for (media_type, body, expected) in [
        (
            "application/xhtml+xml",
            "<?xml version=\"1.0\"?><!DOCTYPE html><html {X}><head><script src=\"/a.js\"/><title/></head><body><img src=\"//ad.doubleclick.net/a\"/></body></html>",
            "<?xml version=\"1.0\"?><!DOCTYPE html><html {X}>{G}<head><script src=\"/a.js\"/><title/></head><body><img data-consentry-src=\"//ad.doubleclick.net/a\" />{B}</body></html>",
        ),
        (
            "image/svg+xml",
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:l=\"http://www.w3.org/1999/xlink\"><image l:href=\"//ad.doubleclick.net/a\"/></svg>",
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:l=\"http://www.w3.org/1999/xlink\">{G}<image data-consentry-l-href=\"//ad.doubleclick.net/a\" /></svg>",
        ),
        (
            "application/xml",
            "<a><img src=\"//ad.doubleclick.net/a\"/><h:p xmlns:h=\"http://www.w3.org/1999/xhtml\"><h:script>1</h:script><h:img src=\"//ad.doubleclick.net/a\"/></h:p></a>",
            "<a><img src=\"//ad.doubleclick.net/a\"/><h:p xmlns:h=\"http://www.w3.org/1999/xhtml\">{G}<h:script>1</h:script><h:img data-consentry-src=\"//ad.doubleclick.net/a\" /></h:p></a>",
        ),
        (
            "text/xml",
            "<?xml-stylesheet href='//ad.doubleclick.net/a.css'?><!DOCTYPE a [<!ENTITY h \"ad.doubleclick.net\"><!ENTITY m \"<img src='//&h;'/>\">]><svg xmlns='http://www.w3.org/2000/svg'><image href='//&h;/a'/>&m;</svg>",
            "<!DOCTYPE a [<!ENTITY h \"ad.doubleclick.net\"><!ENTITY m \"\">]><svg xmlns='http://www.w3.org/2000/svg'>{G}<image data-consentry-href=\"//&h;/a\" />&m;</svg>",
        ),
    ] {
        let origin = Origin::responding(page(
            &format!("Content-Type: {media_type}\r\n"),
            body.replace("{X}", XHTML).as_bytes(),
        ));
        let proxy = Proxy::start(&origin, &format!("{GUARD}{BANNER}"));
        let text = load(&proxy, "/", &[]).text();
        let inserted = |start: &str, end: &str| {
            let at = text.find(start).map(|at| &text[at..]);
            at.and_then(|rest| rest.split_inclusive(end).next()).unwrap_or_default()
        };
        let guard = inserted(&format!("<script {XHTML} src=\"/.consentry/guard.js?"), "</script>");
        let banner = inserted(&format!("<consentry-banner {XHTML} class="), "</consentry-banner>");
        let expected = expected.replace("{X}", XHTML).replace("{G}", guard).replace("{B}", banner);
        assert_eq!(text, expected);
        assert!(guard.contains("data-granted=\"necessary\""), "{text}");
        assert_eq!(banner.is_empty(), media_type != "application/xhtml+xml", "{text}");
        let inputs = (banner.matches("<input ").count(), banner.matches("\"/>").count());
        assert_eq!(inputs.0, inputs.1, "{banner}");
    }
}

#[test]
fn pages_in_non_ascii_compatible_encodings_are_guarded_as_utf_8() {
    let text = format!("<!doctype html><title>\u{3053}</title>{TRACKER}");
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let japanese = |before: &str| {
        let after = format!("<title>\x1b$B$3\x1b(B</title>{TRACKER}");
        format!("<!doctype html>{before}{after}").into_bytes()
    };
    for (media_type, body) in [
        ("text/html; charset=utf-16le", wide(&text)),
        ("text/html; charset=utf-8", wide(&format!("\u{feff}{text}"))),
        ("text/html; charset=\"ISO-2022-JP\"", japanese("")),
        ("text/html", japanese("<meta charset=iso-2022-jp>")),
        (
            "text/html",
            japanese("<meta content='text/html; charset=csISO2022JP' http-equiv=Content-Type>"),
        ),
    ] {
        let head = format!("Content-Type: {media_type}\r\n");
        for (head, body) in [
            (head.clone(), body.clone()),
            (format!("{head}Content-Encoding: gzip\r\n"), gzip(&body)),
        ] {
            let origin = Origin::responding(page(&head, &body));
            let proxy = Proxy::start(&origin, GUARD);
            let mut reply = load(&proxy, "/", &[("Accept-Encoding", "gzip")]);
            if head.contains("gzip") {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&*reply.body).read_to_end(&mut plain).unwrap();
                reply.body = plain;
            }
            assert_eq!(guarded(&reply), (true, true), "{head}");
            let text = reply.text();
            assert!(text.contains("<title>\u{3053}</title>"), "{head}{text}");
            assert!(text.starts_with('\u{feff}') || text.contains("utf-8"), "{head}{text}");
        }
    }
}

#[test]
fn pages_in_an_unsupported_coding_are_not_served_without_the_guard() {
    let body = format!("<!doctype html>{TRACKER}");
    for (coding, body, status) in [
        ("gzip, gzip", gzip(&gzip(body.as_bytes())), 502),
        ("deflate", body.clone().into_bytes(), 502),
        // A gzip header with an endless file name: the body fails after the head, or before it is sent.
        ("gzip", [b"\x1f\x8b\x08\x08\0\0\0\0\0\xff", &*vec![b'x'; 600_000]].concat(), 200),
        ("gzip", body.into_bytes(), 200),
    ] {
        let head = format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n");
        let origin = Origin::responding(page(&head, &body));
        let proxy = Proxy::start(&origin, GUARD);
        let mut client = proxy.connect();
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n",
        );
        let all = client.closed();
        assert!(all.len() < 1000, "{}", all.escape_ascii());
        let rejected = all.starts_with(b"HTTP/1.1 502 ");
        assert!(rejected || all.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        assert!(rejected || !all.ends_with(b"0\r\n\r\n"), "{}", all.escape_ascii());
        proxy.expect_metric("consentry_pages_total{site=\"default\",outcome=\"failed\"}", 1.0);
    }
}

#[test]
fn blocked_urls_in_preload_fields_are_removed() {
    let origin = Origin::responding(html(
        "Link: </a.css>; rel=preload; as=style, <https://www.googletagmanager.com/gtm.js>; rel=preload; as=script\r\n\
         Link: <//ad.doubleclick.net>; rel=preconnect\r\nLink: <https://www.facebook.com/x>; rel=me\r\n\
         Refresh: 0; url=https://ad.doubleclick.net/\r\n\
         Speculation-Rules: \"/rules.json\", \"https://ad.doubleclick.net/a,b\"\r\n",
    ));
    let proxy = Proxy::start(&origin, GUARD);
    let reply = load(&proxy, "/", &[]);
    assert_eq!(
        reply.values("link"),
        ["</a.css>; rel=preload; as=style", "<https://www.facebook.com/x>; rel=me"]
    );
    assert_eq!(reply.field("refresh"), None);
    assert_eq!(reply.field("speculation-rules").as_deref(), Some("\"/rules.json\""));
    let granted = load(&proxy, "/", &[("Cookie", &full_consent())]);
    assert_eq!(granted.values("link").len(), 3);
    assert!(granted.field("refresh").is_some());
}

#[test]
fn the_guard_covers_large_pages_to_their_end() {
    let head = "<!doctype html><html><head><title>t</title></head><body>";
    let link =
        |number: usize| format!("<a href=\"/products/{number:06}/{}\">x</a>\n", "x".repeat(180));
    let image = |size: usize| {
        format!("<img alt=a src=\"data:image/png;base64,{}\">", "Ab+/".repeat(size / 4))
    };
    for (name, middle) in [
        ("links", (0..700).map(link).collect()),
        ("an image of 32 KB", image(32_000)),
        ("an image of 3 MB", image(3_000_000)),
        ("an image of 6 MB", image(6_000_000)),
        ("text", "<p>text only here</p>\n".repeat(4000)),
        ("a path", format!("<svg><path d=\"{}\"/></svg>", "M1 2L3 4".repeat(60_000))),
        ("a script", format!("<script>var x=\"{}\";</script>", "y".repeat(2_000_000))),
        ("a comment", format!("<!--{}-->", "y".repeat(600_000))),
        ("data", format!("<div data-page=\"{}\"></div>", "{&quot;a&quot;:1},".repeat(400_000))),
    ] {
        let body = format!("{head}{middle}{TRACKER}</body></html>");
        let coded = gzip(body.as_bytes());
        for (coding, body) in [("identity", body.as_bytes()), ("gzip", &coded)] {
            let head = format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n");
            let origin = Origin::responding(page(&head, body));
            let proxy = Proxy::start(&origin, GUARD);
            let reply = load(&proxy, "/", &[("Accept-Encoding", "gzip")]);
            let mut plain = reply.body;
            if coding == "gzip" {
                let coded = std::mem::take(&mut plain);
                flate2::read::GzDecoder::new(&*coded).read_to_end(&mut plain).unwrap();
            }
            let text = String::from_utf8(plain).unwrap();
            assert!(text.contains(&middle), "{name}: the unblocked part is unchanged");
            assert!(text.ends_with(&format!("{INERT}</body></html>")), "{name} {coding}");
        }
    }
}
