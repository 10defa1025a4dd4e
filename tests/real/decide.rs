//! consentry's own pages, the banner and the guard in a real Chromium. Receipts in SQLite and in a real PostgreSQL.

use std::process::Command;

use serde_json::{Value, json};

use crate::nginx::program;
use crate::postgres::Postgres;
use crate::support::{Origin, Proxy, request, run};

/// Runs one of the scripts against a proxy, and returns its output.
pub fn node(script: &str, proxy: &Proxy) -> Value {
    let output = Command::new(program("node"))
        .arg(script)
        .arg(program("chromium"))
        // Localhost is a secure context, which `cookieStore` and Clear-Site-Data require.
        .arg(format!("http://localhost:{}", proxy.address.port()))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn page(head: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n{head}\r\n{body}"
    )
}

/// A shop's page that sets cookies of every category, some of them with a narrower path.
fn shop() -> Origin {
    let cookies = [
        "PHPSESSID=s; HttpOnly; Path=/",
        "lang=de; Path=/; Max-Age=600",
        "_ga=1; Path=/; Max-Age=600",
        "_fbp=1; HttpOnly; Path=/shop; Max-Age=600",
        "__atuvc=1; HttpOnly; Path=/; Max-Age=600",
    ];
    let head: String = cookies.iter().map(|line| format!("Set-Cookie: {line}\r\n")).collect();
    let body = "<!doctype html><html lang=en><head><title>Shop</title><meta name=viewport content='width=device-width'>\
        <link rel=icon href='data:,'></head><body><main><h1>Shop</h1><p>Goods.</p></main>\
        <script>localStorage.setItem('cart', '1')</script></body></html>";
    Origin::responding(page(&head, body))
}

/// The command's output, one JSON value per line.
fn exported(folder: &std::path::Path, toml: &str) -> Vec<Value> {
    let config = folder.join("consentry.toml");
    std::fs::write(&config, format!("{toml}[[site]]\nupstream = 'http://127.0.0.1:1'\n")).unwrap();
    let (code, out, error) = run(&["receipts", "export", "--config", config.to_str().unwrap()], "");
    assert_eq!(code, 0, "{error}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The notice has items of every technology, and a controller.
const NOTICE: &str = "[centre]\ncontroller = 'Alder Books Ltd'\ncontact = 'privacy@shop.example'\n
    [[beacon]]\npath = '/track'\ncategory = 'analytics'\nvendor = 'Alder Books'\n
    [[host]]\nname = 'maps.example'\ncategory = 'functional'\n
    [[parameter]]\nname = 'visitor_id'\ncategory = 'analytics'\n";

/// Visitors decide in a browser, with and without scripts. Checks the remaining cookies and receipts.
fn check_decisions_in_browser(url: &str, folder: &std::path::Path) {
    let origin = shop();
    let toml = format!(
        "{NOTICE}[banner]\nenabled = true\n[expire]\non_withdrawal = ['cookies', 'storage']\n[receipts]\nurl = '{url}'\nspool = '{}/spool'\n",
        folder.display()
    );
    let proxy = Proxy::start(&origin, &toml);
    let found = node("decide.mjs", &proxy);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    assert_eq!(found["wide"], json!([]), "no page is wider than its window");
    assert_eq!(found["console"], json!([]), "{found:#}");
    assert_eq!(
        found["keyboard"],
        json!(["Cookie notice", "Accept all", "Reject all", "Customise"])
    );
    let all = json!(["PHPSESSID", "__atuvc", "_fbp", "_ga", "consentry", "lang"]);
    let cart = "/shop/cart?item=1";
    for scripts in ["with", "without"] {
        let of = &found[scripts];
        for (state, url, banner, jar) in [
            ("none", cart, 1, json!(["PHPSESSID"])),
            ("accept", cart, 0, all.clone()),
            ("reject", cart, 0, json!(["PHPSESSID", "consentry"])),
            ("custom", cart, 0, json!(["PHPSESSID", "_ga", "consentry"])),
            // Enter grants no more than the switches show.
            ("enter", cart, 0, json!(["PHPSESSID", "_ga", "consentry"])),
            ("withdraw", cart, 0, json!(["PHPSESSID", "_ga", "consentry", "lang"])),
        ] {
            let shown = &of[state];
            assert_eq!(shown["url"], url, "{scripts} {state} {found:#}");
            assert_eq!(
                (&shown["banner"], &shown["after"]),
                (&json!(banner), &json!(banner)),
                "{scripts} {state}"
            );
            // Granted cookies arrive with the page after the decision. Withdrawn cookies are deleted immediately.
            assert_eq!(shown["again"], jar, "{scripts} {state}");
            if state == "withdraw" {
                assert_eq!(shown["jar"], jar, "{scripts}");
            }
        }
    }
    // Storage is cleared once, with the withdrawal. The next page stores new data.
    let cleared = found["cleared"].as_array().unwrap();
    assert!(!cleared.is_empty() && cleared.len() <= 2, "{found:#}");
    assert!(
        cleared
            .iter()
            .all(|line| line.as_str().unwrap().ends_with("Cleared data types: \"storage\"."))
    );
    assert_eq!(found["with"]["accept"]["stored"], json!(["cart"]));

    let receipts = exported(folder, &toml);
    let hows = |how: &str| receipts.iter().filter(|receipt| receipt["how"] == how).count();
    // Accept and reject in the banner, custom and withdraw in the centre, each with and without scripts.
    assert_eq!((receipts.len(), hows("banner"), hows("centre")), (10, 4, 6), "{receipts:#?}");
    assert!(receipts.iter().all(|receipt| receipt["language"] == "en"), "{receipts:#?}");
}

#[test]
fn visitors_decide_in_chromium_with_receipts_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    check_decisions_in_browser(
        &format!("sqlite:{}/receipts.db", folder.path().display()),
        folder.path(),
    );
}

#[test]
fn visitors_decide_in_chromium_with_receipts_in_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(None);
    check_decisions_in_browser(&postgres.url(), folder.path());
    assert_eq!(
        postgres.query("SELECT count(*), count(DISTINCT receipt->>'id') FROM consent_receipts"),
        "10|10"
    );
}

