//! Cookie filtering in both directions.

use crate::support::{Origin, Proxy, consent_cookie, full_consent};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn without_consent_only_necessary_cookies_pass_in_order_and_unchanged() {
    let origin = Origin::responding(
        b"HTTP/1.1 200 OK\r\nX-First: 1\r\nSet-Cookie: PHPSESSID=a;  path=/;HTTPONLY ; x-odd=\xff\"\r\n\
          set-cookie: _ga=GA1.1.2; Path=/; Max-Age=63072000\r\nX-Between: 2\r\n\
          SET-COOKIE: csrftoken=\"b c,d\"; Expires=Fri, 10 Sep 2032 10:00:00 GMT\r\n\
          Set-Cookie: _fbp=fb.1; HttpOnly; Secure\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/", &[]);
    let lines: Vec<&[u8]> = reply
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| &value[..])
        .collect();
    assert_eq!(
        lines,
        [
            &b"PHPSESSID=a;  path=/;HTTPONLY ; x-odd=\xff\""[..],
            b"csrftoken=\"b c,d\"; Expires=Fri, 10 Sep 2032 10:00:00 GMT",
        ]
    );
    assert_eq!(reply.text(), "ok");
    assert_eq!(reply.field("x-first").as_deref(), Some("1"));
    assert_eq!(reply.field("x-between").as_deref(), Some("2"));
}

#[test]
fn each_category_passes_only_with_its_own_consent() {
    let origin =
        Origin::setting_cookies(&["sessionid=1", "NEXT_LOCALE=1", "_ga=1", "_fbp=1", "__atuvc=1"]);
    let proxy = Proxy::start(&origin, "");
    let of = |consent: &str| -> Vec<String> {
        let reply = proxy.get("/", &[("Cookie", consent)]);
        reply.set_cookies().iter().map(|line| line.trim_end_matches("=1").to_owned()).collect()
    };
    assert_eq!(of(&consent_cookie("")), ["sessionid"]);
    assert_eq!(of(&consent_cookie("functional")), ["sessionid", "NEXT_LOCALE"]);
    assert_eq!(of(&consent_cookie("analytics")), ["sessionid", "_ga"]);
    assert_eq!(of(&consent_cookie("targeting")), ["sessionid", "_fbp"]);
    assert_eq!(of(&consent_cookie("social")), ["sessionid", "__atuvc"]);
    assert_eq!(of(&full_consent()), ["sessionid", "NEXT_LOCALE", "_ga", "_fbp", "__atuvc"]);
}

#[test]
fn request_cookies_without_consent_never_reach_the_origin_and_others_are_unchanged() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let consent = consent_cookie("functional");
    let cookie = format!(
        "PHPSESSID=\"x, y\";_ga=GA1;lang=de; {consent}; _fbp=1;  csrftoken=\u{e9}==; token"
    );
    proxy.get("/", &[("Cookie", &cookie)]);
    let expected = format!("PHPSESSID=\"x, y\"; lang=de; {consent}; csrftoken=\u{e9}==");
    assert_eq!(origin.next_request().field("cookie"), Some(expected));

    proxy.get("/", &[("Cookie", "_ga=1; _gid=2")]);
    assert_eq!(origin.next_request().field("cookie"), None, "an empty field would be left");

    let untouched = "PHPSESSID=1;;csrftoken=2 ;";
    proxy.get("/", &[("Cookie", untouched)]);
    assert_eq!(origin.next_request().field("cookie").as_deref(), Some(untouched.trim_end()));
}

