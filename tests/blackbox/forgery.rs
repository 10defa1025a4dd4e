//! Forged consent: signatures, consent cookies set by origins, cross-site decisions, and their rate limit.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Origin, Proxy, consent_cookie, full_consent, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";

/// The cookie that a decision sets.
fn accept(proxy: &Proxy) -> String {
    let lines = proxy.post("/.consentry/", "choice=accept", &[]).set_cookies();
    lines[0].split(';').next().unwrap().to_owned()
}

fn keys(folder: &Path, text: &str) -> String {
    let path = folder.join("consent.key");
    std::fs::write(&path, text).unwrap();
    format!("[consent]\nkey_file = '{}'\n", path.display())
}

#[test]
fn with_a_key_only_signed_cookies_grant_even_where_the_default_allows() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::setting_cookies(&["_ga=1", "_fbp=1"]);
    let key = keys(folder.path(), OLD);
    for (default, source) in [("deny", "consentry"), ("allow", "consentry"), ("allow", "auto")] {
        let proxy =
            Proxy::start(&origin, &format!("{key}default = '{default}'\nsources = ['{source}']\n"));
        let passing = |cookies: &str| proxy.get("/", &[("Cookie", cookies)]).set_cookies().len();
        let signed = accept(&proxy);
        assert_eq!(signed.matches('~').count(), 5, "{signed}");
        assert_eq!(passing(&signed), 2);
        // Changed, truncated, signed with another key, unsigned, invalid.
        let other = {
            let folder = tempfile::tempdir().unwrap();
            accept(&Proxy::start(&origin, &keys(folder.path(), NEW)))
        };
        let unsigned = signed.rsplit_once('~').unwrap().0.to_owned();
        let changed = signed.replace("functional+", "");
        let empty = format!("{unsigned}~");
        for forged in [
            &changed,
            &signed[..signed.len() - 1],
            &other,
            &unsigned,
            &empty,
            &full_consent(),
            "consentry=junk",
            "consentry=",
        ] {
            assert_eq!(passing(forged), 0, "{default} {forged}");
            // They have no effect beside the signed cookie.
            for both in [format!("{forged}; {signed}"), format!("{signed}; {forged}")] {
                assert_eq!(passing(&both), 2, "{default} {both}");
            }
        }
        // A refusal from before the key still counts, and so does a refusal beside a forged cookie.
        assert_eq!(passing(&consent_cookie("")), 0);
        let reply = proxy.post("/.consentry/", "choice=reject", &[]);
        let refused = reply.set_cookies()[0].split(';').next().unwrap().to_owned();
        for both in
            [format!("{}; {refused}", full_consent()), format!("{refused}; {}", full_consent())]
        {
            assert_eq!(passing(&both), 0, "{default} {both}");
        }
        let unsigned_metric = "consentry_consent_decisions_total{site=\"default\",source=\"none\",reason=\"unsigned\"}";
        assert!(proxy.metric(unsigned_metric) >= 8.0);
    }
}

#[test]
fn keys_rotate_with_a_reload_and_every_replica_with_the_key_reads_the_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::setting_cookies(&["_ga=1"]);
    let toml = keys(folder.path(), OLD);
    let (one, two) = (Proxy::start(&origin, &toml), Proxy::start(&origin, &toml));
    let passing =
        |proxy: &Proxy, cookies: &str| proxy.get("/", &[("Cookie", cookies)]).set_cookies().len();
    let elsewhere = tempfile::tempdir().unwrap();
    let new_only = Proxy::start(&origin, &keys(elsewhere.path(), NEW));
    let (old, new) = (accept(&one), accept(&new_only));
    assert_eq!((passing(&two, &old), passing(&two, &new)), (1, 0));
    keys(folder.path(), &format!("{NEW}\n{OLD}\n"));
    for proxy in [&one, &two] {
        proxy.signal("HUP");
        // File changes trigger reloads too, so the test checks the active config.
        proxy.wait_until("both keys are in force", || passing(proxy, &new) == 1);
        assert_eq!(passing(proxy, &old), 1);
    }
    assert_eq!(passing(&new_only, &accept(&one)), 1, "the first key signs");
    keys(folder.path(), NEW);
    two.signal("HUP");
    two.wait_until("the new key is in force", || passing(&two, &old) == 0);
    assert_eq!(passing(&two, &new), 1);
    // An invalid key is not activated.
    keys(folder.path(), "short");
    two.signal("HUP");
    two.expect_log("consent.key_file");
    assert_eq!(passing(&two, &new), 1);
}

