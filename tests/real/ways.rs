//! Pages that a real Chromium displays without a navigation to them. They come from its cache, Turbo, htmx,
//! a service worker, or frames, and may be XHTML or SVG. All of them are guarded, and load nothing from a
//! tracker.

use std::io::Write;

use serde_json::json;

use crate::decide::node;
use crate::support::{Origin, Proxy};

const TRACKERS: &str = "<script src='https://www.googletagmanager.com/gtm.js'></script><img alt='' src='//ad.doubleclick.net/x.gif'/>";

/// The origin's response for a path: media type and text.
fn served(path: &str) -> (&'static str, String) {
    let library = |file: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/node_modules/");
        ("text/javascript", std::fs::read_to_string(format!("{folder}{file}")).unwrap())
    };
    let page = |head: &str, body: &str| {
        let page = format!(
            "<!doctype html><html lang=en><head><title>x</title><link rel=icon href='data:,'>{head}</head><body>{body}</body></html>"
        );
        ("text/html; charset=utf-8", page)
    };
    let link = "<a id=a href=/page>x</a>";
    match path {
        "/page" => page("", TRACKERS),
        "/link" => page("", link),
        "/prefetch" => page("<link rel=prefetch href=/page>", link),
        "/turbo.js" => library("@hotwired/turbo/dist/turbo.es2017-umd.js"),
        "/htmx.js" => library("htmx.org/dist/htmx.min.js"),
        "/turbo/1" | "/htmx/1" | "/turbo/2" | "/htmx/2" => {
            let (library, number) = path[1..].split_once('/').unwrap();
            let trackers = if number == "2" { TRACKERS } else { "" };
            page(
                &format!("<script src=/{library}.js></script>"),
                &format!("<div hx-boost=true hx-boost:inherited=true><h1>{library} {number}</h1><a id=a href=/{library}/2>x</a>{trackers}</div>"),
            )
        }
        "/xhtml" => (
            "application/xhtml+xml",
            format!("<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><head><script src='/a.js'/><title>x</title></head><body><p>x</p>{TRACKERS}</body></html>"),
        ),
        "/svg" => (
            "image/svg+xml",
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink'><image x:href='//ad.doubleclick.net/x.gif' width='9' height='9'/><script href='https://www.googletagmanager.com/gtm.js'/></svg>".to_owned(),
        ),
        "/frames" => {
            let srcdoc = TRACKERS.replace('<', "&lt;").replace('"', "&quot;");
            page("", &format!("<object data=/page></object><embed src=/page><iframe src=/svg></iframe><iframe srcdoc=\"{srcdoc}\"></iframe>"))
        }
        "/untyped" => ("", page("", TRACKERS).1),
        _ if path.starts_with("/worker.js?") => {
            let request = percent_encoding::percent_decode_str(&path[11..]).decode_utf8_lossy();
            (
                "text/javascript",
                format!("addEventListener('install', () => skipWaiting()); addEventListener('activate', (event) => event.waitUntil(clients.claim())); \
                    addEventListener('fetch', (event) => {{ if (event.request.mode === 'navigate') event.respondWith(fetch({request})); }});"),
            )
        }
        _ => ("text/plain", String::new()),
    }
}

#[test]
fn pages_are_guarded_by_every_way_into_a_window() {
    let origin = Origin::scripted(|request, stream| {
        let (media_type, body) = served(request.line.split(' ').nth(1).unwrap());
        let media_type = if media_type.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {media_type}\r\n")
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\n{media_type}Cache-Control: max-age=600\r\nETag: \"a\"\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_ok()
    });
    let proxy = Proxy::start(&origin, "[banner]\nenabled = true\n[page]\nguard = true\n");
    let found = node("ways.mjs", &proxy);
    let ways = found.as_object().unwrap();
    assert_eq!(ways.len(), 11, "{found:#}");
    for (way, found) in ways {
        assert_eq!(found["contacted"], json!([]), "{way}: {found:#}");
        assert_eq!(found["guarded"], true, "{way}: {found:#}");
        // An SVG document cannot contain a banner.
        assert_eq!(found["banners"], u8::from(way != "svg"), "{way}: {found:#}");
        assert_eq!(found["frames"], if way == "frames" { 5 } else { 1 }, "{way}: {found:#}");
    }
}