#[test]
fn odd_request_cookies_are_filtered_one_by_one_and_kept_bytes_are_unchanged() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let (large, huge) = ("x".repeat(4096), "x".repeat(8192));
    let many = |name: &str| -> Vec<String> {
        (0..100).map(|number| format!("{name}{number}=v")).collect()
    };
    let (kept, gone) = (many("wordpress_logged_in_"), many("_ga_"));
    let mixed: Vec<&str> =
        kept.iter().zip(&gone).flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
    let cases: Vec<(Vec<u8>, Option<Vec<u8>>)> = [
        // The attributes of RFC 2965 are ordinary names, and unclassified.
        (b"$Version=1; PHPSESSID=a; $Path=/; _ga=b".to_vec(), Some(b"PHPSESSID=a".to_vec())),
        (b"_ga=\"a; PHPSESSID=b\"".to_vec(), Some(b"PHPSESSID=b\"".to_vec())),
        (b"PHPSESSID=\"a; _ga=b\"".to_vec(), Some(b"PHPSESSID=\"a".to_vec())),
        (b"PHPSESSID=a, _ga=b".to_vec(), Some(b"PHPSESSID=a, _ga=b".to_vec())),
        (b"_ga=a, PHPSESSID=b".to_vec(), None),
        (b"_ga".to_vec(), None),
        (b"=_ga".to_vec(), None),
        (b"PHPSESSID\t=\ta;\t_ga\t=\tb".to_vec(), Some(b"PHPSESSID\t=\ta".to_vec())),
        (b"PHPSESSID=\xe9\xff; _ga=\xe9; \xe9=1".to_vec(), Some(b"PHPSESSID=\xe9\xff".to_vec())),
        (b"__sEcUrE-_ga=1; __Host-PHPSESSID=2".to_vec(), Some(b"__Host-PHPSESSID=2".to_vec())),
        (
            format!("_ga={huge}; PHPSESSID={large}").into(),
            Some(format!("PHPSESSID={large}").into()),
        ),
        (format!("{huge}=1; PHPSESSID={huge}").into(), Some(format!("PHPSESSID={huge}").into())),
        (mixed.join("; ").into(), Some(kept.join("; ").into())),
    ]
    .into();
    for (sent, expected) in cases {
        let mut client = proxy.connect();
        client.send(&[b"GET / HTTP/1.1\r\nHost: a\r\nCookie: ", &sent[..], b"\r\n\r\n"].concat());
        let shown = sent.get(..80).unwrap_or(&sent).escape_ascii();
        assert_eq!(client.reply("GET").status, 200, "{shown}");
        let received = origin.next_request();
        let cookie = received.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        assert_eq!(cookie.map(|(_, value)| value), expected.as_ref(), "{shown}");
    }
}

#[test]
fn several_cookie_fields_are_all_filtered_and_joined_for_the_origin() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let consent = consent_cookie("analytics");
    proxy.get(
        "/",
        &[
            ("Cookie", "PHPSESSID=1; _fbp=1"),
            ("Cookie", &consent),
            ("cookie", "_ga=2"),
            ("Cookie", "_fbp=3"),
        ],
    );
    assert_eq!(
        origin.next_request().field("cookie"),
        Some(format!("PHPSESSID=1; {consent}; _ga=2"))
    );
}

#[test]
fn redirects_errors_and_304_responses_are_filtered() {
    for status in ["302 Found", "404 Not Found", "500 Internal Server Error", "304 Not Modified"] {
        let length = if status.starts_with("304") { "" } else { "Content-Length: 0\r\n" };
        let origin = Origin::responding(format!(
            "HTTP/1.1 {status}\r\nLocation: /\r\nSet-Cookie: sessionid=1\r\nSet-Cookie: _ga=1\r\n{length}\r\n"
        ));
        let reply = Proxy::start(&origin, "").get("/", &[]);
        assert_eq!(reply.set_cookies(), ["sessionid=1"], "{status}");
    }
}

#[test]
fn lines_that_only_lenient_parsers_accept_are_filtered() {
    let lines = [
        "token",
        "=token",
        "=_ga=1",
        "\u{a0}_ga=1",
        "\t_ga = 1",
        "__Secure-_ga=1; Secure",
        "__hOsT-_ga=1; Secure; Path=/",
        "_ga",
        "; Path=/",
        "_ga=1; Path=/, PHPSESSID=2",
        "unknown_cookie=1",
    ];
    let origin = Origin::setting_cookies(&lines);
    let proxy = Proxy::start(&origin, "");
    assert_eq!(proxy.get("/", &[]).set_cookies(), Vec::<String>::new());
    // A visitor who granted everything granted it too.
    assert_eq!(proxy.get("/", &[("Cookie", &full_consent())]).set_cookies().len(), lines.len());
}

#[test]
fn names_are_case_sensitive_and_every_copy_of_a_name_gets_the_same_decision() {
    let origin =
        Origin::setting_cookies(&["_GA=1", "_ga=1; Path=/a", "_ga=2; Path=/b", "phpsessid=1"]);
    let proxy = Proxy::start(&origin, "unclassified = 'allow'");
    assert_eq!(proxy.get("/", &[]).set_cookies(), ["_GA=1", "phpsessid=1"]);
}

