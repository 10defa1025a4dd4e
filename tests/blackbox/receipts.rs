//! Receipts in a SQLite file: written before the response, durable over a kill, read by the command.

use std::path::Path;
use std::time::Duration;

use consentry::config::settings::Durability;
use consentry::internal::{DecisionChannel, Receipt, Sqlite, Store};
use rusqlite::Connection;

use crate::support::{Origin, Proxy, consent_cookie, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn settings(folder: &Path, more: &str) -> String {
    format!(
        "[receipts]\nurl = 'sqlite:{0}/receipts.db'\nspool = '{0}/spool'\n{more}\n",
        folder.display()
    )
}

fn receipt(id: &str, time: i64, recorded_at: Option<i64>) -> Receipt {
    Receipt {
        id: id.to_owned(),
        time,
        recorded_at,
        site: "shop".to_owned(),
        notice_date: None,
        granted: vec![],
        refused: vec![],
        language: None,
        how: DecisionChannel::Bridge,
        gpc: false,
        texts: None,
        ip: None,
        user_agent: None,
    }
}

/// Locks a SQLite file against writers until dropped.
fn lock(folder: &Path, name: &str) -> Connection {
    let connection = Connection::open(folder.join(name)).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// The ids of the receipts in the store.
fn stored(folder: &Path) -> Vec<String> {
    let connection = Connection::open(folder.join("receipts.db")).unwrap();
    let mut ids =
        connection.prepare("SELECT id FROM consent_receipts WHERE receipt <> 'null'").unwrap();
    ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Posts the form. Returns the status and the receipt id in the cookie.
fn choose(proxy: &Proxy, form: &str, fields: &[(&str, &str)]) -> (u16, Option<String>) {
    let length = form.len().to_string();
    let mut all = vec![
        ("Content-Length", length.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("User-Agent", "Test/1"),
    ];
    all.extend(fields);
    let mut client = proxy.connect();
    client.send(&request("POST", "/.consentry/", &all));
    client.send(form.as_bytes());
    let reply = client.reply("POST");
    let id = reply
        .set_cookies()
        .first()
        .and_then(|line| Some(line.split(';').next()?.rsplit('~').next()?.to_owned()));
    (reply.status, id)
}

/// Runs a `receipts` command with the same receipt settings.
fn command(folder: &Path, toml: &str, arguments: &[&str]) -> (i32, String, String) {
    let config = folder.join("consentry.toml");
    std::fs::write(&config, format!("{toml}[[site]]\nupstream = 'http://127.0.0.1:1'\n")).unwrap();
    let mut all = vec!["receipts"];
    all.extend(arguments);
    all.extend(["--config", config.to_str().unwrap()]);
    run(&all, "")
}

#[test]
fn every_decision_has_a_receipt_without_address_or_browser_that_the_command_prints() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(folder.path(), "[centre]\napi = true\nbridge = true");
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &toml);
    let (_, banner) =
        choose(&proxy, "banner=1&choice=reject&lang=de&return_to=/", &[("Sec-GPC", "1")]);
    let (_, centre) = choose(&proxy, "choice=save&allow=analytics&lang=ja", &[]);
    let mut client = proxy.connect();
    let body = "{\"granted\":[\"social\"]}";
    for path in ["consent", "bridge"] {
        client.send(&request(
            "POST",
            &format!("/.consentry/{path}"),
            &[
                ("Content-Length", "22"),
                ("Content-Type", "application/json"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
        ));
        client.send(body.as_bytes());
        assert_eq!(client.reply("POST").status, 200);
    }
    let (code, out, error) = command(folder.path(), &toml, &["export"]);
    assert_eq!((code, error.as_str()), (0, ""));
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{out}");
    let find = |how: &str| lines.iter().find(|line| line["how"] == how).unwrap();
    let of_banner = find("banner");
    assert_eq!(banner.as_deref(), Some(""), "a visitor who refused everything gets no identifier");
    assert_eq!(of_banner["id"].as_str().unwrap().len(), 32);
    assert_eq!(find("centre")["id"], centre.clone().unwrap().as_str());
    assert_eq!(of_banner["site"], "default");
    assert_eq!(of_banner["granted"], serde_json::json!(["necessary"]));
    assert_eq!(
        of_banner["refused"],
        serde_json::json!(["functional", "analytics", "targeting", "social"])
    );
    assert_eq!(of_banner["language"], "de");
    assert_eq!(of_banner["notice_date"], "2018-05-25");
    assert_eq!((&of_banner["gpc"], &find("centre")["gpc"]), (&true.into(), &false.into()));
    assert!(of_banner["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(of_banner["recorded_at"], of_banner["time"]);
    assert_eq!(find("api")["language"], serde_json::Value::Null);
    assert_eq!(find("bridge")["granted"], serde_json::json!(["necessary", "social"]));
    assert!(!out.contains("127.0.0.1") && !out.contains("Test/1"), "{out}");
    let (code, shown, _) = command(folder.path(), &toml, &["show", &centre.unwrap()]);
    assert_eq!(
        (code, serde_json::from_str::<serde_json::Value>(&shown).unwrap()),
        (0, find("centre").clone())
    );
    assert_eq!(command(folder.path(), &toml, &["show", "0"]).0, 1);
    assert_eq!(command(folder.path(), &toml, &["export", "--since", "2999-01-01"]).1, "");
    assert_eq!(command(folder.path(), &toml, &["export", "--since", "2018-05-25"]).1, out);
    assert_eq!(command(folder.path(), &toml, &["export", "--since", "soon"]).0, 2);
    assert_eq!(command(folder.path(), "", &["export"]).0, 2);
}

#[test]
fn receipts_have_address_and_browser_if_configured() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(
        folder.path(),
        "ip = true\nuser_agent = true\n[listen]\ntrusted_proxies = ['127.0.0.0/8']",
    );
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &toml);
    choose(&proxy, "choice=accept", &[("X-Forwarded-For", "198.51.100.1, 203.0.113.7")]);
    let (_, out, _) = command(folder.path(), &toml, &["export"]);
    assert!(
        out.contains("\"ip\":\"203.0.113.7\"") && out.contains("\"user_agent\":\"Test/1\""),
        "{out}"
    );
}

#[test]
fn expired_receipts_are_deleted_by_the_clock_of_the_server() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let days = |days: i64| now - days * 86_400;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipts.db");
    let receipts = [
        receipt("new", days(1), Some(days(1))),
        // Decided long ago by the visitor's clock, and recorded now.
        receipt("late", days(90), Some(days(1))),
        receipt("old", days(40), Some(days(40))),
        receipt("earlier-version", days(40), None),
    ];
    Sqlite::open(&path, Durability::Batch).unwrap().insert(&receipts).unwrap();
    let toml = settings(folder.path(), "retention_days = 30");
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &toml);
    proxy.expect_log("expired receipts deleted");
    let (_, out, _) = command(folder.path(), &toml, &["export"]);
    let ids: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string())
        .collect();
    assert_eq!(ids, ["\"late\"", "\"new\""], "{out}");
}

#[test]
fn confirmed_receipts_survive_a_kill() {
    for durability in ["batch", "strict"] {
        let folder = tempfile::tempdir().unwrap();
        let toml = settings(folder.path(), &format!("durability = '{durability}'"));
        let origin = Origin::responding(OK);
        let mut proxy = Proxy::start(&origin, &toml);
        let mut ids: Vec<String> =
            (0..50).map(|_| choose(&proxy, "choice=accept", &[]).1.unwrap()).collect();
        proxy.signal("KILL");
        proxy.exit_status();
        let (_, out, _) = command(folder.path(), &toml, &["export"]);
        let mut kept: Vec<String> = out
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        ids.sort();
        kept.sort();
        assert_eq!(kept, ids, "{durability}");
    }
}

#[test]
fn while_the_store_is_down_receipts_are_spooled_and_moved_later() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(folder.path(), "spool_max = 3");
    // A directory in place of the file, which therefore cannot be opened.
    let store = folder.path().join("receipts.db");
    std::fs::create_dir(&store).unwrap();
    let origin = Origin::responding(OK);
    let mut proxy = Proxy::start(&origin, &toml);
    // Reported before the first decision.
    proxy.expect_log("receipt store unavailable");
    assert!(proxy.admin("/readyz").1.contains("degraded"));
    let ids: Vec<_> = (0..3).map(|_| choose(&proxy, "choice=accept", &[]).1.unwrap()).collect();
    let (status, ready) = proxy.admin("/readyz");
    assert_eq!(
        (status, ready.as_str()),
        (200, "ready, degraded: receipt store unavailable, 3 receipts in the spool\n")
    );
    proxy.expect_metric("consentry_receipts_total{result=\"spooled\"}", 3.0);
    assert_eq!(proxy.metric("consentry_receipts_waiting"), 3.0);
    // The spool is full: a decision without a receipt is not confirmed.
    assert_eq!(choose(&proxy, "choice=accept", &[]), (503, None));
    proxy.expect_metric("consentry_receipts_total{result=\"refused\"}", 1.0);
    let (_, shown, _) = command(folder.path(), &toml, &["show", &ids[1]]);
    assert!(shown.contains(&ids[1]), "spooled receipts are shown too");
    // The spool survives a kill, and the next process moves it to the store.
    proxy.signal("KILL");
    proxy.exit_status();
    std::fs::remove_dir(&store).unwrap();
    let proxy = Proxy::start(&origin, &toml);
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 3.0);
    proxy.expect_metric("consentry_receipts_waiting", 0.0);
    assert_eq!(proxy.admin("/readyz").1, "ready\n");
    let (_, out, error) = command(folder.path(), &toml, &["export"]);
    assert_eq!((out.lines().count(), error.as_str()), (3, ""));
}

