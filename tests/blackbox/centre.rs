//! The bridge, and the Global Privacy Control support resource.

use crate::support::{Origin, Proxy, consent_cookie, request};

/// The bridge is off by default.
const ON: &str = "centre.bridge = true";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Posts to the bridge like a page of the site, with these fields replaced.
fn post(
    proxy: &Proxy,
    body: &str,
    fields: &[(&str, &str)],
) -> (u16, Vec<String>, serde_json::Value) {
    let length = body.len().to_string();
    let mut all = vec![("Content-Length", length.as_str())];
    for (name, value) in [("Origin", "http://shop.example"), ("Content-Type", "application/json")] {
        if !fields.iter().any(|(other, _)| *other == name) {
            all.push((name, value));
        }
    }
    all.extend(fields.iter().filter(|(_, value)| !value.is_empty()));
    let mut client = proxy.connect();
    client.send(&request("POST", "/.consentry/bridge", &all));
    client.send(body.as_bytes());
    let reply = client.reply("POST");
    let json = serde_json::from_str(&reply.text()).unwrap_or(serde_json::Value::Null);
    (reply.status, reply.set_cookies(), json)
}

#[test]
fn a_posted_choice_becomes_the_consent_cookie() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    let (status, cookies, json) =
        post(&proxy, r#"{"granted":["analytics","necessary","video"]}"#, &[]);
    assert_eq!(
        (status, json["granted"].to_string().as_str()),
        (200, r#"["necessary","analytics"]"#)
    );
    let [line] = cookies.as_slice() else { panic!("{cookies:?}") };
    let (cookie, attributes) = line.split_once("; ").unwrap();
    assert!(
        cookie.starts_with("consentry=1~") && cookie.ends_with("~2018-05-25~analytics~"),
        "{line}"
    );
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Path=/; Max-Age=34560000");
    assert!(origin.received_nothing());
    // The cookie is accepted.
    proxy.get("/", &[("Cookie", &format!("{cookie}; _ga=1; _fbp=1"))]);
    assert_eq!(origin.next_request().field("cookie").unwrap(), format!("{cookie}; _ga=1"));
    // It is set only once: a page may post on each page view.
    let (status, cookies, _) = post(&proxy, r#"{"granted":["analytics"]}"#, &[("Cookie", cookie)]);
    assert_eq!((status, cookies.len()), (204, 0));
    let (status, cookies, _) = post(&proxy, r#"{"granted":[]}"#, &[("Cookie", cookie)]);
    assert_eq!(status, 200);
    assert!(cookies[0].contains("~2018-05-25~~; "), "a refusal is a choice: {cookies:?}");
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[test]
fn a_choice_has_the_time_that_the_tool_reports() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &format!("consent.max_age_days = 36500\n{ON}"));
    for time in ["1600000000", "1600000000000", "\"2020-09-13T12:26:40Z\""] {
        let body = format!(r#"{{"granted":["social"],"time":{time}}}"#);
        let (status, cookies, _) = post(&proxy, &body, &[]);
        assert_eq!(status, 200);
        assert!(cookies[0].starts_with("consentry=1~1600000000~"), "{cookies:?}");
    }
    // The same decision is renewed only with a newer time.
    let old = "consentry=1~1600000000~2018-05-25~social~";
    let (status, _, _) = post(&proxy, r#"{"granted":["social"]}"#, &[("Cookie", old)]);
    assert_eq!(status, 204);
    let (status, _, _) =
        post(&proxy, r#"{"granted":["social"],"time":1700000000}"#, &[("Cookie", old)]);
    assert_eq!(status, 200);
    for time in ["\"soon\"", "-1", "{}"] {
        let body = format!(r#"{{"granted":["social"],"time":{time}}}"#);
        let (status, cookies, json) = post(&proxy, &body, &[]);
        assert_eq!((status, cookies.len()), (400, 0), "{time}");
        assert!(json["error"].as_str().unwrap().contains("time"), "{json}");
    }
}

#[test]
fn choices_in_the_future_or_expired_are_rejected_but_refusals_never_expire() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    let days = 86_400;
    for (granted, time, expected) in [
        (r#""social""#, now() + 120, 400),
        (r#""social""#, now() + 2 * days, 400),
        ("", now() + 120, 400),
        (r#""social""#, now() - 181 * days, 200),
        (r#""social""#, now() - 183 * days, 400),
        ("", now() - 183 * days, 200),
    ] {
        let body = format!(r#"{{"granted":[{granted}],"time":{time}}}"#);
        let (status, cookies, json) = post(&proxy, &body, &[]);
        assert_eq!((status, cookies.len()), (expected, usize::from(expected == 200)), "{body}");
        assert!(status == 200 || json["error"].as_str().unwrap().contains("time"), "{json}");
    }
}

#[test]
fn repeated_posts_of_the_same_choice_change_nothing_for_any_client_clock() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::responding(OK);
    let toml = format!(
        "[receipts]\nurl = 'sqlite:{0}/r.db'\nspool = '{0}/s.db'\n[centre]\nbridge = true\n",
        folder.path().display()
    );
    let proxy = Proxy::start(&origin, &toml);
    // Ahead by less and by more than the allowed clock difference, and behind.
    for (offset, statuses) in [(30, [200, 204, 204]), (600, [400; 3]), (-600, [200, 204, 204])] {
        let time = now().saturating_add_signed(offset);
        let body = format!(r#"{{"granted":["analytics"],"time":{time}}}"#);
        let mut cookie = String::new();
        for expected in statuses {
            let (status, cookies, _) = post(&proxy, &body, &[("Cookie", &cookie)]);
            assert_eq!((status, cookies.len()), (expected, usize::from(expected == 200)), "{body}");
            if let Some(line) = cookies.first() {
                cookie = line.split(';').next().unwrap().to_owned();
                let decided_at: u64 = cookie.split('~').nth(1).unwrap().parse().unwrap();
                assert!(decided_at <= now(), "a time ahead is not kept: {cookie}");
            }
        }
    }
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 2.0);
}

#[test]
fn the_later_of_posted_choice_and_cookie_wins_and_untimed_posts_only_revoke() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    let (day, now) = (86_400, now());
    let decided = |days: u64, notice: &str, granted: &str| {
        format!("consentry=1~{}~{notice}~{granted}~", now - days * day)
    };
    let (current, older) = ("2018-05-25", "2018-01-01");
    // The visitor's cookie, the post with its age in days, and the cookie written: categories and age in days.
    let cases: &[(String, &str, Option<u64>, Option<(&str, u64)>)] = &[
        // Refused in the preference centre, then a page posts what the tool stored before.
        (decided(1, current, ""), "\"social\"", Some(2), None),
        (decided(1, current, ""), "\"social\"", None, None),
        (decided(300, current, ""), "\"social\"", None, None),
        (decided(1, older, ""), "\"social\"", None, None),
        // Then the visitor decides in the tool.
        (decided(2, current, ""), "\"social\"", Some(1), Some(("social", 1))),
        // Granted in the preference centre, and refused in the tool before or after.
        (decided(1, current, "social"), "", Some(2), None),
        (decided(2, current, "social"), "", Some(1), Some(("", 1))),
        (decided(2, current, "social"), "", None, Some(("", 0))),
        // The remaining part of a grant keeps its age.
        (decided(9, current, "analytics+social"), "\"social\"", None, Some(("social", 9))),
        (decided(9, current, "social"), "\"social\",\"analytics\"", None, None),
        (decided(9, older, "social"), "\"social\"", None, None),
    ];
    for (cookie, granted, days, written) in cases {
        let time = days.map(|days| format!(",\"time\":{}", now - days * day)).unwrap_or_default();
        let body = format!("{{\"granted\":[{granted}]{time}}}");
        let (status, cookies, _) = post(&proxy, &body, &[("Cookie", cookie)]);
        let Some((granted, days)) = written else {
            assert_eq!((status, cookies.len()), (204, 0), "{cookie} {body}");
            continue;
        };
        assert_eq!(status, 200, "{cookie} {body}");
        let parts: Vec<&str> = cookies[0].split(['~', ';']).collect();
        let age = (now + 60 - parts[1].parse::<u64>().unwrap()) / day;
        assert_eq!((parts[3], age), (*granted, *days), "{cookie} {body} {cookies:?}");
    }
}

#[test]
fn a_bridge_post_signs_grants_common_to_tool_and_unsigned_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let origin = Origin::responding(OK);
    let toml = format!("{ON}\nconsent.key_file = '{}'\n", key.display());
    let proxy = Proxy::start(&origin, &toml);
    for (cookie, body, granted) in [
        (consent_cookie("analytics+social"), r#"{"granted":["social","targeting"]}"#, "~social~~"),
        (consent_cookie(""), r#"{"granted":["social"]}"#, "~~~"),
    ] {
        let (status, cookies, _) = post(&proxy, body, &[("Cookie", &cookie)]);
        assert_eq!(status, 200);
        assert!(cookies[0].contains(granted), "{cookies:?}");
        let signed = cookies[0].split(';').next().unwrap();
        let (status, _, _) = post(&proxy, body, &[("Cookie", signed)]);
        assert_eq!(status, 204, "it is the same");
    }
}

#[test]
fn bridge_and_consent_api_are_off_by_default() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let (status, cookies, json) = post(&proxy, r#"{"granted":["analytics"]}"#, &[]);
    assert_eq!((status, cookies.len()), (404, 0));
    assert!(json["error"].as_str().unwrap().contains("centre.bridge = true"), "{json}");
    for path in ["consent", "consent.js"] {
        let reply = proxy.get(&format!("/.consentry/{path}"), &[]);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.text().contains("centre.api = true"), "{}", reply.text());
    }
    assert!(origin.received_nothing());
}

#[test]
fn only_same_origin_pages_can_use_the_bridge() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    let choice = r#"{"granted":["analytics"]}"#;
    for (fields, expected) in [
        (&[("Sec-Fetch-Site", "same-origin")][..], 200),
        (&[("Sec-Fetch-Site", "same-origin"), ("Origin", "")], 200),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "same-site")], 403),
        (&[("Origin", "https://evil.example")], 403),
        (&[("Origin", "null")], 403),
        (&[("Origin", "")], 403),
        (&[("Content-Type", "text/plain;charset=UTF-8")], 200),
        (&[("Content-Type", "application/x-www-form-urlencoded")], 415),
        (&[("Content-Type", "")], 415),
    ] {
        let (status, cookies, json) = post(&proxy, choice, fields);
        assert_eq!(status, expected, "{fields:?} {json}");
        assert_eq!(cookies.len(), usize::from(expected == 200), "{fields:?}");
    }
    for body in [
        "",
        "null",
        "[]",
        r#"{"granted":"analytics"}"#,
        r#"{"granted":[1]}"#,
        "{}",
        r#"{"granted":[],"x":1}"#,
    ] {
        assert_eq!(post(&proxy, body, &[]).0, 400, "{body}");
    }
    let long = format!(r#"{{"granted":["{}"]}}"#, "a".repeat(4096));
    assert_eq!(post(&proxy, &long, &[]).0, 413);
    let mut client = proxy.connect();
    client.send(&request(
        "POST",
        "/.consentry/bridge",
        &[
            ("Origin", "http://shop.example"),
            ("Content-Type", "application/json"),
            ("Transfer-Encoding", "chunked"),
        ],
    ));
    client.send(format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()).as_bytes());
    assert_eq!(client.reply("POST").status, 413, "also without a length");
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let mut client = proxy.connect();
        client.send(&request(method, "/.consentry/bridge", &[("Origin", "http://shop.example")]));
        let reply = client.reply(method);
        assert_eq!(
            (reply.status, reply.field("allow").as_deref()),
            (405, Some("POST")),
            "{method}"
        );
    }
    assert_eq!(proxy.get("/.consentry/nothing", &[]).status, 404);
    assert!(origin.received_nothing());
}

#[test]
fn a_missing_request_body_times_out() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &format!("timeouts.idle = '300ms'\n{ON}"));
    let mut client = proxy.connect();
    let fields = [
        ("Origin", "http://shop.example"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "10"),
    ];
    client.send(&request("POST", "/.consentry/bridge", &fields));
    client.send(b"{}");
    assert_eq!(client.reply("POST").status, 408);
}

#[test]
fn the_prefix_is_configurable_and_the_bridge_needs_its_source() {
    let origin = Origin::responding(OK);
    let toml = format!("centre.prefix = '/_privacy/'\nconsent.sources = ['klaro']\n{ON}");
    let proxy = Proxy::start(&origin, &toml);
    assert_eq!(proxy.get("/.consentry/bridge", &[]).status, 200, "the origin's now");
    assert_eq!(origin.next_request().line, "GET /.consentry/bridge HTTP/1.1");
    let mut client = proxy.connect();
    let fields = [
        ("Origin", "http://shop.example"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "2"),
    ];
    client.send(&request("POST", "/_privacy/bridge", &fields));
    client.send(b"{}");
    let reply = client.reply("POST");
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("add \\\"consentry\\\" to them"), "{}", reply.text());
}