#[test]
fn origin_deletions_are_rewritten_without_consent_and_pass_with_it() {
    const GONE: &str = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    let lines = [
        ("_ga=; Max-Age=0; Path=/", Some("_ga=#; Path=/")),
        ("_gid=1; Max-Age=60; HttpOnly", None),
        ("_fbp=x; expires=Thu, 01-Jan-1970 00:00:01 GMT; uid=x", Some("_fbp=#")),
        (
            "whatever=x; Max-Age=-1; Secure; HttpOnly; SameSite=None; Path=/a; Domain=.shop.example",
            Some("whatever=#; Path=/a; Domain=shop.example; SameSite=none; Secure; HttpOnly"),
        ),
        ("__Host-odd=x; Max-Age=0; Path=/; Secure", Some("__Host-odd=#; Path=/; Secure")),
        ("token; Max-Age=0", Some("=deleted#")),
        ("; Max-Age=0", None),
    ];
    let origin = Origin::setting_cookies(&lines.map(|(line, _)| line));
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/", &[]);
    let expected =
        lines.iter().filter_map(|(_, replaced)| Some(replaced.as_ref()?.replace('#', GONE)));
    assert_eq!(reply.set_cookies(), expected.collect::<Vec<_>>());
    assert_eq!(reply.field("cache-control").as_deref(), Some("private"));
    let stripped = &proxy.next_access_log_entry()["stripped_response"];
    assert_eq!(
        *stripped,
        serde_json::json!({ "analytics": 1 }),
        "a deletion is not a cookie stripped"
    );
    let consenting = proxy.get("/", &[("Cookie", &full_consent())]);
    assert_eq!(consenting.set_cookies(), lines.map(|(line, _)| line));
    assert_eq!(consenting.field("cache-control"), None);
    let necessary = Origin::setting_cookies(&["PHPSESSID=deleted; Max-Age=0; Max-Age=x"]);
    assert_eq!(
        Proxy::start(&necessary, "").get("/", &[]).set_cookies(),
        ["PHPSESSID=deleted; Max-Age=0; Max-Age=x"]
    );
}

#[test]
fn lines_that_only_look_like_deletions_pass_no_value() {
    let lines = [
        "Max-Age=0; Max-Age=x",
        "Max-Age=0; Max-Age",
        "Max-Age=0; Max-Age=+60",
        "Max-Age=0; Max-Age=31536000.5",
        "Max-Age=junk; Max-Age=0",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=x",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60",
        "Expires=1x Jan 1970 00:00:00",
        "Expires=1 Jan 1970xx 2037 00:00:00",
        "Expires=0",
    ]
    .map(|attributes| format!("_ga=secret; {attributes}; Path=/"));
    let origin = Origin::setting_cookies(&lines.each_ref().map(String::as_str));
    let proxy = Proxy::start(&origin, "");
    let passed = proxy.get("/", &[]).set_cookies();
    let deletion = "_ga=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/";
    assert_eq!(passed, vec![deletion; lines.len()]);
    assert_eq!(proxy.next_access_log_entry()["stripped_response"]["analytics"], lines.len());
}

