//! Cookie values stay between visitor and origin: every kind of traffic with marked values, then everything that consentry
//! writes or shows is looked through for the marks.

use std::io::Write;
use std::path::Path;

use crate::support::{Origin, Proxy, request};

/// What each value holds; no name has it.
const MARK: &str = "Zq7mark";

/// An origin that sets marked cookies on every answer, each path with a status or a fault of its own.
fn origin() -> Origin {
    Origin::scripted(|seen, stream| {
        let cookies: String = [
            "session",
            "_ga",
            "_fbp",
            "unheard_of",
            "__Host-x",
            "",
            "consentry",
            "OptanonConsent",
            "bad name",
        ]
        .iter()
        .map(|name| format!("Set-Cookie: {name}={MARK}-set; Path=/; Max-Age=100\r\n"))
        .collect();
        let path = seen.line.split(' ').nth(1).unwrap_or_default();
        let answer = match path.split('?').next().unwrap_or_default() {
            "/garbage" => format!("garbage {MARK}\r\n\r\n"),
            "/cut" => format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: 100\r\n\r\nshort"),
            "/bad" => format!(
                "HTTP/1.1 200 OK\r\n{cookies}Set-Cookie : {MARK}\r\nContent-Length: 0\r\n\r\n"
            ),
            "/trailers" => format!(
                "HTTP/1.1 200 OK\r\n{cookies}Trailer: Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: _ga={MARK}\r\n\r\n"
            ),
            "/redirect" => {
                format!("HTTP/1.1 302 Found\r\n{cookies}Location: /\r\nContent-Length: 0\r\n\r\n")
            }
            "/error" => format!("HTTP/1.1 500 Oops\r\n{cookies}Content-Length: 0\r\n\r\n"),
            "/page" => format!(
                "HTTP/1.1 200 OK\r\n{cookies}Content-Type: text/html\r\nContent-Length: 26\r\n\r\n<html><body>ok</body></htm"
            ),
            _ => format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: 2\r\n\r\nok"),
        };
        let _ = stream.write_all(answer.as_bytes());
        matches!(path, "/" | "/page" | "/redirect" | "/error")
    })
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

fn assert_unmarked(what: &str, octets: &[u8]) {
    let mark = MARK.as_bytes();
    let at = octets.windows(mark.len()).position(|window| window.eq_ignore_ascii_case(mark));
    if let Some(at) = at {
        let around = &octets[at.saturating_sub(120)..(at + 60).min(octets.len())];
        panic!("{what} has a cookie's value: {}", around.escape_ascii());
    }
}

#[test]
fn no_cookie_value_is_in_any_log_metric_page_receipt_or_file() {
    let store = tempfile::tempdir().unwrap();
    let origin = origin();
    let folder = store.path().display();
    let mut proxy = Proxy::start(
        &origin,
        &format!(
            "workers = 1\n[log]\nlevel = 'trace'\n[banner]\nenabled = true\n[page]\nguard = true\n\
             [consent]\nsources = ['consentry', 'onetrust', 'cookiebot', 'auto']\nforward_header = 'x-consent'\n\
             [timeouts]\nfirst_byte = '2s'\n\
             [receipts]\nurl = 'sqlite:{folder}/receipts.db'\nspool = '{folder}/spool'\n"
        ),
    );
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let cookies = [
        format!("session={MARK}; _ga={MARK}; _fbp={MARK}; unheard={MARK}; ={MARK}; {MARK}"),
        format!("session={MARK}; consentry=1~{now}~2018-05-25~analytics~; _ga={MARK}"),
        format!(
            "session={MARK}; consentry={MARK}; OptanonConsent={MARK}; CookieConsent={{{MARK}}}"
        ),
        format!("a=\"{MARK}; b='{MARK}', {MARK}"),
        format!("session={}{MARK}", "x".repeat(9000)),
    ];
    let paths = [
        "/",
        "/page",
        "/redirect",
        "/error",
        "/garbage",
        "/cut",
        "/bad",
        "/trailers",
        "/collect?v=2&tid=G-1",
        "/.consentry/",
        "/.consentry/consent",
        "/.consentry/consent.js",
        "/.consentry/nothing",
    ];
    let mut shown = Vec::new();
    for cookie in &cookies {
        for path in paths {
            for accept in ["text/html", "application/json"] {
                let mut visitor = proxy.visit();
                let fields = [
                    ("Cookie", cookie.as_str()),
                    ("Accept", accept),
                    ("Sec-Fetch-Mode", "navigate"),
                ];
                visitor.send(&request("GET", path, &fields));
                let reply = visitor.reply("GET");
                // What is ours: pages of consentry, and those about errors.
                if path.starts_with("/.consentry") || reply.status >= 500 && path != "/error" {
                    shown.push((format!("{path} for {accept}"), [reply.head, reply.body].concat()));
                }
            }
        }
        for (path, body) in [
            ("/.consentry/", "choice=save&allow=analytics&lang=en".to_owned()),
            ("/.consentry/", format!("choice={MARK}&allow={MARK}")),
            ("/.consentry/consent", "{\"granted\":[\"social\"]}".to_owned()),
            ("/.consentry/consent", format!("{{\"granted\":[\"{MARK}\"]}}")),
        ] {
            let length = body.len().to_string();
            let kind = if body.starts_with('{') {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            let fields = [
                ("Cookie", cookie.as_str()),
                ("Content-Length", &length),
                ("Content-Type", kind),
                ("Sec-Fetch-Site", "same-origin"),
            ];
            let mut visitor = proxy.visit();
            visitor.send(&request("POST", path, &fields));
            visitor.send(body.as_bytes());
            let reply = visitor.reply("POST");
            shown.push((format!("{path} after {body}"), [reply.head, reply.body].concat()));
        }
    }
    for malformed in [
        format!("GET / HTTP/1.1\r\nCookie: _ga={MARK}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: _ga={MARK}\r\nHost: b\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nCookie : _ga={MARK}\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nCookie: _ga={MARK}\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"
        ),
        format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}{MARK}\r\n\r\n", "x".repeat(80_000)),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: _ga={MARK}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        ),
    ] {
        let mut visitor = proxy.visit();
        visitor.send(malformed.as_bytes());
        visitor.finish_sending();
        let answer = visitor.closed();
        if answer.starts_with(b"HTTP/1.1 4") {
            shown.push(("an answer to what is malformed".to_owned(), answer));
        }
    }
    for (what, octets) in shown {
        // A choice of the visitor's own is said back to nobody, either.
        assert_unmarked(&what, &octets);
    }
    for path in [
        "/metrics",
        "/inventory",
        "/inventory.json",
        "/inventory?format=csv",
        "/readyz",
        "/livez",
        "/",
    ] {
        let (_, body) = proxy.admin(path);
        assert_unmarked(&format!("the private listener's {path}"), body.as_bytes());
    }
    let (code, inventory, _) =
        crate::support::run(&["inventory", "--admin", &proxy.admin.to_string()], "");
    assert_eq!(code, 0);
    assert!(inventory.contains("_ga"), "the inventory has seen them: {inventory}");
    assert_unmarked("the inventory", inventory.as_bytes());
    proxy.signal("TERM");
    assert!(proxy.ended().success());
    assert_unmarked("the access log", proxy.rest_of_access().as_bytes());
    let log = proxy.log();
    assert!(log.contains("stripped a cookie"), "the log says much: {log}");
    assert_unmarked("the log", log.as_bytes());
    drop(proxy);
    let mut kept = Vec::new();
    files(store.path(), &mut kept);
    assert!(kept.iter().any(|(name, _)| name.ends_with("receipts.db")));
    for (name, octets) in kept {
        assert_unmarked(&name, &octets);
    }
}