#[test]
fn the_commands_use_the_signing_key_and_check_explains_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = |toml: &str| {
        let path = folder.path().join("c.toml");
        std::fs::write(&path, format!("{toml}[[site]]\nupstream = 'http://127.0.0.1:1'\n"))
            .unwrap();
        path.display().to_string()
    };
    let toml = keys(folder.path(), OLD);
    let path = config(&toml);
    let (code, signed, error) = run(&["cookie", "--config", &path, "--allow", "analytics"], "");
    assert_eq!((code, error.as_str()), (0, ""));
    let (signed, unsigned) = (signed.trim_end(), consent_cookie("analytics"));
    for (cookie, decided) in [(signed, true), (&unsigned, false)] {
        let (_, out, _) = run(&["consent", "--config", &path, cookie], "");
        let said: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(said["decided"], decided, "{out}");
        let reason = said["reason"].as_str().unwrap();
        assert_eq!(reason.contains("no valid signature"), !decided, "{reason}");
    }
    let (_, out, _) = run(&["check", "--config", &path], "");
    assert!(out.contains("signed, 1 key"), "{out}");
    let (_, out, _) = run(&["consent", "--config", &config(""), signed], "");
    assert!(out.contains("\"decided\":true"), "without a key a signature is ignored: {out}");
    let (_, out, _) = run(&["check", "--config", &config("")], "");
    assert!(out.contains("unsigned: ") && out.contains("set consent.key_file"), "{out}");
    for (text, said) in [
        ("", "no key found"),
        ("short", "line 1 is not a key"),
        (&format!("{OLD}\n\n{NEW} x\n"), "line 3 is not a key"),
    ] {
        let (code, _, error) = run(&["check", "--config", &config(&keys(folder.path(), text))], "");
        assert!(code == 2 && error.contains("consent.key_file") && error.contains(said), "{error}");
        assert!(text.is_empty() || !error.contains(text), "a key is never shown: {error}");
    }
    let (code, _, error) =
        run(&["check", "--config", &config("[consent]\nkey_file = '/nowhere'\n")], "");
    assert!(code == 2 && error.contains("cannot read the file"), "{error}");
}

#[test]
fn an_origin_cannot_set_or_delete_the_consent_cookie() {
    let lines = |cookie: &str| {
        [
            format!("{cookie}; Path=/"),
            format!("={cookie}; Path=/"),
            format!(" {cookie}"),
            format!("{cookie}; Domain=shop.example; Max-Age=99999"),
            "consentry=; Max-Age=0; Path=/".to_owned(),
            "consentry=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
        ]
    };
    let kept =
        ["session=1; HttpOnly", "__Host-consentry=1; Secure; Path=/", "xconsentry=1", "=token"];
    let forged = lines(&full_consent());
    let set: Vec<&str> = forged.iter().map(String::as_str).chain(kept).collect();
    let origin = Origin::setting_cookies(&set);
    let proxy = Proxy::start(&origin, "unclassified = 'allow'");
    for cookies in ["", &full_consent(), &consent_cookie("")] {
        assert_eq!(proxy.get("/", &[("Cookie", cookies)]).set_cookies(), kept, "{cookies}");
    }
    // Observe mode changes nothing. If another tool decides, the name is an ordinary one.
    for toml in ["mode = 'observe'\n", "unclassified = 'allow'\nconsent.sources = ['onetrust']\n"] {
        let proxy = Proxy::start(&origin, toml);
        assert_eq!(proxy.get("/", &[]).set_cookies().len(), set.len(), "{toml}");
    }
}

