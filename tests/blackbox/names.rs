//! Classification by name alone, and its limits: wide patterns, companions, consent records, suggestions.

use std::io::Write;

use crate::support::{Origin, Proxy, consent_cookie, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn framework_sessions_pass_by_their_attributes_and_similar_trackers_do_not() {
    let origin = Origin::setting_cookies(&[
        "_shop_session=1; HttpOnly; SameSite=Lax",
        "_other_session=1; Max-Age=63072000",
        "_tracking_session=1; HttpOnly",
        "SESSIONTRACK=1; HttpOnly",
        "TS0track=1",
        "proximity_ads=1",
        "_shop_session=; Max-Age=0",
    ]);
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/", &[]);
    assert_eq!(
        reply.set_cookies(),
        [
            "_shop_session=1; HttpOnly; SameSite=Lax",
            "_shop_session=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        ],
        "a deletion keeps its effect whatever its attributes"
    );
    origin.next_request();
    // Requests contain no attributes. A replica that has seen no response yet decides the same way.
    let replica = Proxy::start(&origin, "");
    for proxy in [&proxy, &replica] {
        let sent =
            "_shop_session=1; _tracking_session=1; SESSIONTRACK=1; TS0track=1; proximity_ads=1";
        let reply = proxy.get("/", &[("Cookie", sent), ("Sec-Fetch-Mode", "navigate")]);
        assert_eq!(origin.next_request().field("cookie").as_deref(), Some("_shop_session=1"));
        let deleted: Vec<String> = reply.set_cookies();
        let deletes = |name: &str| {
            deleted.iter().any(|line| line.starts_with(&format!("{name}=; Max-Age=0; Path")))
        };
        assert!(deletes("SESSIONTRACK") && deletes("TS0track"), "{deleted:?}");
    }
}

#[test]
fn companion_cookies_of_mediawiki_pass_in_one_field_or_several() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let together = "wikidb_session=1; intranetUserID=7; intranetUserName=Anna; intranetToken=t";
    proxy.get("/", &[("Cookie", together)]);
    assert_eq!(origin.next_request().field("cookie").as_deref(), Some(together));
    let fields: Vec<(&str, &str)> = together.split("; ").map(|pair| ("Cookie", pair)).collect();
    proxy.get("/", &fields);
    assert_eq!(origin.next_request().values("cookie").join("; "), together);
    proxy.get("/", &[("Cookie", "intranetUserID=7; otherUserName=Anna; trackToken=t")]);
    assert_eq!(origin.next_request().field("cookie"), None);
}

#[test]
fn consent_records_pass_in_both_directions_and_are_never_deleted() {
    let records = "tracking-preferences=%7B%7D; acme_cookie_banner=closed; ccpaOptOut=1; fs-cc=x";
    let lines: Vec<String> =
        records.split("; ").map(|pair| format!("{pair}; Path=/; Max-Age=31536000")).collect();
    let origin = Origin::setting_cookies(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let proxy =
        Proxy::start(&origin, "[expire]\non_withdrawal = ['cookies']\n[centre]\napi = true\n");
    let cookie = format!("{records}; _ga=1; gdpr_uid=1");
    let reply = proxy.get("/", &[("Cookie", &cookie), ("Sec-Fetch-Mode", "navigate")]);
    assert_eq!(origin.next_request().field("cookie").as_deref(), Some(records));
    let (deleted, set): (Vec<String>, Vec<String>) =
        reply.set_cookies().into_iter().partition(|line| line.contains("Max-Age=0"));
    assert_eq!(set, lines);
    assert!(
        deleted.iter().all(|line| line.starts_with("_ga=") || line.starts_with("gdpr_uid=")),
        "{deleted:?}"
    );
    assert!(deleted.iter().any(|line| line.starts_with("gdpr_uid=")), "{deleted:?}");

    // A withdrawal deletes the known cookies of the site except these.
    let cookie = format!("{}; {cookie}", consent_cookie("analytics"));
    let fields = [
        ("Cookie", cookie.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/json"),
        ("Content-Length", "14"),
    ];
    let mut client = proxy.connect();
    let mut message = request("POST", "/.consentry/consent", &fields);
    message.extend_from_slice(b"{\"granted\":[]}");
    client.send(&message);
    let reply = client.reply("POST");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let cleared = reply.set_cookies();
    assert!(cleared.iter().any(|line| line.starts_with("_ga=;")), "{cleared:?}");
    for record in records.split("; ") {
        let name = record.split('=').next().unwrap_or_default();
        assert!(!cleared.iter().any(|line| line.starts_with(&format!("{name}="))), "{cleared:?}");
    }
}

/// An application that logs users in by POST, and also counts visits.
fn application() -> Origin {
    Origin::scripted(|received, stream| {
        let lines: &[&str] = match received.line.as_str() {
            "POST /login HTTP/1.1" => &[
                "sw8=1; HttpOnly",
                "acmeUser-1=anna; HttpOnly; Max-Age=2592000",
                "mystate=1; HttpOnly; Max-Age=7776000",
                "pane=1",
                "ui_lang=de; Max-Age=2592000",
                "visit_stats=1; HttpOnly",
            ],
            "GET /edit5 HTTP/1.1" => &["acmeRevision5=saved; Max-Age=1200"],
            "GET /edit6 HTTP/1.1" => &["acmeRevision6=saved; Max-Age=1200"],
            _ => &["first=1; Max-Age=31536000"],
        };
        let lines: String = lines.iter().map(|line| format!("Set-Cookie: {line}\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).is_ok()
    })
}

#[test]
fn login_cookies_are_suggested_as_necessary_and_the_suggestion_keeps_logins_working() {
    let origin = application();
    let proxy = Proxy::start(&origin, "mode = 'observe'\n");
    for path in ["/", "/edit5", "/edit6"] {
        proxy.get(path, &[("Cookie", "eucookielaw_seen=1; acme-consent=yes")]);
    }
    let mut client = proxy.connect();
    client.send(&request("POST", "/login", &[("Content-Length", "0")]));
    let login = client.reply("POST").set_cookies();
    assert_eq!(login.len(), 6);

    let admin = format!("http://{}", proxy.admin);
    let (code, rules, error) = run(&["suggest", "--admin", &admin], "");
    assert_eq!(code, 0, "{error}");
    let suggested = |name: &str| -> String {
        let rule = format!("name = \"{name}\"\ncategory = \"");
        let at = rules.find(&rule).unwrap_or_else(|| panic!("{name} in {rules}"));
        rules[at + rule.len()..].split('"').next().unwrap_or_default().to_owned()
    };
    for (name, category) in [
        ("sw8", "necessary"),
        ("acmeUser-1", "necessary"),
        ("mystate", "necessary"),
        ("pane", "necessary"),
        ("ui_lang", "functional"),
        ("visit_stats", "analytics"),
        ("first", "analytics"),
        ("acmeRevision*", "functional"),
        ("acme-consent", "necessary"),
        ("eucookielaw_seen", "necessary"),
    ] {
        assert_eq!(suggested(name), category, "{name}");
    }

    // With the suggested rules, everything that the login needs passes without consent.
    let proxy = Proxy::start(&origin, &rules);
    let mut client = proxy.connect();
    client.send(&request("POST", "/login", &[("Content-Length", "0")]));
    assert_eq!(client.reply("POST").set_cookies(), login[..4]);
    let (_, again, _) = run(&["suggest", "--admin", &format!("http://{}", proxy.admin)], "");
    assert!(again.starts_with("# 0 rules"), "{again}");
}

#[test]
fn a_static_file_of_one_pixel_is_not_a_beacon() {
    let gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
    let origin = Origin::scripted(move |received, stream| {
        let dated = match received.line.starts_with("GET /themes/") {
            true => "Last-Modified: Tue, 24 Nov 2020 09:00:00 GMT\r\nETag: \"2b\"\r\n",
            false => "Cache-Control: no-store\r\n",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n{dated}Content-Length: {}\r\n\r\n",
            gif.len()
        );
        stream.write_all(&[head.as_bytes(), gif].concat()).is_ok()
    });
    let proxy = Proxy::start(&origin, "[beacons]\ndetect = 'block'\n");
    for path in ["/themes/dot.gif", "/themes/dot.gif?v=5.2.1", "/open.gif?m=7"] {
        proxy.get(path, &[("Sec-Fetch-Dest", "image")]);
    }
    let (_, rules, _) = run(&["suggest", "--admin", &format!("http://{}", proxy.admin)], "");
    assert!(rules.contains("/open.gif") && !rules.contains("dot.gif"), "{rules}");
}
