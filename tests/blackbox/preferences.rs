//! The preference centre and the notice: pages without scripts, and the form for decisions.

use crate::support::{Origin, Proxy, Reply, consent_cookie, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CENTRE: &str = "/.consentry/";

/// Posts the form like a page of the site, with these fields replaced.
fn post(proxy: &Proxy, body: &str, fields: &[(&str, &str)]) -> Reply {
    let length = body.len().to_string();
    let mut all = vec![("Content-Length", length.as_str())];
    for (name, value) in
        [("Sec-Fetch-Site", "same-origin"), ("Content-Type", "application/x-www-form-urlencoded")]
    {
        if !fields.iter().any(|(other, _)| *other == name) {
            all.push((name, value));
        }
    }
    all.extend(fields.iter().filter(|(_, value)| !value.is_empty()));
    let mut client = proxy.connect();
    client.send(&request("POST", CENTRE, &all));
    client.send(body.as_bytes());
    client.reply("POST")
}

#[test]
fn the_preferences_page_works_without_script_in_less_than_30_kb() {
    let origin = Origin::setting_cookies(&[
        "_ga=1; Max-Age=63072000",
        "sid=x; HttpOnly",
        "<b>odd</b>=1; Max-Age=60",
        "my_pref=1",
    ]);
    let toml = "[[cookie]]\nname = 'my_*'\ncategory = 'functional'\nvendor = 'Us & <Co>'\npurpose = 'Remembers.'\nlifetime = '2 weeks'\n";
    let proxy = Proxy::start(&origin, toml);
    proxy.get("/", &[]);
    let page = proxy.get(CENTRE, &[]);
    let text = page.text();
    assert!(text.len() < 30_000, "{}", text.len());
    assert!(!text.contains("<script") && !text.contains(" style=") && !text.contains("http"));
    for expected in [
        "<html lang=\"en\">",
        "You have not made a choice yet. Currently allowed: Strictly necessary.",
        "value=\"necessary\" aria-describedby=\"about-necessary\" checked disabled",
        "value=\"analytics\" aria-describedby=\"about-analytics\">",
        "<code>_ga</code> <span><b>Provider</b> Google Analytics</span>",
        "<b>Duration</b> 2 years</span>",
        "Us &#38; &#60;Co&#62;",
        "<b>Duration</b> until you close the browser",
        "&#60;b&#62;odd&#60;/b&#62;",
        "<code>consentry</code>",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-language", "en"),
        ("x-content-type-options", "nosniff"),
        ("vary", "Cookie, Accept-Language, Sec-GPC"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ] {
        assert_eq!(page.field(name).as_deref(), Some(value));
    }
    let style = proxy.get("/.consentry/style.css", &[]);
    assert_eq!(style.field("content-type").as_deref(), Some("text/css; charset=utf-8"));
    assert!(text.len() + style.text().len() < 30_000);
    let decided = proxy.get(CENTRE, &[("Cookie", &consent_cookie("analytics"))]).text();
    assert!(decided.contains("You made your choice on"), "{decided}");
    assert!(decided.contains("Strictly necessary, Performance and analytics."));
    assert!(decided.contains("aria-describedby=\"about-analytics\" checked>"));
    let future = "consentry=1~4000000000~2018-05-25~analytics~";
    let undecided = proxy.get(CENTRE, &[("Cookie", future)]).text();
    assert!(
        undecided.contains("You have not made a choice yet."),
        "a choice dated tomorrow is ignored"
    );
    let signal = proxy.get(CENTRE, &[("Sec-GPC", "1")]).text();
    assert!(signal.contains("stay off: Advertising, Social networks."), "{signal}");
    let folder = proxy.get("/.consentry", &[]);
    assert_eq!((folder.status, folder.field("location").as_deref()), (308, Some(CENTRE)));
}

#[test]
fn invented_cookie_names_do_not_grow_the_preferences_page() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    // Every exact name in the catalogue, sent by a client that forges them.
    let names = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/cookie-names.txt"
    ))
    .unwrap();
    let names: Vec<&str> = names.lines().filter_map(|line| line.split('\t').next()).collect();
    for some in names.chunks(60) {
        proxy.get(
            "/",
            &[(
                "Cookie",
                &some.iter().map(|name| format!("{name}=1")).collect::<Vec<_>>().join("; "),
            )],
        );
    }
    let text = proxy.get(CENTRE, &[]).text();
    assert!(text.contains("Not listed here:"));
    for lang in ["de", "en", "es", "fr", "hu", "it", "ja", "ko", "nl", "pl", "pt-BR", "ru", "zh"] {
        let length = proxy.get(&format!("{CENTRE}?lang={lang}"), &[]).body.len();
        assert!(length < 30_000, "{lang}: {length}");
    }
}