#[test]
fn the_guard_restricts_scripts_and_tags_to_the_consent() {
    let body = "<!doctype html><html lang=en><head><script>window.first = 'CookieStore' in window && \
        Object.getOwnPropertyDescriptor(Document.prototype, 'cookie').set.toString().includes('native')</script><link rel=icon href='data:,'>\
        <link rel=preload as=script href='https://www.google-analytics.com/analytics.js'>\
        <script src='https://www.google-analytics.com/analytics.js'></script><script src='https://code.jquery.test/jquery.js'></script></head>\
        <body><img alt='' src='https://ad.doubleclick.net/x.gif'><iframe title=x src='https://www.youtube.com/embed/1'></iframe></body></html>";
    let origin = Origin::responding(page("", body));
    let proxy = Proxy::start(&origin, "[page]\nguard = true\n");
    let found = node("guard.mjs", &proxy);
    let lines = found["console"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "one for each page on which something was held back: {found:#}");
    for name in ["_ga", "_fbp", "_gid", "nobody_knows", "_hjid"] {
        assert!(lines[0].as_str().unwrap().contains(name), "{name}: {lines:?}");
    }
    let held_back = held_back_items(&proxy);
    for seen in ["cookie _ga analytics", "storage _gid analytics", "cookie nobody_knows -"] {
        assert!(held_back.iter().any(|item| item == seen), "{seen}: {held_back:?}");
    }
    let blocked = "host ad.doubleclick.net targeting";
    assert!(held_back.iter().any(|item| item == blocked), "{held_back:?}");
    let none = &found["none"];
    assert_eq!(none["cookies"], json!(["consentry", "csrftoken"]), "{found:#}");
    assert_eq!(none["local"], json!(["auth-tokens", "cart", "oidc.userToken"]));
    assert_eq!(none["session"], json!([]));
    assert_eq!(
        none["whole"],
        json!([true, 3, "1", true]),
        "`localStorage` behaves like a `Storage`"
    );
    assert_eq!(none["first"], false, "the guard was there before the first script");
    assert_eq!(none["contacted"], json!(["code.jquery.test"]));
    let some = &found["functional"];
    assert_eq!(
        some["cookies"],
        json!(["consentry", "csrftoken", "django_language", "lang"]),
        "{found:#}"
    );
    assert_eq!(some["session"], json!(["lang"]));
    let all = &found["functional+analytics+targeting+social"];
    assert_eq!(
        all["cookies"],
        json!(["_fbp", "_ga", "consentry", "csrftoken", "django_language", "lang", "nobody_knows"])
    );
    assert_eq!(
        all["local"],
        json!(["_fbp", "_ga", "_gid", "auth-tokens", "cart", "oidc.userToken"])
    );
    let read_back = &all["readBack"];
    assert_eq!(read_back["refused"], "TypeError", "the error of the browser");
    for held in [none, some] {
        assert_eq!(held["readBack"], *read_back, "scripts read back what they wrote");
    }
    assert_eq!(
        all["contacted"],
        json!([
            "ad.doubleclick.net",
            "code.jquery.test",
            "www.google-analytics.com",
            "www.youtube.com"
        ])
    );
    assert_eq!(all["first"], true, "with consent to everything the page is unchanged");
}