#[test]
fn with_required_receipts_a_choice_without_a_receipt_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(folder.path(), "durability = 'strict'\nspool_max = 1");
    std::fs::create_dir(folder.path().join("receipts.db")).unwrap();
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &toml);
    assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
    assert_eq!(choose(&proxy, "choice=accept", &[("Cookie", &consent_cookie(""))]), (503, None));
}

#[test]
fn an_unusable_spool_is_reported_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    let toml = "[receipts]\nspool = 'nowhere/spool'\n[[site]]\nupstream = 'http://127.0.0.1:1'\n";
    std::fs::write(&config, toml).unwrap();
    let (code, _, error) = run(
        &["run", "--listen", "127.0.0.1:0", "--admin", "off", "--config", config.to_str().unwrap()],
        "",
    );
    assert_eq!(code, 1);
    assert!(error.contains("nowhere/spool"), "{error}");
}

#[test]
fn a_locked_store_spools_confirmed_choices() {
    for durability in ["batch", "strict"] {
        let folder = tempfile::tempdir().unwrap();
        let toml = settings(folder.path(), &format!("durability = '{durability}'"));
        let proxy = Proxy::start(&Origin::responding(OK), &toml);
        assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
        let locked = lock(folder.path(), "receipts.db");
        for _ in 0..5 {
            assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
        }
        proxy.expect_metric("consentry_receipts_total{result=\"spooled\"}", 5.0);
        drop(locked);
        proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 6.0);
        proxy.expect_metric("consentry_receipts_waiting", 0.0);
        assert_eq!(stored(folder.path()).len(), 6);
    }
}