#[test]
fn accept_reject_and_save_set_the_cookie_and_send_the_visitor_back() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let all = "functional+analytics+targeting+social";
    // A refusal is stored for the maximum lifetime of a cookie.
    let (half_a_year, as_long_as_possible) = (182 * 86_400, 400 * 86_400);
    for (form, granted, location, lifetime) in [
        ("choice=accept", all, "/.consentry/?saved=1&lang=en", half_a_year),
        ("choice=reject&lang=de", "", "/.consentry/?saved=1&lang=de", as_long_as_possible),
        (
            "choice=save&allow=social&allow=analytics&return_to=%2Fshop%3Fa%3D1%26b%3D%252F",
            "analytics+social",
            "/shop?a=1&b=%2F",
            as_long_as_possible,
        ),
        ("choice=save&lang=xx", "", "/.consentry/?saved=1&lang=en", as_long_as_possible),
        ("banner=1&choice=accept&return_to=/", all, "/", half_a_year),
    ] {
        let reply = post(&proxy, form, &[]);
        assert_eq!(
            (reply.status, reply.field("location").as_deref()),
            (303, Some(location)),
            "{form}"
        );
        let [line] = &reply.set_cookies()[..] else { panic!("{:?}", reply.set_cookies()) };
        assert!(
            line.ends_with(&format!(
                "~2018-05-25~{granted}~; HttpOnly; SameSite=Lax; Path=/; Max-Age={lifetime}"
            )),
            "{line}"
        );
        assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
    }
    assert!(origin.received_nothing());
}

#[test]
fn a_choice_is_confirmed_only_if_the_browser_has_just_stored_it() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let line = &post(&proxy, "choice=reject", &[]).set_cookies()[0];
    let stored = line.split(';').next().unwrap();
    let an_hour_ago = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() - 3600;
    let old = format!("consentry=1~{an_hour_ago}~2018-05-25~analytics~");
    for (path, cookie, is_confirmed) in [
        ("?saved=1&lang=de", stored, true),
        ("?saved=1&lang=de", "", false),
        ("?saved=1&lang=de", &old, false),
        ("?saved=1&lang=de", "consentry=1~4000000000~2018-05-25~analytics~", false),
        ("?lang=de", stored, false),
    ] {
        let text = proxy.get(&format!("{CENTRE}{path}"), &[("Cookie", cookie)]).text();
        let saved = "<p class=\"saved\" role=\"status\">Ihre Auswahl wurde gespeichert.</p>";
        assert_eq!(text.contains(saved), is_confirmed, "{path} {cookie}");
    }
}

