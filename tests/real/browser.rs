//! Chromium as a real browser: cookies stored and deleted, beacons detected, and console messages.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

use crate::nginx::program;
use crate::site::{Site, element_text};
use crate::support::{Origin, Proxy};

/// Opens a page, waits for its scripts, and returns the document.
pub fn open(url: &str) -> String {
    open_with(url, &[])
}

/// Like `open`, with additional arguments for Chromium.
pub fn open_with(url: &str, arguments: &[&str]) -> String {
    // On a busy machine, Chromium sometimes exits without printing the page. A page can be empty too.
    let mut pages = std::iter::repeat_with(|| dump(url, arguments)).take(3);
    pages.find(|page| !page.trim().is_empty()).unwrap_or_default()
}

fn dump(url: &str, arguments: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(program("chromium"))
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .args(arguments)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn chromium_deletes_script_cookies_and_keeps_the_session() {
    let site = Site::start();
    let direct = open(&format!("{}/?track", site.nginx.url()));
    assert_eq!(
        element_text(&direct, "left"),
        "PHPSESSID PHPSESSID_theme _ga _gid _hjSessionUser_1 lang",
        "without consentry"
    );
    assert!(site.pixels() > 0);
    let before = site.pixels();

    let proxy = site.proxy("[[cookie]]\nname = 'PHPSESSID_theme'\ncategory = 'necessary'");
    let page = open(&format!("http://{}/?track", proxy.address));
    assert_eq!(element_text(&page, "left"), "PHPSESSID PHPSESSID_theme");
    assert_eq!(
        element_text(&page, "seen"),
        "PHPSESSID PHPSESSID_theme",
        "the site never saw the others"
    );
    assert_eq!(site.pixels(), before, "nor was its pixel reached");
    let sample =
        "consentry_beacons_blocked_total{site=\"default\",category=\"analytics\",mode=\"enforce\"}";
    assert!(proxy.metric(sample) >= 1.0);
}

#[test]
fn posts_whose_response_no_script_of_chromium_reads_are_detected_as_beacons() {
    const PAGE: &str = "<!doctype html><link rel=icon href='data:,'><script>
        const send = (path, body) => navigator.sendBeacon(path, body);
        send('/text', 'uid=7');
        send('/bytes', new Uint8Array([7]));
        send('/nothing');
        send('/json', new Blob(['{}'], { type: 'application/json' }));
        send('/form', new URLSearchParams({ uid: 7 }));
        send('/', 'the text of a draft');
        fetch('/keepalive', { method: 'POST', mode: 'no-cors', keepalive: true, body: 'uid=7' });
        fetch('/read', { method: 'POST', body: 'uid=7' });
        </script>";
    let origin = Origin::scripted(|received, stream| {
        let response = match received.line.starts_with("GET") {
            true => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{PAGE}",
                PAGE.len()
            ),
            false => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        };
        stream.write_all(response.as_bytes()).is_ok()
    });
    let proxy = Proxy::start(&origin, "beacons.detect = 'block'");
    open(&format!("http://localhost:{}/", proxy.address.port()));
    let mut posts = BTreeMap::new();
    while posts.len() < 8 {
        let entry = proxy.next_access_log_entry();
        if entry["method"] == "POST" {
            let path = entry["path"].as_str().unwrap().to_owned();
            posts.insert(path, entry["beacon"] == "unclassified");
        }
    }
    let detected: Vec<&str> =
        posts.iter().filter(|(_, beacon)| **beacon).map(|(path, _)| path.as_str()).collect();
    // Chromium sends JSON in the mode `cors`, like requests of scripts that read the response.
    assert_eq!(detected, ["/bytes", "/keepalive", "/nothing", "/text"], "{posts:?}");
}
