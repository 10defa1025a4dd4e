//! Header fields other than cookies in a real Chromium. Identifiers that Chromium stores and returns without
//! consentry are not returned through consentry without consent. `tls.rs` tests `Alt-Svc` with curl: Chromium
//! follows it only over QUIC.

use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

use crate::nginx::program;
use crate::support::{Origin, Proxy, full_consent};

/// Request fields that the origin reports.
const WATCHED: [&str; 6] = [
    "available-dictionary",
    "dictionary-id",
    "sec-ch-ua-model",
    "sec-ch-ua-platform-version",
    "sec-ch-ua",
    "service-worker-navigation-preload",
];

/// An origin that marks clients by a dictionary, requests hints, and reports the fields that it receives.
fn origin() -> Origin {
    Origin::scripted(|received, stream| {
        let path = received.line.split(' ').nth(1).unwrap_or_default();
        let (head, body) = match path.split('?').next().unwrap_or_default() {
            "/" => (
                "Content-Type: text/html\r\nAccept-CH: Sec-CH-UA-Model, Sec-CH-UA-Platform-Version\r\n",
                "<!doctype html><link rel=icon href='data:,'><script src=/dictionary.js></script>"
                    .to_owned(),
            ),
            "/dictionary.js" => (
                "Content-Type: text/javascript\r\nCache-Control: max-age=3600\r\nUse-As-Dictionary: match=\"/seen*\", id=\"visitor-7\"\r\n",
                format!("/* {} */", "one visitor's own dictionary ".repeat(40)),
            ),
            "/worker.js" => (
                "Content-Type: text/javascript\r\n",
                "onactivate = (event) => event.waitUntil(clients.claim());
                 onfetch = (event) => { if (event.request.mode === 'navigate') event.respondWith(event.preloadResponse); };"
                    .to_owned(),
            ),
            _ => {
                let received: serde_json::Map<String, Value> = WATCHED
                    .iter()
                    .filter_map(|name| Some(((*name).to_owned(), json!(received.field(name)?))))
                    .collect();
                ("Content-Type: application/json\r\nCache-Control: no-store\r\n", Value::Object(received).to_string())
            }
        };
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    })
}

/// The fields that Chromium returns to the origin at this port.
fn returned_fields(port: u16, cookie: Option<&str>) -> Value {
    let output = Command::new(program("node"))
        .arg("fields.mjs")
        .arg(program("chromium"))
        .arg(format!("http://localhost:{port}"))
        .args(cookie)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn chromium_sends_no_identifier_back_without_consent() {
    let origin = origin();
    let proxy = Proxy::start(&origin, "");
    let all = full_consent();
    for (port, cookie) in
        [(origin.address.port(), None), (proxy.address.port(), Some(all.as_str()))]
    {
        let with = returned_fields(port, cookie);
        assert_eq!(with["dictionary"]["dictionary-id"], "\"visitor-7\"", "{with}");
        assert!(with["dictionary"]["available-dictionary"].is_string(), "{with}");
        assert!(with["hints"]["sec-ch-ua-platform-version"].is_string(), "{with}");
        assert_eq!(with["preload"]["service-worker-navigation-preload"], "visitor-7", "{with}");
    }
    let without = returned_fields(proxy.address.port(), None);
    assert_eq!(without["dictionary"], json!({}));
    for load in ["hints", "preload"] {
        let names: Vec<&String> = without[load].as_object().unwrap().keys().collect();
        assert!(!names.iter().any(|name| name.starts_with("sec-ch-ua-")), "{without}");
        assert!(without[load]["sec-ch-ua"].is_string(), "low-entropy hints pass: {without}");
    }
    assert_eq!(without["preload"]["service-worker-navigation-preload"], "true");
}

#[test]
fn a_banner_choice_on_a_compressed_page_returns_to_the_page() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let html = "<!doctype html><html lang=en><head><title>Shop</title><link rel=icon href='data:,'></head><body></body></html>";
    encoder.write_all(html.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let origin = Origin::responding([head.into_bytes(), body].concat());
    let proxy = Proxy::start(&origin, "banner.enabled = true");
    let url = format!("http://localhost:{}/account?item=1", proxy.address.port());
    let output = Command::new(program("node"))
        .args(["return.mjs".as_ref(), program("chromium").as_os_str(), url.as_ref()])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), url, "{output:?}");
}
