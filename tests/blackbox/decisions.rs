//! Persistence of decisions: with every order of sources, over age and notice, and after the cookie has moved.

use serde_json::{Value, json};

use crate::support::{Origin, Proxy, Reply, consent_cookie, full_consent};

const DAY: u64 = 86_400;
const TRACKERS: [&str; 4] = ["_ga=1", "_fbp=1", "lang=de", "__atuvc=1"];

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The native cookie, with an age in days.
fn decided(days: u64, categories: &str) -> String {
    format!("consentry=1~{}~2018-05-25~{categories}~", now() - days * DAY)
}

/// The browser's cookies after a reply.
fn jar(cookies: &str, reply: &Reply) -> String {
    let written = reply.set_cookies();
    let written = written.iter().map(|line| line.split(';').next().unwrap());
    let written = written.filter(|pair| *pair != "consentry=");
    let others = cookies.split("; ").filter(|pair| !pair.starts_with("consentry="));
    others.chain(written).filter(|pair| !pair.is_empty()).collect::<Vec<_>>().join("; ")
}

fn granted(proxy: &Proxy, cookies: &str) -> Value {
    let state = proxy.get("/.consentry/consent", &[("Cookie", cookies)]).text();
    serde_json::from_str::<Value>(&state).unwrap()["granted"].clone()
}

/// Consent to everything in the cookies of tools, with and without a date.
fn tools(day: u64, yes: bool) -> [(&'static str, String); 3] {
    let time = time::OffsetDateTime::from_unix_timestamp((now() - day * DAY) as i64).unwrap();
    let date = format!("{}T{:02}:00:00Z", time.date(), time.hour());
    let digit = u8::from(yes);
    let groups = [2, 3, 4, 5].map(|id| format!("C000{id}%3A{digit}")).join("%2C");
    let all = ["preferences", "statistics", "marketing"].map(|id| format!("{id}:{yes}")).join(",");
    [
        ("onetrust", format!("OptanonConsent=groups={groups}; OptanonAlertBoxClosed={date}")),
        ("cookiebot", format!("CookieConsent={{{all},utc:{}000}}", now() - day * DAY)),
        ("klaro", format!("klaro={{\"m\":{yes},\"n\":{yes}}}")),
    ]
}

fn sources(order: &str) -> String {
    format!(
        "[consent]\nsources = {order}\n[consent.klaro]\nmap = {{ m = ['analytics', 'functional'], n = ['targeting', 'social'] }}\n\
         [centre]\napi = true\nbridge = true\n"
    )
}

#[test]
fn refusals_in_the_consent_ui_apply_for_every_order_of_sources() {
    let origin = Origin::setting_cookies(&TRACKERS);
    for (tool, accepted) in tools(1, true) {
        for order in [
            format!("['{tool}', 'consentry']"),
            format!("['consentry', '{tool}']"),
            "['auto']".to_owned(),
        ] {
            let proxy = Proxy::start(&origin, &sources(&order));
            assert_eq!(proxy.get("/", &[("Cookie", &accepted)]).set_cookies().len(), 4, "{order}");
            for (path, body) in [
                ("/.consentry/", "choice=reject"),
                ("/.consentry/", "choice=save"),
                ("/.consentry/consent", "{\"granted\":[]}"),
                ("/.consentry/bridge", "{\"granted\":[]}"),
            ] {
                let reply = proxy.post(path, body, &[("Cookie", &accepted)]);
                let cookies = jar(&accepted, &reply);
                let passed = proxy.get("/", &[("Cookie", &cookies)]).set_cookies();
                assert!(passed.is_empty(), "{order} {path} {body}: {passed:?}");
                assert_eq!(granted(&proxy, &cookies), json!(["necessary"]));
            }
        }
    }
}

#[test]
fn the_response_to_a_choice_has_the_consent_of_the_next_request() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let opted_out = ("usprivacy", "usprivacy=1YYN".to_owned());
    let states = tools(1, false).into_iter().chain(tools(1, true)).chain([opted_out]);
    for (tool, cookies) in states {
        for order in [
            format!("['{tool}', 'consentry']"),
            format!("['consentry', '{tool}']"),
            "['auto']".to_owned(),
        ] {
            let proxy = Proxy::start(&origin, &sources(&order));
            for choice in ["[\"analytics\",\"targeting\"]", "[]"] {
                let body = format!("{{\"granted\":{choice}}}");
                for path in ["consent", "bridge"] {
                    let reply =
                        proxy.post(&format!("/.consentry/{path}"), &body, &[("Cookie", &cookies)]);
                    let said: Value = serde_json::from_str(&reply.text()).unwrap();
                    let next = granted(&proxy, &jar(&cookies, &reply));
                    assert_eq!(said["granted"], next, "{order} {path} {choice} after {cookies}");
                }
            }
        }
    }
}