#[test]
fn a_granting_choice_needs_user_activation_if_the_browser_reports_it() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "centre.api = true");
    let chromium = ("User-Agent", "Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36");
    let clicked = [chromium, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-User", "?1")];
    let scripted = [chromium, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let fetched = [chromium, ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    let api = "/.consentry/consent";
    for (path, body, by_click, by_script) in [
        ("/.consentry/", "choice=accept", 303, 403),
        ("/.consentry/", "choice=save&allow=analytics", 303, 403),
        // A refusal of everything may come from the visitor's own software.
        ("/.consentry/", "choice=reject", 303, 303),
        (api, "granted=analytics&granted=social", 200, 403),
        (api, "{\"granted\":[\"analytics\"]}", 200, 403),
        (api, "", 200, 403),
    ] {
        assert_eq!(proxy.post(path, body, &clicked).status, by_click, "{path} {body}");
        for fields in [scripted, fetched] {
            let reply = proxy.post(path, body, &fields);
            assert_eq!(reply.status, by_script, "{path} {body} {fields:?}");
            assert_eq!(reply.set_cookies().len(), usize::from(by_script != 403));
        }
    }
    let reply = proxy.post(api, "granted=analytics&granted=social", &clicked);
    assert!(reply.set_cookies()[0].contains("~analytics+social~"), "{:?}", reply.set_cookies());
    for body in ["granted=video", "allow=analytics", "granted=analytics&x=1"] {
        assert_eq!(proxy.post(api, body, &clicked).status, 400, "{body}");
    }
}

/// The token of the forms in the preference centre.
fn token(proxy: &Proxy, fields: &[(&str, &str)]) -> String {
    let page = proxy.get("/.consentry/", fields);
    assert_eq!(page.field("cache-control").as_deref(), Some("no-store"));
    let text = page.text();
    let tokens: Vec<&str> = text.split("name=\"token\" value=\"").skip(1).collect();
    let tokens: Vec<&str> = tokens.iter().map(|rest| rest.split('"').next().unwrap()).collect();
    let [one, two, three] = tokens[..] else { panic!("{text}") };
    assert!(one == two && two == three && one.len() == 43, "{tokens:?}");
    one.to_owned()
}

/// Posts a form with these fields and no others. Returns the status, `Location`, and the number of cookies.
fn submitted(proxy: &Proxy, form: &str, fields: &[(&str, &str)]) -> (u16, String, usize) {
    let length = form.len().to_string();
    let fixed =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", &*length)];
    let mut client = proxy.connect();
    client.send(&request("POST", "/.consentry/", &[&fixed[..], fields].concat()));
    client.send(form.as_bytes());
    let reply = client.reply("POST");
    (reply.status, reply.field("location").unwrap_or_default(), reply.set_cookies().len())
}

#[test]
fn a_form_from_an_unknown_page_records_nothing_and_leads_to_the_preferences_page() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for fields in [&[][..], &[("Origin", "null")]] {
        for (form, location) in [
            ("choice=accept", "/.consentry/?repeat=1&lang=en"),
            ("choice=reject&token=", "/.consentry/?repeat=1&lang=en"),
            (
                "banner=1&choice=accept&lang=de&return_to=/a?b",
                "/.consentry/?repeat=1&lang=de&return_to=%2Fa%3Fb",
            ),
            ("banner=1&choice=accept", "/.consentry/?repeat=1&lang=en&return_to=%2F"),
            ("choice=maybe", "/.consentry/?repeat=1&lang=en"),
        ] {
            let found = submitted(&proxy, form, fields);
            assert_eq!(found, (303, location.to_owned(), 0), "{form} {fields:?}");
        }
        let invalid = submitted(&proxy, "choice=accept&return_to=//evil.example", fields);
        assert_eq!((invalid.0, invalid.2), (400, 0));
    }
    let page = proxy.get("/.consentry/?repeat=1&lang=de&return_to=%2Fa%3Fb", &[]).text();
    assert!(page.contains("role=\"alert\">Ihr Browser hat nicht mitgeteilt"), "{page}");
    assert!(page.contains("name=\"return_to\" value=\"/a?b\""), "{page}");
    assert!(!proxy.get("/.consentry/", &[]).text().contains("role=\"alert\""));
}

#[test]
fn a_token_decides_only_without_origin_and_only_for_the_same_kind_of_visitor() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "listen.trusted_proxies = ['127.0.0.1']");
    let own = [("User-Agent", "Browser/1"), ("X-Forwarded-For", "192.0.2.7")];
    let token = token(&proxy, &own);
    let form = format!("choice=accept&token={token}");
    let post = |form: &str, fields: &[(&str, &str)]| {
        let (status, location, cookies) = submitted(&proxy, form, fields);
        (status, location.contains("repeat"), cookies)
    };
    let (recorded, repeated, rejected) = ((303, false, 1), (303, true, 0), (403, false, 0));
    let replaced = |name: &str, value: &'static str| {
        own.map(|(own, kept)| (own, if own == name { value } else { kept }))
    };
    for (fields, expected) in [
        (own.to_vec(), recorded),
        ([&own[..], &[("Origin", "null")]].concat(), recorded),
        // A phone in the same network.
        (replaced("X-Forwarded-For", "192.0.2.200").to_vec(), recorded),
        (replaced("X-Forwarded-For", "192.0.3.7").to_vec(), repeated),
        (replaced("X-Forwarded-For", "2001:db8::1").to_vec(), repeated),
        (replaced("User-Agent", "Browser/2").to_vec(), repeated),
        (vec![own[1]], repeated),
        ([&own[..], &[("Host", "other.example")]].concat(), repeated),
        // A token outweighs no field that names another site.
        ([&own[..], &[("Origin", "https://evil.example")]].concat(), rejected),
        ([&own[..], &[("Sec-Fetch-Site", "cross-site"), ("Origin", "null")]].concat(), rejected),
        ([&own[..], &[("Sec-Fetch-Site", "same-site")]].concat(), rejected),
    ] {
        assert_eq!(post(&form, &fields), expected, "{fields:?}");
    }
    for forged in ["", "A", &token[1..], &"A".repeat(43), &format!("{token}=")] {
        let form = format!("choice=accept&token={forged}");
        assert_eq!(post(&form, &own), repeated, "{forged}");
    }
}

