//! Header fields other than cookies: tracking technologies in both directions, fields that bypass the proxy,
//! upstream URLs, trailers, and cacheability.

use crate::support::{Origin, Proxy, consent_cookie, full_consent, request};

/// An origin that responds with these field lines.
fn answering(fields: &[&str]) -> Origin {
    let lines: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
    Origin::responding(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"))
}

/// One response field of each technology.
const RESPONSE: [&str; 13] = [
    "NEL: {\"report_to\":\"x\",\"max_age\":60}",
    "Reporting-Endpoints: a=\"https://tracker.test/7\"",
    "Attribution-Reporting-Register-Source: {}",
    "Observe-Browsing-Topics: ?1",
    "Ad-Auction-Signals: []",
    "Shared-Storage-Write: set;key=\"id\";value=\"7\"",
    "Sec-Private-State-Token: AAEC",
    "Private-State-Token: AAEC",
    "Accept-CH: Sec-CH-UA-Model",
    "Critical-CH: Sec-CH-UA-Model",
    "Use-As-Dictionary: match=\"/*\", id=\"visitor-7\"",
    "Set-Cookie2: id=7; Version=1",
    "Report-To: {\"group\":\"g\",\"max_age\":60,\"endpoints\":[{\"url\":\"https://tracker.test/\"}]}",
];

/// One request field of each technology.
const REQUEST: [(&str, &str); 14] = [
    ("Available-Dictionary", ":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:"),
    ("Dictionary-ID", "\"visitor-7\""),
    ("Sec-Browsing-Topics", "(1);v=chrome.1"),
    ("Attribution-Reporting-Eligible", "trigger"),
    ("Sec-Ad-Auction-Fetch", "?1"),
    ("Sec-Shared-Storage-Writable", "?1"),
    ("Sec-Private-State-Token", "AAEC"),
    ("Sec-Redemption-Record", "x"),
    ("Sec-CH-UA-Model", "\"Pixel 9\""),
    ("Sec-CH-UA-Full-Version-List", "\"Chromium\";v=\"156.0.1.2\""),
    ("Device-Memory", "8"),
    ("CMCD-Session", "sid=\"7\""),
    ("X-UIDH", "OTgxNTk2NDk0AD"),
    ("Cookie2", "$Version=1"),
];

#[test]
fn tracking_fields_without_consent_pass_in_neither_direction() {
    let origin = answering(&RESPONSE);
    let proxy = Proxy::start(&origin, "");
    let denied = proxy.get("/", &REQUEST);
    let received = origin.next_request();
    let granted = proxy.get("/", &[&REQUEST[..], &[("Cookie", full_consent().as_str())]].concat());
    let received_granted = origin.next_request();
    for line in RESPONSE {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(denied.field(name), None, "{name} without consent");
        assert_eq!(granted.field(name).as_deref(), Some(value), "{name} with consent");
    }
    for (name, value) in REQUEST {
        assert_eq!(received.field(name), None, "{name} without consent");
        assert_eq!(received_granted.field(name).as_deref(), Some(value), "{name} with consent");
    }
    assert!(denied.field("cache-control").is_some_and(|control| control == "private"));
    assert_eq!(granted.field("cache-control"), None);
    let stripped = RESPONSE.len() + REQUEST.len();
    proxy.expect_metric(
        "consentry_technologies_stripped_total{site=\"default\",mode=\"enforce\"}",
        f64::from(u32::try_from(stripped).unwrap()),
    );
}

#[test]
fn observe_mode_passes_every_field() {
    let origin = answering(&[&RESPONSE[..], &["Alt-Svc: h3=\":443\""]].concat());
    let proxy = Proxy::start(&origin, "mode = 'observe'");
    let reply = proxy.get("/", &REQUEST);
    let received = origin.next_request();
    for line in RESPONSE {
        assert!(reply.field(line.split_once(':').unwrap().0).is_some(), "{line}");
    }
    assert!(REQUEST.iter().all(|(name, _)| received.field(name).is_some()));
    assert_eq!(reply.field("alt-svc").as_deref(), Some("h3=\":443\""));
}

#[test]
fn alternative_service_fields_are_removed_and_earlier_ones_cleared() {
    let origin = answering(&[
        "Alt-Svc: h3=\":8443\"; ma=2592000, h2=\"origin.test:443\"",
        "Alternate-Protocol: 443:quic",
        "Onion-Location: http://shop.onion/",
    ]);
    let proxy = Proxy::start(&origin, "");
    for cookie in ["a=1".to_owned(), full_consent()] {
        let reply = proxy.get("/", &[("Alt-Used", "origin.test"), ("Cookie", &cookie)]);
        assert_eq!(reply.values("alt-svc"), ["clear"]);
        assert_eq!(
            (reply.field("alternate-protocol"), reply.field("onion-location")),
            (None, None)
        );
        assert_eq!(reply.field("cache-control"), None, "the same for every visitor");
        assert_eq!(origin.next_request().field("alt-used"), None);
    }
    let keep = Proxy::start(&origin, "technologies.alternative_services = 'keep'");
    let reply = keep.get("/", &[("Alt-Used", "origin.test")]);
    assert!(reply.field("alt-svc").unwrap().starts_with("h3="));
    assert_eq!(origin.next_request().field("alt-used").as_deref(), Some("origin.test"));
}

#[test]
fn redirects_to_the_upstream_use_the_requested_host() {
    let origin = Origin::scripted(|received, stream| {
        use std::io::Write;
        let own = stream.local_addr().unwrap();
        let field = match received.line.split(' ').nth(1).unwrap() {
            "/location" => format!("Location: http://{own}/next?a=b#c"),
            "/localhost" => format!("Location: http://localhost:{}/next", own.port()),
            "/content-location" => format!("Content-Location: //{own}/next"),
            "/refresh" => format!("Refresh: 0; url=http://{own}/next"),
            "/link" => format!("Link: <http://{own}/a.css>; rel=preload"),
            _ => "Location: https://login.example/".to_owned(),
        };
        let head = format!("HTTP/1.1 302 Found\r\n{field}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).is_ok()
    });
    for (toml, fields, base) in [
        ("", &[("Host", "shop.example:8080")][..], "http://shop.example:8080"),
        (
            "listen.trusted_proxies = ['127.0.0.0/8']",
            &[("Host", "shop.example"), ("X-Forwarded-Proto", "https")],
            "https://shop.example",
        ),
        ("mode = 'observe'", &[("Host", "shop.example")], "http://shop.example"),
    ] {
        let proxy = Proxy::start(&origin, toml);
        for (path, name, expected) in [
            ("/location", "location", format!("{base}/next?a=b#c")),
            ("/localhost", "location", format!("{base}/next")),
            ("/content-location", "content-location", format!("{base}/next")),
            ("/refresh", "refresh", format!("0; url={base}/next")),
            ("/link", "link", format!("<{base}/a.css>; rel=preload")),
            ("/other", "location", "https://login.example/".to_owned()),
        ] {
            assert_eq!(proxy.get(path, fields).field(name), Some(expected), "{path}");
        }
    }
}

#[test]
fn links_to_hosts_without_consent_are_removed_from_early_hints_and_responses() {
    let links = "<https://t.tracker.test/a.js>; rel=preload; as=script, </a.css>; rel=\"preload\"; as=style, \
                 <https://tracker.test>;rel=preconnect,<//tracker.test>; rel=dns-prefetch, \
                 <https://tracker.test/m.js>; rel=modulepreload, <https://tracker.test/p>; rel=prefetch, \
                 <https://tracker.test/>; rel=canonical,<https://other.test>; rel=preconnect; x=\"a,  b\"";
    let origin = Origin::responding(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: {links}\r\nLink: <https://tracker.test>; rel=preconnect\r\n\r\n\
         HTTP/1.1 200 OK\r\nLink: {links}\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok"
    ));
    let kept = "</a.css>; rel=\"preload\"; as=style, <https://tracker.test/>; rel=canonical, \
                <https://other.test>; rel=preconnect; x=\"a,  b\"";
    let rule = "[[host]]\nname = 'tracker.test'\ncategory = 'analytics'\n";
    for (toml, allowed, expected) in [
        ("page.guard = true", "targeting", &[kept][..]),
        ("page.guard = true", "analytics", &[links, "<https://tracker.test>; rel=preconnect"]),
        ("", "", &[links, "<https://tracker.test>; rel=preconnect"]),
        (
            "page.guard = true\nmode = 'observe'",
            "",
            &[links, "<https://tracker.test>; rel=preconnect"],
        ),
    ] {
        let proxy = Proxy::start(&origin, &format!("{toml}\n{rule}"));
        let mut client = proxy.connect();
        client.send(&request("GET", "/", &[("cookie", &consent_cookie(allowed))]));
        let hints = client.head();
        assert_eq!(hints.status, 103);
        assert_eq!(hints.values("link"), expected, "{toml} {allowed}");
        assert_eq!(client.head().values("link"), expected[..1], "{toml} {allowed}");
    }
}

#[test]
fn policies_of_pages_are_tightened_without_consent() {
    let fields = [
        "Permissions-Policy: camera=(), browsing-topics=(self)",
        "Referrer-Policy: unsafe-url",
        "Content-Type: text/html; charset=utf-8",
    ];
    let own = "camera=(), browsing-topics=(self)";
    let added = "attribution-reporting=(), join-ad-interest-group=(), run-ad-auction=()";
    let origin = answering(&fields);
    let keys = "technologies.permissions_policy = 'targeting'\n\
                technologies.referrer_policy = 'targeting'";
    let proxy = Proxy::start(&origin, keys);
    let denied = proxy.get("/", &[]);
    assert_eq!(denied.values("permissions-policy"), [own, added]);
    assert_eq!(denied.values("referrer-policy"), ["strict-origin-when-cross-origin"]);
    assert_eq!(denied.field("cache-control").as_deref(), Some("private"));
    let unchanged = |proxy: &Proxy, cookie: &str| {
        let reply = proxy.get("/", &[("Cookie", cookie)]);
        assert_eq!(reply.values("permissions-policy"), [own], "{cookie}");
        assert_eq!(reply.values("referrer-policy"), ["unsafe-url"], "{cookie}");
        assert_eq!(reply.field("cache-control"), None, "{cookie}");
    };
    unchanged(&proxy, &consent_cookie("targeting"));
    unchanged(&Proxy::start(&origin, ""), "a=1");
    unchanged(&Proxy::start(&origin, &format!("mode = 'observe'\n{keys}")), "a=1");
    let script = answering(&["Content-Type: text/javascript", "Referrer-Policy: unsafe-url"]);
    let reply = Proxy::start(&script, keys).get("/", &[]);
    assert_eq!(reply.values("referrer-policy"), ["unsafe-url"]);
    assert_eq!(reply.field("permissions-policy"), None);
}

#[test]
fn request_trailers_follow_the_rules_of_the_head() {
    let origin = answering(&[]);
    for mode in ["enforce", "observe"] {
        let toml = format!("mode = '{mode}'\n[consent]\nforward_header = 'X-Consent'");
        let proxy = Proxy::start(&origin, &toml);
        let forbidden = "Cookie, X-Consent, X_Consent, X-Forwarded-For, X_Forwarded_For, Forwarded, X-Real-IP, Sec-CH-UA-Model";
        let mut client = proxy.connect();
        // The connection can still be used after each response.
        for (names, expected) in [
            (format!("X-Checksum, {forbidden}"), &["x-checksum: necessary,targeting=1"][..]),
            (forbidden.to_owned(), &[]),
            ("X-Checksum".to_owned(), &["x-checksum: necessary,targeting=1"]),
        ] {
            client.send(&request(
                "POST",
                "/",
                &[
                    ("Transfer-Encoding", "chunked"),
                    ("Trailer", &names),
                    ("Cookie", &consent_cookie("")),
                ],
            ));
            let trailers: String = names
                .split(", ")
                .map(|name| format!("{name}: necessary,targeting=1\r\n"))
                .collect();
            client.send(format!("2\r\nab\r\n0\r\n{trailers}\r\n").as_bytes());
            assert_eq!(client.reply("POST").text(), "ok");
            let received = origin.next_request();
            assert_eq!(received.body, b"ab");
            let reached: Vec<String> =
                received.trailers.iter().map(|line| line.to_lowercase()).collect();
            assert_eq!(reached, expected, "{mode} {names}");
        }
    }
}

#[test]
fn response_trailers_follow_the_rules_of_the_head() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum, Set-Cookie2, NEL, Accept-CH\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 7\r\nSet-Cookie2: a=1\r\nNEL: {}\r\nAccept-CH: DPR\r\n\r\n",
    );
    let reply = Proxy::start(&origin, "").get("/", &[("TE", "trailers"), ("Connection", "TE")]);
    let names: Vec<_> = reply.trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(names, ["x-sum"]);
}

#[test]
fn stripped_responses_are_not_shared_by_any_cache() {
    let targeted = [
        "CDN-Cache-Control",
        "Cloudflare-CDN-Cache-Control",
        "Akamai-Cache-Control",
        "X-LiteSpeed-Cache-Control",
        "Surrogate-Control",
        "Edge-Control",
        "X-Accel-Expires",
    ];
    let mut fields: Vec<String> =
        targeted.iter().map(|name| format!("{name}: public, max-age=600")).collect();
    fields.push("Cache-Control: must-understand, no-store".to_owned());
    fields.push("Set-Cookie: _ga=1".to_owned());
    let lines: Vec<&str> = fields.iter().map(String::as_str).collect();
    let origin = answering(&lines);
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/", &[]);
    assert_eq!(reply.field("cache-control").as_deref(), Some("must-understand, no-store, private"));
    for name in targeted {
        let value = reply.field(name).unwrap();
        let uncacheable = ["no-store", "no-cache"].iter().any(|word| value.contains(word));
        assert!(uncacheable || value == "0", "{name}: {value}");
    }
    let kept = proxy.get("/", &[("Cookie", &full_consent())]);
    assert!(targeted.iter().all(|name| kept.field(name).unwrap() == "public, max-age=600"));
}