#[test]
fn the_preference_centre_offers_no_category_that_another_tool_refuses() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (_, refused) = tools(1, false)[0].clone();
    let refused = refused.replace("C0002%3A0", "C0002%3A1");
    for (order, offered) in
        [("['onetrust', 'consentry']", false), ("['consentry', 'onetrust']", true)]
    {
        let proxy = Proxy::start(&origin, &sources(order));
        let page = proxy.get("/.consentry/", &[("Cookie", &refused)]).text();
        let switch = |name: &str| {
            let (_, rest) = page.split_once(&format!("id=\"allow-{name}\"")).unwrap();
            !rest.split('>').next().unwrap().contains("disabled")
        };
        assert_eq!((switch("targeting"), switch("analytics")), (offered, true), "{order}");
        assert_eq!(page.contains("in another cookie dialog"), !offered, "{order}: {page}");
    }
    // If nothing can be granted, the page offers only a refusal.
    let (_, everything) = tools(1, false)[0].clone();
    let proxy = Proxy::start(&origin, &sources("['onetrust', 'consentry']"));
    let page = proxy.get("/.consentry/", &[("Cookie", &everything)]).text();
    assert!(page.contains("value=\"reject\""), "{page}");
    assert!(!page.contains("value=\"accept\"") && !page.contains("value=\"save\""), "{page}");
    // A browser signal disables only the switches of the categories that it denies.
    let proxy = Proxy::start(&origin, "");
    let page = proxy.get("/.consentry/", &[("Sec-GPC", "1")]).text();
    assert_eq!(page.matches("disabled").count(), 3, "necessary, targeting and social: {page}");
    assert!(page.contains("value=\"accept\"") && page.contains("value=\"save\""), "{page}");
}