/// The items held back by the guard in pages: kind, name and category.
fn held_back_items(proxy: &Proxy) -> Vec<String> {
    let (_, inventory) = proxy.admin("/inventory");
    let inventory: Value = serde_json::from_str(&inventory).unwrap();
    let items = inventory["default"]["held_back"].as_array().unwrap();
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or("-").to_owned();
    let shown = |item| ["kind", "name", "category"].map(|key| text(item, key)).join(" ");
    items.iter().map(shown).collect()
}

#[test]
fn in_observe_mode_the_guard_blocks_nothing_and_reports() {
    let body = "<!doctype html><html lang=en><head><link rel=icon href='data:,'></head>\
        <body><img alt='' src='https://ad.doubleclick.net/x.gif'></body></html>";
    let origin = Origin::responding(page("", body));
    let proxy = Proxy::start(&origin, "mode = 'observe'\n[page]\nguard = true\n");
    let found = node("guard.mjs", &proxy);
    let (none, all) = (&found["none"], &found["functional+analytics+targeting+social"]);
    for what in ["cookies", "local", "session", "contacted", "readBack"] {
        assert_eq!(none[what], all[what], "{what}");
    }
    let held_back = held_back_items(&proxy);
    for seen in
        ["cookie _ga analytics", "storage _gid analytics", "host ad.doubleclick.net targeting"]
    {
        assert!(held_back.iter().any(|item| item == seen), "{seen}: {held_back:?}");
    }
}

/// Posts a decision and returns the status.
fn choose(proxy: &Proxy) -> u16 {
    let form = "choice=accept";
    let mut client = proxy.connect();
    client.send(&request(
        "POST",
        "/.consentry/",
        &[
            ("Content-Length", &form.len().to_string()),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
    ));
    client.send(form.as_bytes());
    client.reply("POST").status
}

#[test]
fn while_postgresql_is_down_receipts_survive_a_kill_without_loss_or_duplicates() {
    let origin = shop();
    let postgres = Postgres::start(None);
    let folder = tempfile::tempdir().unwrap();
    for durability in ["batch", "strict"] {
        let toml = format!(
            "[receipts]\nurl = '{}'\nspool = '{}/{durability}'\ndurability = '{durability}'\n",
            postgres.url(),
            folder.path().display()
        );
        let mut proxy = Proxy::start(&origin, &toml);
        assert_eq!(choose(&proxy), 303);
        proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 1.0);
        postgres.stop_server();
        for _ in 0..20 {
            assert_eq!(choose(&proxy), 303, "consent works without the store");
        }
        assert!(
            proxy.admin("/readyz").1.contains("20 receipts in the spool"),
            "{}",
            proxy.admin("/readyz").1
        );
        proxy.signal("KILL");
        proxy.exit_status();
        let proxy = Proxy::start(&origin, &toml);
        assert_eq!(choose(&proxy), 303);
        postgres.start_server();
        proxy.expect_metric("consentry_receipts_waiting", 0.0);
        assert_eq!(proxy.admin("/readyz").1, "ready\n");
        assert_eq!(choose(&proxy), 303);
    }
    assert_eq!(postgres.query("SELECT count(*) FROM consent_receipts"), "46");
}

#[test]
fn postgresql_tls_requires_a_trusted_certificate() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let postgres = Postgres::start(Some(port));
    let folder = tempfile::tempdir().unwrap();
    let ca = postgres.folder().join("ca.pem").display().to_string();
    for (more, works) in [(format!("ca_file = '{ca}'"), true), (String::new(), false)] {
        let config = folder.path().join("consentry.toml");
        let toml = format!(
            "[receipts]\nurl = 'postgres://consentry@localhost:{port}/postgres?sslmode=require'\n{more}\n[[site]]\nupstream = 'http://127.0.0.1:1'\n"
        );
        std::fs::write(&config, toml).unwrap();
        let (code, _, error) =
            run(&["receipts", "export", "--config", config.to_str().unwrap()], "");
        assert_eq!(code == 0, works, "{error}");
        assert!(
            works || error.contains("certificate") || error.contains("UnknownIssuer"),
            "{error}"
        );
    }
}