#[test]
fn a_lifetime_is_compared_with_the_date_of_the_response_like_in_browsers() {
    for (date, deletes) in [
        ("", false),
        ("Date: Fri, 01 Jan 2021 00:00:00 GMT\r\n", false),
        ("Date: Sat, 01 Jan 2033 00:00:00 GMT\r\n", true),
        ("Date: Fri, 01 Jan 2021 00:00:00 GMT\r\nDate: Sat, 01 Jan 2033 00:00:00 GMT\r\n", true),
        ("Date: 2021-01-01\r\n", true),
    ] {
        let origin = Origin::responding(format!(
            "HTTP/1.1 200 OK\r\n{date}Set-Cookie: _ga=secret; Expires=Wed, 24 Nov 2032 09:00:00 GMT\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        let proxy = Proxy::start(&origin, "");
        // Not only for the first such line.
        for _ in 0..2 {
            let passed = proxy.get("/", &[]).set_cookies();
            assert_eq!(passed.len(), usize::from(deletes), "{date} {passed:?}");
            assert!(passed.iter().all(|line| line.starts_with("_ga=; Max-Age=0")), "{passed:?}");
        }
    }
    // Expired by our clock, and one day in the future for a browser that corrects by the origin's clock.
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2021 00:00:00 GMT\r\n\
         Set-Cookie: _ga=secret; Expires=Sat, 02 Jan 2021 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let passed = Proxy::start(&origin, "").get("/", &[]).set_cookies();
    assert_eq!(passed, ["_ga=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]);
}

#[test]
fn global_privacy_control_denies_granted_targeting_and_social() {
    let origin = Origin::setting_cookies(&["_ga=1", "_fbp=1", "__atuvc=1"]);
    let proxy = Proxy::start(&origin, "");
    assert_eq!(
        proxy.get("/", &[("Cookie", &full_consent()), ("Sec-GPC", "1")]).set_cookies(),
        ["_ga=1"]
    );
    assert_eq!(
        proxy.get("/", &[("Cookie", &full_consent()), ("Sec-GPC", "0")]).set_cookies().len(),
        3
    );
    let ignoring = Proxy::start(&origin, "[consent]\ngpc = 'ignore'");
    assert_eq!(
        ignoring.get("/", &[("Cookie", &full_consent()), ("Sec-GPC", "1")]).set_cookies().len(),
        3
    );
}

#[test]
fn do_not_track_is_off_by_default_and_the_categories_of_signals_are_configurable() {
    let origin = Origin::setting_cookies(&["NEXT_LOCALE=1", "_ga=1", "_fbp=1", "__atuvc=1"]);
    let count = |toml: &str, signal: &str| {
        let proxy = Proxy::start(&origin, toml);
        proxy.get("/", &[("Cookie", &full_consent()), (signal, "1")]).set_cookies().len()
    };
    assert_eq!(count("", "DNT"), 4);
    assert_eq!(count("[consent]\ndnt = 'deny'", "DNT"), 1);
    assert_eq!(count("[consent]\ndnt = 'deny'\ndnt_categories = ['targeting']", "DNT"), 3);
    assert_eq!(
        count("[consent]\ngpc_categories = ['analytics', 'targeting', 'social']", "Sec-GPC"),
        1
    );
}

#[test]
fn the_default_depends_on_the_region_from_a_trusted_proxy() {
    let origin = Origin::setting_cookies(&["_ga=1"]);
    let toml =
        "[consent.region]\nheader = 'CF-IPCountry'\nregions = { US = 'allow', DE = 'deny' }\n";
    let trusting =
        Proxy::start(&origin, &format!("{toml}[listen]\ntrusted_proxies = ['127.0.0.1']"));
    let in_region = |proxy: &Proxy, region: &str| {
        proxy.get("/", &[("CF-IPCountry", region)]).set_cookies().len()
    };
    assert_eq!(in_region(&trusting, "US"), 1);
    assert_eq!(in_region(&trusting, "us"), 1);
    assert_eq!(in_region(&trusting, "DE"), 0);
    assert_eq!(in_region(&trusting, "XX"), 0, "unknown");
    assert_eq!(trusting.get("/", &[]).set_cookies().len(), 0, "without a region");
    let refused = trusting.get("/", &[("CF-IPCountry", "US"), ("Cookie", &consent_cookie(""))]);
    assert!(refused.set_cookies().is_empty(), "a decision is a decision everywhere");
    assert_eq!(in_region(&Proxy::start(&origin, toml), "US"), 0, "not believed");
}

#[test]
fn granted_categories_are_forwarded_in_the_configured_header() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "[consent]\nforward_header = 'X-Consent'");
    proxy.get("/", &[("Cookie", &consent_cookie("analytics")), ("X-Consent", "everything")]);
    assert_eq!(origin.next_request().values("x-consent"), ["necessary,analytics"]);
    proxy.get("/", &[("Sec-GPC", "1"), ("Cookie", &full_consent())]);
    assert_eq!(origin.next_request().values("x-consent"), ["necessary,functional,analytics"]);
}

#[test]
fn one_config_line_enables_the_consent_tool_of_a_site() {
    let origin = Origin::setting_cookies(&["_ga=1", "_fbp=1"]);
    let proxy = Proxy::start(&origin, "[consent]\nsources = ['auto']");
    let cookie = "OptanonConsent=groups=C0001%3A1%2CC0002%3A1%2CC0004%3A0; OptanonAlertBoxClosed=";
    let now = time::OffsetDateTime::now_utc().date();
    let reply =
        proxy.get("/", &[("Cookie", &format!("{cookie}{now}T00:00:00.236Z; _fbp=1; _ga=1"))]);
    assert_eq!(reply.set_cookies(), ["_ga=1"]);
    let sent = origin.next_request().field("cookie").unwrap();
    assert!(sent.starts_with("OptanonConsent=groups=") && sent.ends_with("236Z; _ga=1"), "{sent}");
    assert_eq!(proxy.next_access_log_entry()["consent"], "auto");
}

#[test]
fn the_stricter_of_two_conflicting_consent_cookies_applies() {
    let origin = Origin::setting_cookies(&["_ga=1", "_fbp=1"]);
    let proxy = Proxy::start(&origin, "");
    let both =
        format!("{}; {}", consent_cookie("analytics+targeting"), consent_cookie("analytics"));
    assert_eq!(proxy.get("/", &[("Cookie", &both)]).set_cookies(), ["_ga=1"]);
}

#[test]
fn malformed_expired_and_outdated_decisions_are_ignored() {
    let origin = Origin::setting_cookies(&["_ga=1"]);
    let toml = "[consent]\nnotice_date = 2026-01-01\nmax_age_days = 10";
    let denying = Proxy::start(&origin, toml);
    let allowing = Proxy::start(&origin, &format!("{toml}\ndefault = 'allow'"));
    let fresh = consent_cookie("analytics").replace("2018-05-25", "2026-01-01");
    let refusal = consent_cookie("").replace("2018-05-25", "2026-01-01");
    for (cookie, denied, allowed) in [
        (fresh.as_str(), 1, 1),
        (&refusal, 0, 0),
        ("consentry=garbage", 0, 1),
        ("consentry=1~1500000000~2026-01-01~analytics~", 0, 1),
        (&consent_cookie("analytics"), 0, 1),
        ("other=1", 0, 1),
    ] {
        assert_eq!(denying.get("/", &[("Cookie", cookie)]).set_cookies().len(), denied, "{cookie}");
        assert_eq!(
            allowing.get("/", &[("Cookie", cookie)]).set_cookies().len(),
            allowed,
            "{cookie}"
        );
    }
    let malformed =
        "consentry_consent_decisions_total{site=\"default\",source=\"none\",reason=\"malformed\"}";
    denying.expect_metric(malformed, 1.0);
}

#[test]
fn only_changed_responses_are_marked_private() {
    let answer = |fields: &str| {
        Origin::responding(format!(
            "HTTP/1.1 200 OK\r\n{fields}Vary: Accept\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let control = |fields: &str| {
        let reply = Proxy::start(&answer(fields), "").get("/", &[]);
        assert_eq!(reply.field("vary").as_deref(), Some("Accept"));
        reply.field("cache-control")
    };
    assert_eq!(control("Set-Cookie: _ga=1\r\n").as_deref(), Some("private"));
    assert_eq!(
        control("Set-Cookie: _ga=1\r\nCache-Control: public, max-age=60\r\n").as_deref(),
        Some("max-age=60, private")
    );
    assert_eq!(
        control("Set-Cookie: _ga=1\r\nCache-Control: no-store\r\n").as_deref(),
        Some("no-store")
    );
    assert_eq!(control("Set-Cookie: sessionid=1\r\n"), None);
    assert_eq!(
        control("Cache-Control: public, max-age=60\r\n").as_deref(),
        Some("public, max-age=60")
    );
}

/// The fields of a page load with these cookies.
fn page_load<'a>(host: &'a str, cookie: &'a str) -> [(&'a str, &'a str); 3] {
    [("Host", host), ("Sec-Fetch-Mode", "navigate"), ("Cookie", cookie)]
}

#[test]
fn a_page_load_deletes_cookies_without_consent_in_every_possible_scope() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let page = page_load("www.shop.example.co.uk", "PHPSESSID=1; _ga=1; unknown=2; consentry=x");
    let reply = proxy.get("/", &page);
    let mut expected = vec!["_ga=; Max-Age=0; Path=/".to_owned()];
    for domain in ["www.shop.example.co.uk", "shop.example.co.uk", "example.co.uk"] {
        expected.push(format!("_ga=; Max-Age=0; Path=/; Domain={domain}"));
    }
    // On a parent domain, an unclassified name may be the login of another host.
    expected.push("unknown=; Max-Age=0; Path=/".to_owned());
    assert_eq!(reply.set_cookies(), expected);
    assert_eq!(reply.field("cache-control").as_deref(), Some("private"));

    let image = [page[0], ("Sec-Fetch-Mode", "no-cors"), page[2]];
    assert_eq!(
        proxy.get("/", &image).set_cookies(),
        Vec::<String>::new(),
        "only page loads delete"
    );
    let allowed = format!("_ga=1; {}", full_consent());
    let consenting = [page[0], page[1], ("Cookie", allowed.as_str())];
    assert_eq!(proxy.get("/", &consenting).set_cookies(), Vec::<String>::new());
    // On a host with a trailing dot, no browser has cookies with a domain.
    let dotted = proxy.get("/", &page_load("www.example.com.", "_ga=1")).set_cookies();
    assert_eq!(dotted, ["_ga=; Max-Age=0; Path=/"]);
}

#[test]
fn a_page_load_deletes_at_each_prefix_of_its_path() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/sub/deep/x?q=/y", &page_load("localhost", "unknown=2; token"));
    let paths = ["/", "/sub", "/sub/", "/sub/deep", "/sub/deep/", "/sub/deep/x"];
    let of = |start: &'static str| paths.map(|path| format!("{start}; Max-Age=0; Path={path}"));
    assert_eq!(reply.set_cookies(), [of("unknown="), of("=deleted")].concat());
}

#[test]
fn deletions_cover_observed_configured_and_guessed_scopes() {
    let origin = Origin::setting_cookies(&[
        "_ga=1; Domain=.shop.example; Path=/checkout",
        "_fbp=1; Path=/app; Secure; SameSite=None; Partitioned",
        "unknown=1; Domain=shop.example; Path=/",
    ]);
    let rule = "[[cookie]]\nname = '_gid'\ncategory = 'analytics'\npath = '/account'\ndomain = 'shop.example'";
    let proxy = Proxy::start(&origin, rule);
    proxy.get("/", &[]);
    let guessed = |name: &str| {
        let ends = ["", "; Domain=www.shop.example", "; Domain=shop.example"];
        ends.map(|end| format!("{name}=; Max-Age=0; Path=/{end}"))
    };
    let mut expected = vec!["_ga=; Max-Age=0; Path=/checkout; Domain=shop.example".to_owned()];
    expected.extend(guessed("_ga"));
    expected.push("_fbp=; Max-Age=0; Path=/app; Secure; Partitioned".to_owned());
    expected.extend(guessed("_fbp"));
    expected.push("unknown=; Max-Age=0; Path=/; Domain=shop.example".to_owned());
    expected.push("unknown=; Max-Age=0; Path=/".to_owned());
    expected.push("_gid=; Max-Age=0; Path=/account; Domain=shop.example".to_owned());
    expected.extend(guessed("_gid"));
    let reply = proxy.get("/", &page_load("www.shop.example", "_ga=1; _fbp=1; unknown=1; _gid=1"));
    assert_eq!(reply.set_cookies(), expected);
}

#[test]
fn deletions_are_bounded_in_number_and_rotate_over_all_cookies() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "[expire]\nmax_per_response = 7");
    let many: Vec<String> = (0..100).map(|number| format!("c{number}=1")).collect();
    let many = many.join("; ");
    let mut received = std::collections::BTreeSet::new();
    for _ in 0..15 {
        let lines = proxy.get("/", &page_load("localhost", &many)).set_cookies();
        assert_eq!(lines.len(), 7);
        received.extend(lines);
    }
    assert_eq!(received.len(), 100);
    let off = Proxy::start(&origin, "[expire]\nenabled = false");
    assert!(off.get("/", &page_load("localhost", "_ga=1")).set_cookies().is_empty());
}