#[test]
fn with_an_allow_default_refusals_never_expire_and_grants_do() {
    let origin = Origin::setting_cookies(&TRACKERS);
    let toml = "[consent]\ndefault = 'allow'\nsources = ['consentry', 'onetrust']\n";
    let newer = format!("{toml}notice_date = 2026-01-01\n");
    let (_, onetrust) = tools(300, false)[0].clone();
    for (cookies, passing) in [
        (decided(300, ""), 0),
        (decided(2_000, ""), 0),
        // Grants follow the default again, refusals do not.
        (decided(300, "analytics"), 1),
        (onetrust, 0),
        (String::new(), 4),
    ] {
        for toml in [toml, &newer] {
            let proxy = Proxy::start(&origin, toml);
            let lines = proxy.get("/", &[("Cookie", &cookies)]).set_cookies();
            assert_eq!(lines.len(), passing, "{cookies} {toml}: {lines:?}");
        }
    }
    // By default an expired decision grants nothing.
    let proxy = Proxy::start(&origin, "");
    for cookies in
        [decided(300, "analytics"), decided(183, "functional+analytics+targeting+social")]
    {
        assert!(proxy.get("/", &[("Cookie", &cookies)]).set_cookies().is_empty(), "{cookies}");
    }
    // The visitor replaces a refusal, and nothing of it remains.
    let proxy = Proxy::start(&origin, toml);
    let refused = decided(300, "");
    let reply = proxy.post("/.consentry/", "choice=accept", &[("Cookie", &refused)]);
    let lines = proxy.get("/", &[("Cookie", &jar(&refused, &reply))]).set_cookies();
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn the_banner_returns_after_the_configured_time_and_not_for_a_newer_notice() {
    let page = "<html><head></head><body>x</body></html>";
    let origin = Origin::responding(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    let all = "functional+analytics+targeting+social";
    for (toml, cookies, asks) in [
        ("", decided(183, ""), false),
        ("", decided(185, ""), true),
        ("", decided(181, all), false),
        ("", decided(183, all), true),
        ("", decided(183, "analytics"), false),
        ("", decided(185, "analytics"), true),
        ("notice_date = 2026-01-01\n", consent_cookie(""), false),
        ("notice_date = 2026-01-01\n", consent_cookie(all), true),
        ("notice_date = 2026-01-01\n", consent_cookie("analytics"), true),
        ("ask_again_days = 365\n", decided(364, ""), false),
        ("ask_again_days = 365\n", decided(366, ""), true),
        ("ask_again_days = 30\n", decided(31, ""), true),
        ("ask_again_days = 30\n", decided(31, "analytics"), false),
    ] {
        for default in ["deny", "allow"] {
            let toml =
                format!("[banner]\nenabled = true\n[consent]\ndefault = '{default}'\n{toml}");
            let proxy = Proxy::start(&origin, &toml);
            let fields = [("Cookie", cookies.as_str()), ("Sec-Fetch-Dest", "document")];
            let text = proxy.get("/", &fields).text();
            assert_eq!(text.contains("consentry-banner"), asks, "{toml} {cookies}");
        }
    }
}

#[test]
fn a_default_by_category_grants_until_the_visitor_objects() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: _ga=1\r\nSet-Cookie: _fbp=1\r\nContent-Length: 13\r\n\r\n<html></html>",
    );
    let mixed = "This site uses cookies in these categories: Performance and analytics.";
    let consent = "With your consent, it also uses cookies in these categories: Functional, Advertising, Social networks.";
    for (toml, region) in [
        ("[consent]\ndefault = { analytics = 'allow', targeting = 'deny' }\n", "DE"),
        (
            "[consent.region]\nheader = 'CF-IPCountry'\nregions = { gb = { analytics = 'allow' }, US = 'allow' }\n",
            "GB",
        ),
    ] {
        let toml =
            format!("listen.trusted_proxies = ['127.0.0.1']\n[banner]\nenabled = true\n{toml}");
        let proxy = Proxy::start(&origin, &toml);
        let fields = [("Accept", "text/html"), ("CF-IPCountry", region)];
        let names = |cookie: &str, fields: &[(&str, &str)]| {
            let fields = [fields, &[("Cookie", cookie)]].concat();
            let reply = proxy.get("/", &fields);
            let set = reply.set_cookies();
            let kept = ["_ga=1", "_fbp=1"].map(|line| set.iter().any(|set| set == line));
            (kept, reply.text())
        };
        let (kept, text) = names("", &fields);
        assert_eq!(kept, [true, false], "{toml}");
        assert!(text.contains(mixed) && text.contains(consent), "{toml}: {text}");
        let (kept, text) = names(&decided(1, ""), &fields);
        assert_eq!(kept, [false, false], "an objection: {toml}");
        assert!(!text.contains("consentry-banner"), "{toml}");
        let page = proxy.get("/.consentry/", &fields).text();
        let switch = |name: &str| {
            let id = format!("id=\"allow-{name}\"");
            page.lines().find(|line| line.contains(&id)).unwrap()
        };
        let switched_on = |name: &str| switch(name).contains(" checked");
        assert!(switched_on("analytics") && !switched_on("targeting"), "{toml}: {page}");
    }
    let toml = "listen.trusted_proxies = ['127.0.0.1']\n[consent.region]\nheader = 'CF-IPCountry'\nregions = { GB = { analytics = 'allow' } }\n";
    let proxy = Proxy::start(&origin, toml);
    let reply = proxy.get("/", &[("CF-IPCountry", "DE")]);
    assert_eq!(reply.set_cookies(), [""; 0], "a region without a default");
}