#[test]
fn cross_site_posts_and_invalid_forms_are_rejected_with_a_cause() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let long = format!("choice=accept&return_to=/{}", "a".repeat(4096));
    for (form, fields, status) in [
        ("choice=accept", &[("Sec-Fetch-Site", "cross-site")][..], 403),
        ("choice=accept", &[("Sec-Fetch-Site", "cross-site"), ("Origin", "null")], 403),
        ("choice=accept", &[("Sec-Fetch-Site", "same-site")], 403),
        ("choice=accept", &[("Sec-Fetch-Site", ""), ("Origin", "https://evil.example")], 403),
        ("choice=accept", &[("Sec-Fetch-Site", ""), ("Origin", "http://shop.example")], 303),
        ("choice=accept", &[("Content-Type", "text/plain")], 415),
        ("choice=accept", &[("Content-Type", "")], 415),
        ("{\"granted\":[]}", &[("Content-Type", "application/json")], 415),
        (&long, &[], 413),
        ("", &[], 400),
        ("choice=maybe", &[], 400),
        ("choice=save&allow=video", &[], 400),
        ("choice=save&allow=", &[], 400),
        ("choice=save&x=1", &[], 400),
        ("choice=accept&return_to=//evil.example", &[], 400),
        ("choice=accept&return_to=https://evil.example/", &[], 400),
        ("choice=accept&return_to=/%5Cevil.example", &[], 400),
        ("choice=accept&return_to=/%0d%0aSet-Cookie:%20a=1", &[], 400),
        ("choice=accept&return_to=javascript:alert(1)", &[], 400),
        ("choice=accept&return_to=%ff%fe", &[], 400),
    ] {
        let reply = post(&proxy, form, fields);
        assert_eq!(reply.status, status, "{form} {fields:?}");
        assert_eq!(reply.set_cookies().len(), usize::from(status == 303), "{form} {fields:?}");
        if status != 303 {
            let output: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
            assert!(output["error"].is_string());
        }
    }
    let mut client = proxy.connect();
    client.send(&request("DELETE", CENTRE, &[]));
    let reply = client.reply("DELETE");
    assert_eq!((reply.status, reply.field("allow").as_deref()), (405, Some("GET, HEAD, POST")));
    let mut client = proxy.connect();
    client.send(&request("POST", "/.consentry/notice", &[("Content-Length", "0")]));
    assert_eq!(client.reply("POST").status, 405);
    // A value that is not a path of the site is not linked.
    let page = proxy.get("/.consentry/?return_to=//evil.example&lang=%22%3E%3Cb%3E", &[]).text();
    assert!(!page.contains("evil.example") && !page.contains("<b>\""), "{page}");
}

#[test]
fn every_choice_is_a_form_of_its_own_and_only_buttons_that_name_it_grant() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let text = proxy.get("/.consentry/?return_to=/a", &[]).text();
    for (choice, button) in [
        ("save", "<button value=\"save\">Save choice</button>"),
        ("reject", "<button form=\"reject\" value=\"reject\">Reject all</button>"),
        ("accept", "<button form=\"accept\" value=\"accept\">Accept all</button>"),
    ] {
        let field = format!("<input type=\"hidden\" name=\"choice\" value=\"{choice}\">");
        assert_eq!((text.matches(&field).count(), text.matches(button).count()), (1, 1), "{text}");
    }
    assert!(!text.contains("<button name="), "a choice does not depend on the submitter: {text}");
    let forms: Vec<&str> = text.split("<form ").skip(1).collect();
    assert_eq!(forms.len(), 3);
    // Enter on a switch submits the form that contains the switches.
    let switches = |form: &&str| form.split("</form>").next().unwrap().contains("role=\"switch\"");
    assert!(switches(&forms[0]) && forms[0].contains("value=\"save\""), "{text}");
    assert!(!switches(&forms[1]) && !switches(&forms[2]), "{text}");
    for form in forms {
        assert!(form.contains("name=\"return_to\" value=\"/a\"") && form.contains("name=\"lang\""));
    }
}

#[test]
fn the_language_follows_the_link_then_the_browser_then_the_site() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "[centre]\nlanguage = 'it'\n");
    for (path, accept, lang, title) in [
        ("", "", "it", "Preferenze sui cookie"),
        ("", "sv, ja;q=0.5, de;q=0.7", "de", "Cookie-Einstellungen"),
        ("?lang=pt", "de", "pt-BR", "Preferências de cookies"),
        ("?lang=xx", "ko-KR", "ko", "쿠키 설정"),
        ("notice?lang=ru", "", "ru", "Уведомление о файлах cookie"),
    ] {
        let fields: &[(&str, &str)] =
            if accept.is_empty() { &[] } else { &[("Accept-Language", accept)] };
        let page = proxy.get(&format!("{CENTRE}{path}"), fields);
        assert_eq!(page.field("content-language").as_deref(), Some(lang), "{path} {accept}");
        let text = page.text();
        assert!(
            text.contains(&format!("<html lang=\"{lang}\">")) && text.contains(title),
            "{text}"
        );
    }
}