#[test]
fn replicas_with_the_same_key_share_tokens_and_only_those() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::responding(OK);
    let key = keys(folder.path(), OLD);
    let (one, two) = (Proxy::start(&origin, &key), Proxy::start(&origin, &key));
    let (alone, other) = (Proxy::start(&origin, ""), Proxy::start(&origin, ""));
    let cookies = |form: &str, proxy: &Proxy| submitted(proxy, form, &[]).2;
    let shared = format!("choice=reject&token={}", token(&one, &[]));
    let random = format!("choice=reject&token={}", token(&alone, &[]));
    let found = [&one, &two, &alone, &other]
        .map(|proxy| (cookies(&shared, proxy), cookies(&random, proxy)));
    assert_eq!(found, [(1, 0), (1, 0), (0, 1), (0, 0)]);
    // A reload keeps the key of the process.
    alone.signal("HUP");
    alone.expect_log("reloaded");
    assert_eq!(cookies(&random, &alone), 1);
}

#[test]
fn rate_limits_apply_to_posts_but_not_to_reads_of_the_consent_ui() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(
        &origin,
        &format!(
            "[limits]\nrequests_per_second = 1\nburst = 3\n[centre]\napi = true\nbridge = true\n\
             [receipts]\nurl = 'sqlite:{0}/r.db'\nspool = '{0}/s.db'\n",
            folder.path().display()
        ),
    );
    let mut statuses = Vec::new();
    let began = Instant::now();
    for number in 0..40 {
        let (path, body) = match number % 3 {
            0 => ("/.consentry/", "choice=accept"),
            1 => ("/.consentry/consent", "{\"granted\":[]}"),
            _ => ("/.consentry/bridge", "{\"granted\":[\"social\"]}"),
        };
        statuses.push(proxy.post(path, body, &[]).status);
    }
    let admitted = statuses.iter().filter(|status| **status != 429).count();
    // The burst, and one for each second that has begun.
    let most = 4 + began.elapsed().as_secs();
    assert!((3..=most).contains(&(admitted as u64)) && admitted < 40, "{statuses:?}");
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", admitted as f64);
    for _ in 0..20 {
        assert_eq!(proxy.get("/.consentry/style.css", &[]).status, 200);
        assert_eq!(proxy.get("/.consentry/consent", &[]).status, 200);
    }
}