#[test]
fn a_locked_or_read_only_spool_does_not_affect_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Sqlite::open(&folder.path().join("spool"), Durability::Batch).unwrap();
    spool.insert(&["a", "b", "c"].map(|id| receipt(id, 7, None))).unwrap();
    let no_delete =
        "CREATE TRIGGER t BEFORE DELETE ON consent_receipts BEGIN SELECT raise(abort, 'full'); END";
    Connection::open(folder.path().join("spool")).unwrap().execute_batch(no_delete).unwrap();
    let proxy = Proxy::start(&Origin::responding(OK), &settings(folder.path(), ""));
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 3.0);
    proxy.expect_log("cannot read or write the receipt spool");
    let _locked = lock(folder.path(), "spool");
    for _ in 0..3 {
        assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
    }
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 6.0);
    proxy.expect_metric("consentry_receipts_total{result=\"spooled\"}", 0.0);
    assert_eq!(proxy.admin("/readyz").1, "ready, degraded: the spool rejects receipts\n");
    assert!(!proxy.log().contains("receipt store unavailable"), "{}", proxy.log());
}

#[test]
fn a_choice_rejected_without_a_receipt_is_not_recorded_later() {
    for durability in ["batch", "strict"] {
        let folder = tempfile::tempdir().unwrap();
        let toml = settings(folder.path(), &format!("durability = '{durability}'"));
        let proxy = Proxy::start(&Origin::responding(OK), &toml);
        assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
        let locked = ["receipts.db", "spool"].map(|name| lock(folder.path(), name));
        for _ in 0..3 {
            assert_eq!(choose(&proxy, "choice=accept", &[]), (503, None), "{durability}");
        }
        proxy.expect_metric("consentry_receipts_total{result=\"refused\"}", 3.0);
        drop(locked);
        assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
        proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 2.0);
        proxy.expect_metric("consentry_receipts_waiting", 0.0);
        assert_eq!(stored(folder.path()).len(), 2, "{durability}");
        proxy.wait_until("it is ready", || proxy.admin("/readyz").1 == "ready\n");
    }
}