#[test]
fn the_notice_has_dates_opt_out_links_and_cookies() {
    let origin = Origin::setting_cookies(&["_ga=1; Max-Age=60"]);
    let toml = "[consent]\nnotice_date = 2026-03-01\n[centre]\nearlier_notices = [2018-05-25, 2020-01-02]\n";
    let proxy = Proxy::start(&origin, toml);
    proxy.get("/", &[]);
    let text = proxy.get("/.consentry/notice?lang=fr&return_to=/a", &[]).text();
    for expected in [
        "En vigueur depuis le 1er mars 2026",
        "Versions antérieures : 2 janvier 2020; 25 mai 2018",
        "<a href=\"/.consentry/?lang=fr&#38;return_to=%2Fa\">Préférences en matière de cookies</a>",
        "Global Privacy Control",
        "<code>_ga</code>",
        "<span>Distingue les visiteurs à des fins statistiques.</span>",
        "<a href=\"/a\">Retour au site</a>",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

#[test]
fn texts_domain_and_prefix_are_configurable_per_site() {
    let origin = Origin::responding(OK);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("en.toml"),
        "save = 'Keep it'\n[category.video]\ntitle = 'Films'\ndescription = 'Moving pictures.'\n",
    )
    .unwrap();
    let proxy = Proxy::start_with(&format!(
        "[centre]\nprefix = '/privacy/'\n[[category]]\nname = 'video'\n
         [[site]]\nhosts = ['one.example']\nupstream = '{0}'\n[site.centre]\nlocales = '{1}'\n[site.consent]\ncookie_domain = 'one.example'\n
         [[site]]\nhosts = ['two.example']\nupstream = '{0}'\n",
        origin.url(),
        folder.path().display()
    ));
    let page = |host: &str| proxy.get("/privacy/", &[("Host", host)]).text();
    let one = page("one.example");
    assert!(
        one.contains("Keep it") && one.contains("Films") && one.contains("Moving pictures."),
        "{one}"
    );
    let two = page("two.example");
    assert!(two.contains("Save choice") && two.contains(">Video<"), "{two}");
    let mut client = proxy.connect();
    let form = "choice=save&allow=video";
    let length = form.len().to_string();
    client.send(&request(
        "POST",
        "/privacy/",
        &[
            ("Host", "one.example"),
            ("Content-Length", &length),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
    ));
    client.send(form.as_bytes());
    let lines = client.reply("POST").set_cookies();
    // A cookie from before the domain was configured would conflict with the new one.
    assert_eq!(lines[0], "consentry=; Path=/; Max-Age=0");
    assert!(
        lines[1].contains("~video~; HttpOnly; SameSite=Lax; Path=/; Domain=one.example; Max-Age="),
        "{lines:?}"
    );
}

#[test]
fn with_another_tool_as_only_source_the_page_has_no_form() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "[consent]\nsources = ['onetrust']\n");
    let page = proxy.get(CENTRE, &[]).text();
    assert!(page.contains("Currently allowed") && !page.contains("<button"), "{page}");
    assert_eq!(post(&proxy, "choice=accept", &[]).status, 404);
}

/// The `Set-Cookie` lines of cookies other than consentry's own.
fn others(reply: &Reply) -> Vec<String> {
    let lines = reply.set_cookies().into_iter();
    lines.filter(|line| !line.starts_with("consentry=")).collect()
}