#[test]
fn a_response_with_many_fields_carries_fewer_deletions() {
    let fields: String = (0..80).map(|number| format!("X-{number}: 1\r\n")).collect();
    let origin =
        Origin::responding(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"));
    let proxy = Proxy::start(&origin, "");
    let many: Vec<String> = (0..40).map(|number| format!("c{number}=1")).collect();
    // Envoy rejects a response with more than 100 fields.
    let reply = proxy.get("/", &page_load("localhost", &many.join("; ")));
    assert_eq!(reply.status, 200);
    assert!((1..10).contains(&reply.set_cookies().len()), "{:?}", reply.set_cookies());
}

#[test]
fn a_cookie_that_another_site_needs_is_never_deleted() {
    let origin = Origin::setting_cookies(&[
        "acme_app_login=1; Domain=shop.example; Expires=0",
        "_ga=1; Max-Age=0",
    ]);
    let site = |rest: &str| format!("[[site]]\nupstream = '{}'\n{rest}\n", origin.url());
    let necessary =
        |name: &str| format!("[[site.cookie]]\nname = '{name}'\ncategory = 'necessary'");
    let proxy = Proxy::start_with(
        &(site("hosts = ['www.shop.example']\npaths = ['/shop']")
            + &site(&format!("hosts = ['www.shop.example']\n{}", necessary("rest_login")))
            + &site(&format!("hosts = ['app.shop.example']\n{}", necessary("acme_*")))
            + &site(
                "hosts = ['us.shop.example']\nconsent.default = 'allow'\nconsent.sources = ['cookiebot']",
            )
            + &site("hosts = ['www.other.example']")),
    );
    let names = |host: &str, path: &str, cookie: &str| {
        let lines = proxy.get(path, &page_load(host, cookie)).set_cookies();
        let mut names: Vec<String> =
            lines.iter().map(|line| line.split('=').next().unwrap().to_owned()).collect();
        names.dedup();
        names
    };
    let cookie = "acme_app_login=1; rest_login=1; unknown=1; _ga=1";
    // Denied here and granted by default on `us`. The origin's own deletions pass.
    assert_eq!(names("www.shop.example", "/shop/x", cookie), ["_ga", "unknown"]);
    assert_eq!(names("www.shop.example", "/", "acme_app_login=1; unknown=1"), ["_ga", "unknown"]);
    let everything = ["acme_app_login", "_ga", "acme_app_login", "rest_login", "unknown", "_ga"];
    assert_eq!(names("www.other.example", "/", cookie), everything);
    // If the visitor refused on `us` too, no site needs the cookie.
    let refused = format!(
        "{cookie}; {}",
        "CookieConsent={necessary:true,preferences:false,statistics:false,marketing:false}"
    );
    let refused = names("www.shop.example", "/shop/x", &refused);
    assert_eq!(refused, ["_ga", "unknown", "_ga"]);
}

#[test]
fn observe_changes_nothing_and_reports_the_effect_of_enforce() {
    let raw = "HTTP/1.1 200 OK\r\nset-cookie: _ga=1\r\nset-cookie: x=1\r\nnel: {}\r\ncontent-length: 2\r\ndate: Tue, 24 Nov 2026 09:00:00 GMT\r\n\r\nok";
    let origin = Origin::responding(raw);
    let proxy = Proxy::start(&origin, "mode = 'observe'");
    let reply = proxy.get("/", &[("Cookie", "_ga=1; x=2;"), ("Accept", "text/html")]);
    assert_eq!(String::from_utf8_lossy(&reply.head), raw.trim_end_matches("\r\n\r\nok"));
    assert_eq!(origin.next_request().field("cookie").as_deref(), Some("_ga=1; x=2;"));
    let line = proxy.next_access_log_entry();
    assert_eq!(line["mode"], "observe");
    assert_eq!(line["stripped_request"]["analytics"], 1);
    assert_eq!(line["stripped_response"]["unclassified"], 1);
    assert_eq!(line["expired"], 3);
    let sample = "consentry_cookies_stripped_total{site=\"default\",category=\"analytics\",mode=\"observe\",direction=\"response\"}";
    proxy.expect_metric(sample, 1.0);
}

#[test]
fn lifetimes_above_the_cap_of_the_category_are_shortened() {
    let lines = [
        "_ga=1; Path=/; Max-Age=63072000; Secure",
        "_gid=1;EXPIRES=Sat, 24 Nov 2096 09:00:00 GMT ; x=\"y z\"; max-age=99999999999",
        "_ga_X=1; Max-Age=60",
        "_gat=1",
        "_fbp=1; Max-Age=63072000",
        "PHPSESSID=1; Max-Age=63072000; HttpOnly",
    ];
    let origin = Origin::setting_cookies(&lines);
    let cap = "max_cookie_lifetime = { analytics = '395d' }";
    let with = |toml: &str| {
        let reply = Proxy::start(&origin, toml).get("/", &[("Cookie", &full_consent())]);
        assert_eq!(reply.field("cache-control"), None, "the same for every visitor with consent");
        reply.set_cookies()
    };
    let capped = [
        "_ga=1; Path=/; Max-Age=34128000; Secure",
        "_gid=1;Max-Age=34128000; x=\"y z\"",
        lines[2],
        lines[3],
        lines[4],
        lines[5],
    ];
    assert_eq!(with(cap), capped);
    assert_eq!(with(""), lines);
    assert_eq!(with(&format!("mode = 'observe'\n{cap}")), lines);
    let necessary = with("max_cookie_lifetime = { necessary = '1h', targeting = '1day' }");
    assert_eq!(necessary[..4], lines[..4]);
    assert_eq!(necessary[4..], ["_fbp=1; Max-Age=86400", "PHPSESSID=1; Max-Age=3600; HttpOnly"]);

    let stripped = Proxy::start(&origin, cap).get("/", &[]);
    assert_eq!(stripped.set_cookies(), [lines[5]]);
    assert_eq!(stripped.field("cache-control").as_deref(), Some("private"));
}

#[test]
fn a_site_overrides_the_lifetime_cap_by_category() {
    let origin = Origin::setting_cookies(&["_ga=1; Max-Age=999999", "_fbp=1; Max-Age=999999"]);
    let proxy = Proxy::start_with(&format!(
        "max_cookie_lifetime = {{ analytics = '1d', targeting = '2d' }}\n\
         [[site]]\nhosts = ['a.example']\nupstream = '{url}'\n\
         [[site]]\nhosts = ['b.example']\nupstream = '{url}'\n\
         max_cookie_lifetime = {{ analytics = '3d' }}\n",
        url = origin.url()
    ));
    let consent = full_consent();
    let of = |host| proxy.get("/", &[("Host", host), ("Cookie", consent.as_str())]).set_cookies();
    assert_eq!(of("a.example"), ["_ga=1; Max-Age=86400", "_fbp=1; Max-Age=172800"]);
    assert_eq!(of("b.example"), ["_ga=1; Max-Age=259200", "_fbp=1; Max-Age=172800"]);
}

#[test]
fn config_rules_win_over_the_catalogue_and_site_rules_over_both() {
    let origin = Origin::setting_cookies(&["_ga=1", "_gid=1", "shop_prefs=1", "PHPSESSID=1"]);
    let proxy = Proxy::start_with(&format!(
        "[[cookie]]\nname = '_ga'\ncategory = 'necessary'\n\
         [[cookie]]\nname = 'shop_*'\ncategory = 'analytics'\n\
         [[site]]\nhosts = ['a.example']\nupstream = '{url}'\n\
         [[site.cookie]]\nname = 'shop_prefs'\ncategory = 'necessary'\n\
         [[site]]\nhosts = ['*.b.example']\nmode = 'observe'\nupstream = '{url}'\n",
        url = origin.url()
    ));
    let of = |host| proxy.get("/", &[("Host", host)]).set_cookies();
    assert_eq!(of("a.example"), ["_ga=1", "shop_prefs=1", "PHPSESSID=1"]);
    assert_eq!(of("A.example:8080"), ["_ga=1", "shop_prefs=1", "PHPSESSID=1"]);
    assert_eq!(of("x.b.example").len(), 4);
    assert_eq!(proxy.get("/", &[("Host", "c.example")]).status, 421);
}

#[test]
fn other_tracking_technologies_follow_their_category_and_clear_site_data_passes() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nNEL: {\"report_to\":\"n\",\"max_age\":1}\r\nReport-To: {\"group\":\"n\"}\r\n\
         Accept-CH: Sec-CH-UA, Sec-CH-UA-Model\r\nObserve-Browsing-Topics: ?1\r\n\
         Clear-Site-Data: \"cookies\"\r\nContent-Length: 0\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/", &[]);
    for name in ["nel", "report-to", "observe-browsing-topics"] {
        assert_eq!(reply.field(name), None, "{name}");
    }
    assert_eq!(reply.field("accept-ch").as_deref(), Some("Sec-CH-UA"));
    assert_eq!(reply.field("cache-control").as_deref(), Some("private"));
    assert_eq!(reply.field("clear-site-data").as_deref(), Some("\"cookies\""));
    assert!(proxy.get("/", &[("Cookie", &consent_cookie("analytics"))]).field("nel").is_some());
}