#[test]
fn a_choice_in_flight_at_sigterm_is_confirmed_with_a_receipt_or_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let mut proxy = Proxy::start(&Origin::responding(OK), &settings(folder.path(), ""));
    assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
    let locked = lock(folder.path(), "receipts.db");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..3).map(|_| scope.spawn(|| choose(&proxy, "choice=accept", &[]).0)).collect();
        proxy.signal("TERM");
        clients.into_iter().filter_map(|client| client.join().ok()).collect()
    });
    assert_eq!(proxy.exit_status().code(), Some(0));
    drop(locked);
    let confirmed = statuses.iter().filter(|status| **status == 303).count();
    let spool = Sqlite::open(&folder.path().join("spool"), Durability::Batch).unwrap();
    let kept = stored(folder.path()).len() + spool.count().unwrap() as usize;
    assert_eq!(kept, 1 + confirmed, "{statuses:?}");
}

#[test]
fn a_receipt_is_erased_by_id_from_the_store_and_every_spool() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(folder.path(), "");
    let mut proxy = Proxy::start(&Origin::responding(OK), &toml);
    let id = choose(&proxy, "choice=accept", &[]).1.unwrap();
    let other = choose(&proxy, "choice=accept", &[]).1.unwrap();
    let (code, out, error) = command(folder.path(), &toml, &["erase", &id]);
    assert_eq!((code, out, error.as_str()), (0, format!("erased {id}\n"), ""));
    assert_eq!(command(folder.path(), &toml, &["show", &id]).0, 1);
    assert_eq!(command(folder.path(), &toml, &["erase", &id]).0, 1, "it is gone");
    assert_eq!(command(folder.path(), &toml, &["erase", "soon"]).0, 2);
    proxy.signal("TERM");
    proxy.exit_status();
    // In the spool of this process, and in a spool that the command cannot access.
    let (here, elsewhere) = ("0".repeat(32), "1".repeat(32));
    let path = folder.path().join("spool");
    let mut spool = Sqlite::open(&path, Durability::Batch).unwrap();
    spool.insert(&[receipt(&here, 7, None)]).unwrap();
    assert_eq!(command(folder.path(), &toml, &["erase", &here]).0, 0);
    assert_eq!(spool.count().unwrap(), 0);
    assert_eq!(command(folder.path(), &toml, &["erase", &elsewhere]).0, 1);
    spool.insert(&[receipt(&elsewhere, 7, None), receipt(&here, 7, None)]).unwrap();
    let proxy = Proxy::start(&Origin::responding(OK), &toml);
    proxy.expect_metric("consentry_receipts_waiting", 0.0);
    assert_eq!(stored(folder.path()), [other]);
    let (_, out, _) = command(folder.path(), &toml, &["export"]);
    assert_eq!(out.lines().count(), 1, "{out}");
    for name in ["receipts.db", "receipts.db-wal", "spool", "spool-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&format!("\"id\":\"{id}\"")), "{name} still has the receipt");
    }
}