#[test]
fn receipt_files_are_private_and_have_the_time_of_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    // A file of an earlier version.
    let spool = folder.path().join("spool");
    std::fs::write(&spool, "").unwrap();
    std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o644)).unwrap();
    let receipts = format!(
        "[receipts]\nurl = 'sqlite:{0}/r.db'\nspool = '{0}/spool'\n",
        folder.path().display()
    );
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &format!("{receipts}[centre]\nbridge = true\n"));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let body = format!("{{\"granted\":[\"social\"],\"time\":{}}}", now - 86_400);
    assert_eq!(proxy.post("/.consentry/bridge", &body, &[]).status, 200);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    assert!(
        names.contains(&"r.db".to_owned()) && names.iter().any(|name| name.ends_with("-wal")),
        "{names:?}"
    );
    let config = folder.path().join("c.toml");
    std::fs::write(&config, format!("{receipts}[[site]]\nupstream = 'http://a'\n")).unwrap();
    let (_, out, _) = run(&["receipts", "export", "--config", config.to_str().unwrap()], "");
    let receipt: Value = serde_json::from_str(&out).unwrap();
    let day = |key: &str| receipt[key].as_str().unwrap()[..10].to_owned();
    assert!(day("time") < day("recorded_at"), "{receipt}");
}

#[test]
fn stars_and_braces_in_observed_names_never_become_wildcards_in_suggestions() {
    let pixel = "HTTP/1.1 204 No Content\r\nSet-Cookie: a*=1; Max-Age=60\r\nSet-Cookie: *b_8f14e45fceea=1\r\nSet-Cookie: {word}=1\r\nSet-Cookie: _{=1\r\nSet-Cookie: plain_one=1\r\n\r\n";
    let origin = Origin::responding(pixel);
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[("Cookie", "sent*=1; _*=2; **=3; sess_8f14e45fceea=4")]);
    for path in ["/pix*el", "/pix{word}el"] {
        proxy.get(path, &[("Sec-Fetch-Dest", "image")]);
    }
    let (code, out, error) = run(&["suggest", "--admin", &proxy.admin.to_string()], "");
    assert_eq!(code, 0, "{error}");
    let rules: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with("name = ") || line.starts_with("path = "))
        .collect();
    assert!(
        rules.contains(&"name = \"plain_one\"") && rules.contains(&"name = \"sess_*\""),
        "{out}"
    );
    assert_eq!(rules.len(), 2, "{out}");
    let (_, inventory) = proxy.admin("/inventory");
    assert!(
        inventory.contains("a\\\\x2a")
            && inventory.contains("_\\\\x7b")
            && inventory.contains("sent\\\\x2a"),
        "{inventory}"
    );
}
