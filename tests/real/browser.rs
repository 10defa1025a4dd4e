//! Chromium as a real browser: cookies stored and deleted, and console messages.

use std::process::Command;

use crate::nginx::program;
use crate::site::{Site, element_text};

/// Opens a page, waits for its scripts, and returns the document.
pub fn open(url: &str) -> String {
    open_with(url, &[])
}

/// Like `open`, with additional arguments for Chromium.
pub fn open_with(url: &str, arguments: &[&str]) -> String {
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
