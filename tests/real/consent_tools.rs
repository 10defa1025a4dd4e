//! Real consent tools in a real Chromium in front of the proxy: the origin sees the visitor's decision.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::nginx::program;
use crate::support::{Origin, Proxy};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools");

/// One cookie of each category, and an unclassified one.
const COOKIES: &str = "Set-Cookie: PHPSESSID=1; Path=/\r\nSet-Cookie: lang=en; Path=/\r\nSet-Cookie: _ga=1; Path=/\r\n\
    Set-Cookie: _fbp=1; Path=/\r\nSet-Cookie: unheard_of=1; Path=/\r\n";

/// A site whose pages are the files of the directory, with one tool each.
fn site() -> Origin {
    Origin::scripted(|request, stream| {
        let path = request.line.split(' ').nth(1).unwrap().split('?').next().unwrap();
        let file = match path.strip_prefix("/lib/") {
            Some(library) => PathBuf::from(FOLDER).join("node_modules").join(library),
            None => PathBuf::from(FOLDER).join(path.trim_start_matches('/')),
        };
        let (media_type, cookies) = match file.extension().and_then(|ending| ending.to_str()) {
            Some("html") => ("text/html", COOKIES),
            Some("css") => ("text/css", ""),
            _ => ("text/javascript", ""),
        };
        let (status, mut body) = match std::fs::read(&file) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        if media_type == "text/html" {
            body = String::from_utf8(body).unwrap().replace("<!--SNIPPET-->", &snippet()).into();
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n{cookies}\r\n"
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_ok()
    })
}

/// The lines that the documentation tells users to put into the page.
fn snippet() -> String {
    let text = include_str!("../../docs/bridge.md");
    let snippet = text.split("```html\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(snippet.lines().count() <= 10, "the documentation promises ten lines");
    snippet.to_owned()
}

/// The result of a visit with one tool, by state: cookies seen by the origin, and cookies left in the jar.
struct ToolRun {
    seen: BTreeMap<String, Vec<String>>,
    jars: BTreeMap<String, Vec<String>>,
}

impl ToolRun {
    /// Visits the page of a tool, through a proxy with this config.
    fn start(tool: &str, toml: &str) -> Self {
        let origin = site();
        let proxy = Proxy::start(&origin, toml);
        let output = Command::new(program("node"))
            .arg("visit.mjs")
            .arg(program("chromium"))
            .args([format!("http://{}", proxy.address).as_str(), tool])
            .current_dir(FOLDER)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{tool}: {printed}\n{}", proxy.log());
        let jars = serde_json::from_slice(&output.stdout).unwrap();
        let mut seen = BTreeMap::new();
        while let Some(request) = origin.try_next_request() {
            let state =
                request.line.split([' ', '?']).nth(2).and_then(|query| query.strip_suffix('2'));
            if let Some(state) = state.filter(|_| request.line.contains(".html?")) {
                let cookies = request.field("cookie").unwrap_or_default();
                let names = cookies.split("; ").filter_map(|pair| pair.split('=').next());
                let mut names: Vec<String> = names.map(str::to_owned).collect();
                names.sort_unstable();
                seen.insert(state.to_owned(), names);
            }
        }
        Self { seen, jars }
    }

    /// Checks a state: the cookies seen by the origin and kept by the browser, except the tool's own.
    fn expect(&self, state: &str, own: &[&str], expected: &str) {
        let others = |names: &[String]| {
            let others = names.iter().map(String::as_str).filter(|name| !own.contains(name));
            others.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(others(&self.seen[state]), expected, "seen: {state}");
        assert_eq!(others(&self.jars[state]), expected, "kept: {state}");
        if state != "none" {
            assert!(own.iter().all(|own| self.seen[state].iter().any(|name| name == own)));
        }
    }

    /// Checks a tool whose "accept" grants these cookies, and which can grant analytics alone.
    fn expect_choices(&self, own: &[&str], accepted: &str) {
        self.expect("accept", own, accepted);
        self.expect("reject", own, "PHPSESSID");
        self.expect("custom", own, "PHPSESSID _ga");
        self.expect("withdraw", own, "PHPSESSID");
    }
}

/// The cookies granted by a tool with the choices analytics and advertising.
const BOTH: &str = "PHPSESSID _fbp _ga";

#[test]
fn vanilla_cookieconsent_is_parsed() {
    let visited =
        ToolRun::start("vanilla-cookieconsent", "consent.sources = ['vanilla-cookieconsent']");
    visited.expect("none", &[], "PHPSESSID");
    visited.expect_choices(&["cc_cookie"], BOTH);
}

#[test]
fn klaro_is_parsed() {
    let visited = ToolRun::start(
        "klaro",
        "[consent]\nsources = ['klaro']\nklaro.map = { matomo = 'analytics', metaPixel = 'targeting' }",
    );
    visited.expect("none", &[], "PHPSESSID");
    visited.expect_choices(&["klaro"], BOTH);
}

#[test]
fn tarteaucitron_is_parsed_with_its_list_of_services() {
    let visited = ToolRun::start("tarteaucitron", "consent.sources = ['tarteaucitron']");
    visited.expect("none", &["tarteaucitron"], "PHPSESSID");
    // The tool also offers a chat, which is functional.
    visited.expect_choices(&["tarteaucitron"], "PHPSESSID _fbp _ga lang");
}

#[test]
fn osano_cookieconsent_is_parsed() {
    let visited = ToolRun::start("osano", "consent.sources = ['osano']");
    visited.expect("none", &[], "PHPSESSID");
    let own = &["cookieconsent_status"];
    // One answer for every category, so unclassified cookies are included.
    visited.expect("accept", own, "PHPSESSID _fbp _ga lang unheard_of");
    visited.expect("reject", own, "PHPSESSID");
    visited.expect("custom", own, "PHPSESSID");
    visited.expect("withdraw", own, "PHPSESSID");
}

#[test]
fn react_cookie_consent_is_understood() {
    let visited = ToolRun::start(
        "react-cookie-consent",
        "consent.sources = ['react-cookie-consent', 'cookiebot']",
    );
    visited.expect("none", &[], "PHPSESSID");
    let own = &["CookieConsent"];
    visited.expect("accept", own, "PHPSESSID _fbp _ga lang unheard_of");
    visited.expect("reject", own, "PHPSESSID");
    visited.expect("custom", &[], "PHPSESSID");
    visited.expect("withdraw", own, "PHPSESSID");
}

#[test]
fn segments_consent_manager_is_understood() {
    let visited = ToolRun::start("segment", "consent.sources = ['auto']");
    visited.expect("none", &[], "PHPSESSID");
    // Its three categories, and social with advertising, are all of the site's.
    visited.expect_choices(&["tracking-preferences"], "PHPSESSID _fbp _ga lang unheard_of");
}

#[test]
fn the_snippets_of_the_bridge_post_the_choice_of_each_tool_and_nothing_before_it() {
    let output = Command::new(program("node"))
        .arg("bridge.mjs")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bridge.md"))
        .current_dir(FOLDER)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_custom_dialog_works_without_a_tool() {
    let visited = ToolRun::start("own-dialog", "centre.api = true");
    visited.expect("none", &[], "PHPSESSID");
    visited.expect_choices(&["consentry"], "PHPSESSID _fbp _ga lang unheard_of");
}

#[test]
fn choices_in_local_storage_arrive_by_the_bridge() {
    let visited = ToolRun::start("klaro-local", "centre.bridge = true");
    visited.expect("none", &[], "PHPSESSID");
    visited.expect_choices(&["consentry"], BOTH);
}