#[test]
fn gpc_json_is_served_only_while_gpc_is_honoured() {
    let origin = Origin::responding(OK);
    let asked = |toml: &str| {
        let proxy = Proxy::start(&origin, toml);
        let reply = proxy.get("/.well-known/gpc.json", &[]);
        (reply.status, reply.field("content-type").unwrap_or_default(), reply.text())
    };
    let (status, media_type, text) = asked("consent.notice_date = 2026-01-15");
    assert_eq!((status, media_type.as_str()), (200, "application/json"));
    assert_eq!(text, r#"{"gpc":true,"lastUpdate":"2026-01-15"}"#);
    assert!(origin.received_nothing());
    for toml in ["consent.gpc = 'ignore'", "mode = 'observe'", "consent.gpc_json = false"] {
        assert_eq!(asked(toml).2, "", "{toml}");
        assert_eq!(origin.next_request().line, "GET /.well-known/gpc.json HTTP/1.1", "{toml}");
    }
}

#[test]
fn clients_cannot_forge_the_forwarded_consent_header_even_in_observe_mode() {
    let origin = Origin::responding(OK);
    let forged = [
        ("X-Consent", "everything"),
        ("x-consent", "more"),
        ("X_Consent", "all"),
        ("X_CONSENT", "all"),
        ("X-Consented", "mine"),
    ];
    let proxy = Proxy::start(&origin, "mode = 'observe'\nconsent.forward_header = 'X-Consent'");
    proxy.get("/", &forged);
    let received = origin.next_request();
    assert!(received.values("x-consent").is_empty() && received.values("x_consent").is_empty());
    assert_eq!(received.values("x-consented"), ["mine"]);
    let proxy = Proxy::start(&origin, "consent.forward_header = 'X-Consent'");
    proxy.get("/", &[&forged[..], &[("Cookie", &consent_cookie("social"))]].concat());
    let received = origin.next_request();
    assert_eq!(received.values("x-consent"), ["necessary,social"]);
    assert!(received.values("x_consent").is_empty());
}
