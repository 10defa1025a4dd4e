//! The sentences of the notice, the preference centre and the banner: each is shown only with the settings that make
//! it true. docs/notice.md lists them.

use crate::pages::load;
use crate::support::{Origin, Proxy, consent_cookie, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CENTRE: &str = "/.consentry/";
const NOTICE: &str = "/.consentry/notice";
const GPC: [(&str, &str); 1] = [("Sec-GPC", "1")];
const BANNER: &str = "[banner]\nenabled = true\n";

/// The English text of a key, up to its first placeholder.
fn sentence(key: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/locales/en.toml");
    let texts: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let text = texts[key].as_str().unwrap_or_else(|| panic!("{key}"));
    text.split('{').next().unwrap().to_owned()
}

/// Requires some texts, and the absence of others.
#[track_caller]
fn check(page: &str, case: &str, shown: &[&str], not_shown: &[&str]) {
    for (keys, expected) in [(shown, true), (not_shown, false)] {
        for key in keys {
            assert_eq!(page.contains(&sentence(key)), expected, "{case}: {key} in {page}");
        }
    }
}

#[test]
fn each_sentence_of_the_notice_depends_on_the_settings_that_make_it_true() {
    let origin = Origin::setting_cookies(&["odd_thing=1; Max-Age=60"]);
    let always = ["what_cookies", "what_beacons", "what_storage", "what_hosts", "optout_browser"];
    let enforced =
        ["what_urls", "optout_effect", "optout_deletes", "optout_gpc", "unclassified_all"];
    for (toml, shown, not_shown) in [
        ("", &enforced[..], &["what_applies", "effective", "earlier", "observe"][..]),
        ("[page]\nguard = true\n", &["what_applies"], &["observe"]),
        (
            "mode = 'observe'\n[page]\nguard = true\n",
            &["observe", "optout_here"],
            &[&enforced[..], &["what_applies"]].concat(),
        ),
        ("url_identifiers = 'off'\n", &["optout_effect"], &["what_urls"]),
        ("url_identifiers = 'redirect'\n", &["what_urls"], &[]),
        ("[expire]\nenabled = false\n", &["optout_effect"], &["optout_deletes"]),
        ("[consent]\ngpc = 'ignore'\n", &["optout_effect"], &["optout_gpc"]),
        ("unclassified = 'allow'\n", &["unclassified_text"], &["unclassified_all"]),
        ("unclassified = 'block'\n", &["unclassified_text", "unclassified_all"], &[]),
        ("[consent]\nnotice_date = 2018-05-25\n", &["effective"], &["earlier"]),
        ("[centre]\nearlier_notices = [2017-01-01]\n", &["earlier"], &["effective"]),
        (
            "[consent]\nsources = ['onetrust']\n",
            &["decides_elsewhere", "optout_deletes"],
            &["optout_here", "optout_effect"],
        ),
    ] {
        let proxy = Proxy::start(&origin, toml);
        proxy.get("/", &[]);
        let page = proxy.get(NOTICE, &[]).text();
        check(&page, toml, shown, not_shown);
        check(&page, toml, &always, &["gpc", "dnt"]);
        check(&page, toml, &["necessary_text"], &["controller_title", "contact"]);
    }
}

#[test]
fn each_sentence_of_the_preference_centre_depends_on_the_settings_that_make_it_true() {
    let origin = Origin::setting_cookies(&["odd_thing=1; Max-Age=60"]);
    let onetrust = "[consent]\nsources = ['onetrust']\n";
    for (toml, shown, not_shown) in [
        (
            "",
            &["preferences_choose", "unclassified_all"][..],
            &["decides_elsewhere", "observe"][..],
        ),
        ("mode = 'observe'\n", &["preferences_choose", "observe"], &["unclassified_all"]),
        ("unclassified = 'allow'\n", &["unclassified_text"], &["unclassified_all"]),
        (onetrust, &["decides_elsewhere"], &["preferences_choose", "accept_all", "reject_all"]),
    ] {
        let proxy = Proxy::start(&origin, toml);
        proxy.get("/", &[]);
        let page = proxy.get(CENTRE, &[]).text();
        check(&page, toml, shown, not_shown);
        check(&page, toml, &["preferences_intro"], &["gpc", "dnt", "saved"]);
    }
}

#[test]
fn the_state_of_a_choice_is_shown_as_it_is() {
    let origin = Origin::responding(OK);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let at =
        |seconds: u64, categories: &str| format!("consentry=1~{seconds}~2018-05-25~{categories}~");
    let proxy = Proxy::start(&origin, "[consent]\nsources = ['consentry', 'klaro']\n");
    for (cookie, shown, not_shown) in [
        ("", "undecided", ["decided", "decided_undated"]),
        (&*consent_cookie("analytics"), "decided", ["undecided", "decided_undated"]),
        // The refusal is in force, and the visitor may be asked again.
        (&at(now - 300 * 86_400, ""), "decided", ["undecided", "decided_undated"]),
        (&at(now - 300 * 86_400, "social"), "decided", ["undecided", "decided_undated"]),
        ("klaro=%7B%22analytics%22%3Atrue%7D", "decided_undated", ["undecided", "decided"]),
    ] {
        let page = proxy.get(CENTRE, &[("Cookie", cookie)]).text();
        check(&page, cookie, &[shown], &not_shown);
    }
}

#[test]
fn pages_link_to_another_tool_that_decides() {
    let origin = Origin::responding(OK);
    let toml = "[consent]\nsources = ['onetrust']\n[centre]\nconsent_tool = '/cookies?open=1&a'\n";
    let proxy = Proxy::start(&origin, toml);
    for path in [CENTRE, NOTICE] {
        let page = proxy.get(path, &[]).text();
        assert!(
            page.contains("<a href=\"/cookies?open=1&#38;a\">Cookie preferences</a>"),
            "{page}"
        );
        assert!(!page.contains("<button") && !page.contains(&sentence("optout_here")), "{page}");
    }
}

#[test]
fn the_notice_names_the_controller_and_every_page_links_to_policy_and_imprint() {
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<body></body>";
    let origin = Origin::responding(html);
    let toml = format!(
        "{BANNER}[centre]\ncontroller = 'Alder & <Co>'\ncontact = 'privacy@shop.example'\nprivacy_policy = '/privacy'\nimprint = 'https://shop.example/imprint?a&b'\n"
    );
    let proxy = Proxy::start(&origin, &toml);
    let notice = proxy.get(NOTICE, &[]).text();
    for expected in [
        "<h2>Who is responsible?</h2>",
        "<p>Alder &#38; &#60;Co&#62;</p>",
        "<b>Contact</b> <a href=\"mailto:privacy@shop.example\">privacy@shop.example</a>",
    ] {
        assert!(notice.contains(expected), "no {expected} in {notice}");
    }
    let links = [
        ("href=\"/privacy\"", "Privacy policy</a>"),
        ("href=\"https://shop.example/imprint?a&#38;b\"", "Legal notice</a>"),
    ];
    for page in [notice, proxy.get(CENTRE, &[]).text(), load(&proxy, "/", &[]).text()] {
        for (link, text) in links {
            assert!(page.contains(link) && page.contains(text), "no {link} in {page}");
        }
    }
    // A site replaces single keys.
    let proxy = Proxy::start_with(&format!(
        "[centre]\ncontroller = 'Alder'\nimprint = '/imprint'\n[[site]]\nupstream = '{}'\n[site.centre]\ncontroller = 'Birch'\ncontact = '+49 30 1'\n",
        origin.url()
    ));
    let notice = proxy.get(NOTICE, &[]).text();
    assert!(notice.contains("<p>Birch</p>") && notice.contains("/imprint"), "{notice}");
    assert!(
        notice.contains("<b>Contact</b> +49 30 1</p>") && !notice.contains("Alder"),
        "{notice}"
    );
}

#[test]
fn an_honoured_signal_is_shown_and_its_categories_are_not_offered() {
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<body></body>";
    let origin = Origin::responding(html);
    let off = |page: &str, name: &str| {
        let switch = page.split(&format!("value=\"{name}\"")).nth(1).unwrap();
        let switch = switch.split('>').next().unwrap();
        switch.contains("disabled") && !switch.contains("checked")
    };
    let stays_off = "Opt-out request honoured: your browser sends the Global Privacy Control signal. These categories therefore stay off: Advertising, Social networks.";
    let proxy = Proxy::start(&origin, BANNER);
    for cookie in [String::new(), consent_cookie("analytics+targeting+social")] {
        let fields = [GPC[0], ("Cookie", &cookie)];
        let notice = proxy.get(NOTICE, &fields).text();
        let centre = proxy.get(CENTRE, &fields).text();
        assert!(notice.contains(stays_off) && centre.contains(stays_off), "{centre}");
        let all = ["functional", "analytics", "targeting", "social"];
        assert_eq!(all.map(|name| off(&centre, name)), [false, false, true, true], "{centre}");
    }
    let banner = load(&proxy, "/", &GPC).text();
    assert!(banner.contains(stays_off), "{banner}");
    let offered = "in these categories: Functional, Performance and analytics. You can withdraw";
    assert!(banner.contains(offered), "{banner}");
    // Without anything left to decide, there is no banner and no button that grants.
    let everything = "gpc_categories = ['functional', 'analytics', 'targeting', 'social']\n";
    let proxy = Proxy::start(&origin, &format!("{BANNER}[consent]\n{everything}"));
    assert!(!load(&proxy, "/", &GPC).text().contains("consentry-banner"));
    let centre = proxy.get(CENTRE, &GPC).text();
    check(
        &centre,
        everything,
        &["gpc", "reject_all"],
        &["accept_all", "save", "preferences_choose"],
    );
    let dnt = "[consent]\ndnt = 'deny'\ndnt_categories = ['analytics', 'social']\n";
    let centre = Proxy::start(&origin, dnt).get(CENTRE, &[GPC[0], ("DNT", "1")]).text();
    let only_dnt = format!("{}Performance and analytics.", sentence("dnt"));
    assert!(centre.contains(stays_off) && centre.contains(&only_dnt), "{centre}");
    for toml in ["[consent]\ngpc = 'ignore'\n", "mode = 'observe'\n"] {
        let proxy = Proxy::start(&origin, toml);
        for path in [CENTRE, NOTICE] {
            let page = proxy.get(path, &GPC).text();
            check(&page, toml, &[], &["gpc", "optout_gpc"]);
        }
    }
}

#[test]
fn the_centre_is_called_your_privacy_choices_if_categories_are_allowed_until_refused() {
    let origin = Origin::responding(OK);
    let region = "[listen]\ntrusted_proxies = ['127.0.0.1']\n[consent.region]\nheader = 'X-Region'\nregions = { US-CA = 'allow' }\n";
    for (toml, region, is_opt_out) in [
        ("", "US-CA", false),
        ("[consent]\ndefault = 'allow'\n", "", true),
        ("[consent]\ndefault = { analytics = 'allow' }\n", "", true),
        (region, "US-CA", true),
        (region, "DE", false),
        (region, "", false),
    ] {
        let proxy = Proxy::start(&origin, toml);
        for path in [CENTRE, NOTICE] {
            let page = proxy.get(path, &[("X-Region", region)]).text();
            check(
                &page,
                &format!("{toml} {region}"),
                &[if is_opt_out { "privacy_choices" } else { "preferences_title" }],
                &[if is_opt_out { "preferences_title" } else { "privacy_choices" }],
            );
        }
    }
}

#[test]
fn the_notice_lists_what_was_seen_of_each_technology_with_provider_and_purpose() {
    let page = "<!doctype html><body><img src='https://x.ad.doubleclick.net/a.gif'>";
    let origin = Origin::responding(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: sid_token=8f14e45fceea167a; HttpOnly; Secure; SameSite=Lax; Path=/\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    let toml = "[page]\nguard = true\n
        [[beacon]]\npath = '/track/<b>'\ncategory = 'targeting'\nvendor = 'Us'\npurpose = 'Counts clicks.'\n
        [[host]]\nname = 'maps.example'\ncategory = 'functional'\nvendor = 'Maps'\n
        [[parameter]]\nname = 'visitor_id'\ncategory = 'analytics'\nvendor = 'this site'\n";
    let proxy = Proxy::start(&origin, toml);
    let before = proxy.get(NOTICE, &[]).text();
    for (name, is_listed) in [
        ("/track/&#60;b&#62;", true),
        ("maps.example", true),
        ("visitor_id", true),
        ("/matomo.php", false),
        ("doubleclick.net", false),
        ("gclid", false),
    ] {
        assert_eq!(before.contains(&format!("<code>{name}</code>")), is_listed, "{name}: {before}");
    }
    proxy.get("/", &[("Accept", "text/html")]);
    proxy.get("/?gclid=1&unknown=1", &[]);
    proxy.get("/matomo.php?idsite=1&rec=1", &[("Sec-Fetch-Dest", "image")]);
    let report = r#"{"cookies":["_fbp","buy.example"],"storage":["_hjSessionUser_1","buy.example"],"hosts":["buy.example"]}"#;
    let fields = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/json"),
        ("Content-Length", &*report.len().to_string()),
    ];
    let mut client = proxy.connect();
    client.send(&[&request("POST", "/.consentry/held-back", &fields), report.as_bytes()].concat());
    assert_eq!(client.reply("POST").status, 204);
    let text = proxy.get(NOTICE, &[]).text();
    let statistics = "Measure how the site is used, so that it can be improved.";
    let item = |name: &str, vendor: &str, purpose: &str| {
        format!(
            "<code>{name}</code> <span><b>Provider</b> {vendor}</span> <span><b>Purpose</b> <span>{purpose}"
        )
    };
    for expected in [
        item("/track/&#60;b&#62;", "Us", "Counts clicks."),
        item("/matomo.php", "Matomo", statistics),
        item("maps.example", "Maps", "Remember choices"),
        item("doubleclick.net", "Google Ads", "Used to show advertisements"),
        item("visitor_id", "This website", statistics),
        item("gclid", "Google Ads", "Used to show advertisements"),
        item("_fbp", "Meta", "Tells visitors apart"),
        item("_hjSessionUser_*", "Hotjar", "Tells visitors apart"),
        "<h4>Beacons (1)</h4>".to_owned(),
        "<h4>Content from other websites (1)</h4>".to_owned(),
        "<h4>Local storage (1)</h4>".to_owned(),
        "<h4>Identifiers in links (1)</h4>".to_owned(),
        "<code>sid_token</code> <span><b>Purpose</b> <span>Presumed to be necessary".to_owned(),
    ] {
        assert!(text.contains(&expected), "no {expected} in {text}");
    }
    assert!(!text.contains("buy.example"), "visitors cannot add names: {text}");
    let centre = proxy.get(CENTRE, &[]).text();
    let link = "<a href=\"/.consentry/notice?lang=en#list-analytics\">Beacons (1)</a>";
    assert!(centre.contains(link), "{centre}");
}