#[test]
fn a_withdrawal_deletes_cookies_in_every_scope_and_clears_storage_if_configured() {
    let origin = Origin::setting_cookies(&[
        "_ga=1; Domain=shop.example; Max-Age=600",
        "_fbp=1; HttpOnly; Path=/deep/down",
        "sid=1; HttpOnly",
        "lang=de; Path=/",
    ]);
    let proxy = Proxy::start(&origin, "[expire]\non_withdrawal = ['cookies', 'storage']\n");
    let before = consent_cookie("functional+analytics+targeting+social");
    proxy.get("/deep/down/page", &[("Cookie", &before)]);
    let cookies = format!("{before}; _ga=1; sid=1; lang=de; odd=1");
    let reply = post(&proxy, "choice=save&allow=functional", &[("Cookie", &cookies)]);
    assert_eq!(reply.field("clear-site-data").as_deref(), Some("\"storage\""));
    let mut lines = others(&reply);
    lines.sort();
    assert_eq!(
        lines,
        [
            "_fbp=; Max-Age=0; Path=/deep/down",
            "_ga=; Max-Age=0; Path=/",
            "_ga=; Max-Age=0; Path=/; Domain=shop.example",
            "_ga=; Max-Age=0; Path=/deep/down; Domain=shop.example",
            "odd=; Max-Age=0; Path=/",
        ]
    );
    // Only once: repeating the decision deletes nothing.
    let after = consent_cookie("functional");
    let reply = post(&proxy, "choice=save&allow=functional", &[("Cookie", &after)]);
    assert_eq!((others(&reply).len(), reply.field("clear-site-data")), (0, None));
    // More consent deletes nothing, nor does a first refusal, since nothing was granted before.
    for cookies in [after.as_str(), "x=1"] {
        let reply = post(&proxy, "choice=accept", &[("Cookie", cookies)]);
        assert_eq!((others(&reply).len(), reply.field("clear-site-data")), (0, None));
    }
}

#[test]
fn a_withdrawal_deletes_configured_scopes_in_a_fresh_process() {
    let origin = Origin::responding(OK);
    let rule = "[[cookie]]\nname = 'uid'\ncategory = 'analytics'\npath = '/account'\ndomain = 'shop.example'\n";
    let proxy = Proxy::start(&origin, rule);
    let reply = post(&proxy, "choice=reject", &[("Cookie", &consent_cookie("analytics"))]);
    assert_eq!(others(&reply), ["uid=; Max-Age=0; Path=/account; Domain=shop.example"]);
    let other = [("Cookie", &*consent_cookie("analytics")), ("Host", "other.example")];
    assert!(others(&post(&proxy, "choice=reject", &other)).is_empty(), "another domain");
}

#[test]
fn a_withdrawal_keeps_storage_by_default_and_everything_in_observe_mode() {
    let origin = Origin::setting_cookies(&["_ga=1"]);
    for (toml, deletions) in
        [("", 2), ("mode = 'observe'\n", 0), ("[expire]\non_withdrawal = []\n", 0)]
    {
        let proxy = Proxy::start(&origin, toml);
        let before = consent_cookie("analytics");
        proxy.get("/", &[("Cookie", &before)]);
        let reply = post(&proxy, "choice=reject", &[("Cookie", &format!("{before}; _ga=1"))]);
        assert_eq!(reply.field("clear-site-data"), None, "{toml}");
        assert_eq!(others(&reply).len(), deletions, "{toml} {:?}", reply.set_cookies());
    }
}

#[test]
fn a_fresh_process_deletes_at_each_path_prefix_of_the_withdrawal_and_the_next_page() {
    let toml =
        "[[cookie]]\nname = 'uid'\ncategory = 'analytics'\n[centre]\nprefix = '/shop/.privacy/'\n";
    let proxy = Proxy::start(&Origin::responding(OK), toml);
    let before = format!("{}; uid=1", consent_cookie("analytics"));
    let form = "choice=reject&return_to=/shop/item/1";
    let fields = [("Cookie", &*before), ("Host", "shop.example")];
    let mut lines = others(&proxy.post("/shop/.privacy/", form, &fields));
    lines.retain(|line| !line.contains("Domain="));
    lines.sort();
    let at = |path: &str| format!("uid=; Max-Age=0; Path={path}");
    assert_eq!(lines, ["/", "/shop", "/shop/"].map(at));
    // Cookies of deeper paths are not sent with the withdrawal. The next page load deletes them.
    let another = Proxy::start(&Origin::responding(OK), toml);
    let after = format!("{}; uid=1", consent_cookie(""));
    let fields = [("Cookie", &*after), ("Sec-Fetch-Mode", "navigate"), ("Host", "shop.example")];
    let lines = others(&another.get("/shop/item/1", &fields));
    for path in ["/", "/shop", "/shop/", "/shop/item", "/shop/item/", "/shop/item/1"] {
        assert!(lines.contains(&at(path)), "{path}: {lines:?}");
    }
}