#[test]
fn a_receipt_identifies_the_texts_shown_to_the_visitor() {
    let folder = tempfile::tempdir().unwrap();
    let banner = "[banner]\nenabled = true\n";
    let toml = settings(folder.path(), "") + banner;
    let page =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<body></body>";
    let proxy = Proxy::start(&Origin::responding(page), &toml);
    let hidden = |text: &str| {
        let value = text.split("name=\"texts\" value=\"").nth(1).expect("the form has the field");
        value.split('"').next().unwrap().to_owned()
    };
    let german =
        [("Accept-Language", "de"), ("Accept", "text/html"), ("Sec-Fetch-Dest", "document")];
    let of_banner = hidden(&proxy.get("/", &german).text());
    assert_eq!(of_banner, hidden(&proxy.get("/.consentry/", &german).text()));
    let form = |texts: &str| {
        let texts: String = form_urlencoded::byte_serialize(texts.as_bytes()).collect();
        format!("choice=accept&lang=de&texts={texts}")
    };
    let texts_of = |form: &str| {
        let id = choose(&proxy, form, &[]).1.unwrap();
        let (_, out, _) = command(folder.path(), &toml, &["show", &id]);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["texts"].clone()
    };
    let (version, sha256) = of_banner.split_once(':').unwrap();
    let expected = serde_json::json!({ "version": version, "sha256": sha256 });
    assert_eq!(texts_of(&form(&of_banner)), expected);
    assert_eq!(texts_of("choice=accept&lang=de"), expected, "a form of an earlier version");
    assert_ne!(texts_of("choice=accept&lang=en"), expected);
    // A page that was served before the texts changed.
    let earlier = format!("0.0.1:{}", "0f".repeat(32));
    assert_eq!(texts_of(&form(&earlier))["sha256"], "0f".repeat(32));
    // The command prints the texts with that hash.
    let (code, out, _) = command(folder.path(), &toml, &["texts"]);
    let lines: Vec<&str> = out.lines().filter(|line| hash(line) == sha256).collect();
    assert_eq!((code, lines.len()), (0, 1), "{out}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    // The notice shows no date that is not configured.
    assert_eq!((&line["language"], &line["notice_date"]), (&"de".into(), &serde_json::Value::Null));
    assert!(line["texts"]["banner_text"].is_string() && line["purposes"][0]["title"].is_string());
}

/// SHA-256 in hexadecimal.
fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_full_refusal_by_api_or_bridge_has_a_receipt_and_no_identifier_in_the_cookie() {
    for key in ["", "[consent]\nkey_file = 'key'\n"] {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key");
        std::fs::write(&key_file, "k".repeat(32)).unwrap();
        let key = key.replace("'key'", &format!("'{}'", key_file.display()));
        let toml = settings(folder.path(), "[centre]\napi = true\nbridge = true\n") + &key;
        let proxy = Proxy::start(&Origin::responding(OK), &toml);
        for path in ["consent", "bridge"] {
            for (body, has_id) in
                [("{\"granted\":[]}", false), ("{\"granted\":[\"social\"]}", true)]
            {
                let lines = proxy.post(&format!("/.consentry/{path}"), body, &[]).set_cookies();
                let value = lines[0].split([';', '=']).nth(1).unwrap();
                let receipt = value.split('~').nth(4).unwrap();
                assert_eq!(receipt.len() == 32, has_id, "{path} {value}");
                assert_eq!(receipt.is_empty(), !has_id, "{path} {value}");
            }
        }
        assert_eq!(stored(folder.path()).len(), 4, "refusals have receipts");
    }
}

#[test]
fn check_reports_unwritable_folders_of_receipts_and_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let toml = "[receipts]\nurl = 'sqlite:nowhere/r.db'\nspool = 'file/spool'\n[[site]]\nupstream = 'http://127.0.0.1:1'\n";
    std::fs::write(&config, toml).unwrap();
    let check = || run(&["check", "--config", config.to_str().unwrap()], "");
    let (code, _, error) = check();
    assert_eq!(code, 0, "{error}");
    for key in ["warning: receipts.url", "warning: receipts.spool"] {
        assert!(error.contains(key), "{error}");
    }
    std::fs::write(&config, toml.replace("nowhere/", "").replace("file/", "")).unwrap();
    assert_eq!(check().2, "");
}