#[test]
fn an_old_refusal_is_renewed_where_the_default_grants_the_category() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let [allow, deny] =
        ["allow", "deny"].map(|default| format!("[consent]\ndefault = '{default}'\n"));
    let region =
        "[consent.region]\nheader = 'CF-IPCountry'\nregions = { US = 'allow' }\n".to_owned();
    let domain = format!("{allow}cookie_domain = 'example.com'\n");
    let observe = format!("mode = 'observe'\n{allow}");
    let page: &[(&str, &str)] = &[("Accept", "text/html")];
    let both = format!("{}; {}", decided(300, ""), decided(250, ""));
    for (toml, cookies, fields, renews) in [
        (&allow, decided(300, ""), page, true),
        (&allow, decided(300, "analytics"), page, true),
        (&region, decided(300, ""), page, true),
        (&domain, decided(300, ""), page, true),
        (&deny, decided(300, ""), page, false),
        (&observe, decided(300, ""), page, false),
        (&allow, decided(100, ""), page, false),
        (&allow, decided(300, "functional+analytics+targeting+social"), page, false),
        (&allow, decided(300, ""), &[], false),
        (&allow, both, page, false),
        (&allow, "consentry=junk".to_owned(), page, false),
    ] {
        let proxy = Proxy::start(&origin, toml);
        let fields = [fields, &[("Cookie", &cookies), ("Host", "www.example.com")]].concat();
        let reply = proxy.get("/", &fields);
        let lines = reply.set_cookies();
        assert_eq!(lines.len(), usize::from(renews), "{toml} {cookies}: {lines:?}");
        if renews {
            let scope = if *toml == domain { "Domain=example.com; " } else { "" };
            let line =
                format!("{cookies}; HttpOnly; SameSite=Lax; Path=/; {scope}Max-Age=34560000");
            assert_eq!(lines, [line]);
            assert!(reply.field("cache-control").unwrap().contains("private"));
        }
    }
}

#[test]
fn each_write_deletes_every_other_copy_of_the_cookie_in_the_browser() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let host = "shop.example.com";
    let gone = |domain: &str| format!("consentry=; Path=/; {domain}Max-Age=0");
    let (none, shop, example) = ("", "Domain=shop.example.com; ", "Domain=example.com; ");
    for (domain, deleted) in
        [("", [shop, example]), ("example.com", [none, shop]), (host, [none, example])]
    {
        let scope =
            if domain.is_empty() { String::new() } else { format!("cookie_domain = '{domain}'\n") };
        let proxy = Proxy::start_with(&format!(
            "[centre]\napi = true\nbridge = true\n[consent]\n{scope}[[site]]\nhosts = ['{host}']\nupstream = '{}'\n",
            origin.url()
        ));
        let in_the_tool = format!("{{\"granted\":[\"social\"],\"time\":{}}}", now());
        for (path, body) in [
            ("/.consentry/", "choice=accept"),
            ("/.consentry/consent", "{\"granted\":[\"social\"]}"),
            ("/.consentry/bridge", &in_the_tool),
        ] {
            let old = decided(1, "");
            let reply = proxy.post(path, body, &[("Host", host), ("Cookie", &old)]);
            let lines = reply.set_cookies();
            let (deletions, written): (Vec<_>, Vec<_>) =
                lines.iter().partition(|line| line.starts_with("consentry=;"));
            assert_eq!(deletions, deleted.map(gone).iter().collect::<Vec<_>>(), "{domain} {path}");
            assert_eq!(written.len(), 1);
            let scope = if domain.is_empty() { None } else { Some(format!("Domain={domain}; ")) };
            assert_eq!(written[0].contains("Domain="), scope.is_some(), "{written:?}");
            assert!(scope.is_none_or(|scope| written[0].contains(&scope)), "{written:?}");
        }
    }
    // A host outside the domain gets a host cookie, because a browser would reject the domain.
    let proxy = Proxy::start(&origin, "[consent]\ncookie_domain = 'example.com'\n");
    let reply = proxy.post("/.consentry/", "choice=accept", &[("Cookie", &full_consent())]);
    assert!(reply.set_cookies()[0].starts_with("consentry=1~"), "{:?}", reply.set_cookies());
    assert!(!reply.set_cookies()[0].contains("Domain"), "{:?}", reply.set_cookies());
}
