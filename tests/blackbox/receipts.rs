//! Receipts in a SQLite file: written before the answer, kept over a kill, read by the command.

use std::path::Path;

use crate::support::{Origin, Proxy, consent, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn settings(folder: &Path, more: &str) -> String {
    format!(
        "[receipts]\nurl = 'sqlite:{0}/receipts.db'\nspool = '{0}/spool'\n{more}\n",
        folder.display()
    )
}

/// Posts the form; the status and the receipt's id in the cookie.
fn choose(proxy: &Proxy, form: &str, fields: &[(&str, &str)]) -> (u16, Option<String>) {
    let length = form.len().to_string();
    let mut all = vec![
        ("Content-Length", length.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("User-Agent", "Test/1"),
    ];
    all.extend(fields);
    let mut visitor = proxy.visit();
    visitor.send(&request("POST", "/.consentry/", &all));
    visitor.send(form.as_bytes());
    let reply = visitor.reply("POST");
    let id = reply
        .set_cookies()
        .first()
        .and_then(|line| Some(line.split(';').next()?.rsplit('~').next()?.to_owned()));
    (reply.status, id)
}

/// What the command prints, with a config of the same receipts.
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
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, &toml);
    let (_, banner) =
        choose(&proxy, "banner=1&choice=reject&lang=de&return_to=/", &[("Sec-GPC", "1")]);
    let (_, centre) = choose(&proxy, "choice=save&allow=analytics&lang=ja", &[]);
    let mut visitor = proxy.visit();
    let body = "{\"granted\":[\"social\"]}";
    for path in ["consent", "bridge"] {
        visitor.send(&request(
            "POST",
            &format!("/.consentry/{path}"),
            &[
                ("Content-Length", "22"),
                ("Content-Type", "application/json"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
        ));
        visitor.send(body.as_bytes());
        assert_eq!(visitor.reply("POST").status, 200);
    }
    let (code, out, error) = command(folder.path(), &toml, &["export"]);
    assert_eq!((code, error.as_str()), (0, ""));
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{out}");
    let find = |how: &str| lines.iter().find(|line| line["how"] == how).unwrap();
    let of_banner = find("banner");
    assert_eq!(of_banner["id"], banner.clone().unwrap().as_str());
    assert_eq!(banner.unwrap().len(), 32);
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
fn the_address_and_the_browser_are_kept_where_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(
        folder.path(),
        "ip = true\nuser_agent = true\n[listen]\ntrusted_proxies = ['127.0.0.0/8']",
    );
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, &toml);
    choose(&proxy, "choice=accept", &[("X-Forwarded-For", "198.51.100.1, 203.0.113.7")]);
    let (_, out, _) = command(folder.path(), &toml, &["export"]);
    assert!(
        out.contains("\"ip\":\"203.0.113.7\"") && out.contains("\"user_agent\":\"Test/1\""),
        "{out}"
    );
}

#[test]
fn receipts_are_removed_after_their_time_by_the_servers_clock() {
    use consentry::config::settings::Durability;
    use consentry::receipts::{How, Receipt, Sqlite, Store};
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let days = |days: i64| now - days * 86_400;
    let receipt = |id: &str, time, recorded_at| Receipt {
        id: id.to_owned(),
        time,
        recorded_at,
        site: "shop".to_owned(),
        notice_date: None,
        granted: vec![],
        refused: vec![],
        language: None,
        how: How::Bridge,
        gpc: false,
        ip: None,
        user_agent: None,
    };
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
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, &toml);
    proxy.expect_log("receipts were removed");
    let (_, out, _) = command(folder.path(), &toml, &["export"]);
    let ids: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string())
        .collect();
    assert_eq!(ids, ["\"late\"", "\"new\""], "{out}");
}

#[test]
fn nothing_that_was_answered_is_lost_over_a_kill() {
    for durability in ["batch", "strict"] {
        let folder = tempfile::tempdir().unwrap();
        let toml = settings(folder.path(), &format!("durability = '{durability}'"));
        let origin = Origin::answering(OK);
        let mut proxy = Proxy::start(&origin, &toml);
        let mut ids: Vec<String> =
            (0..50).map(|_| choose(&proxy, "choice=accept", &[]).1.unwrap()).collect();
        proxy.signal("KILL");
        proxy.ended();
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
fn while_the_store_is_down_consent_works_and_receipts_wait_and_are_moved_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(folder.path(), "spool_max = 3");
    // A folder where the file should be: it cannot be opened.
    let store = folder.path().join("receipts.db");
    std::fs::create_dir(&store).unwrap();
    let origin = Origin::answering(OK);
    let mut proxy = Proxy::start(&origin, &toml);
    // It is said before anybody decides.
    proxy.expect_log("the store of receipts is down");
    assert!(proxy.admin("/readyz").1.contains("degraded"));
    let ids: Vec<_> = (0..3).map(|_| choose(&proxy, "choice=accept", &[]).1.unwrap()).collect();
    let (status, ready) = proxy.admin("/readyz");
    assert_eq!(
        (status, ready.as_str()),
        (200, "ready, degraded: the store of receipts is down, 3 wait in the spool\n")
    );
    assert_eq!(proxy.metric("consentry_receipts_total{result=\"spooled\"}"), 3.0);
    assert_eq!(proxy.metric("consentry_receipts_waiting"), 3.0);
    // The spool is full: the loss is counted, and consent still works.
    assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
    assert_eq!(proxy.metric("consentry_receipts_total{result=\"lost\"}"), 1.0);
    let (_, shown, _) = command(folder.path(), &toml, &["show", &ids[1]]);
    assert!(shown.contains(&ids[1]), "what waits is shown too");
    // What waits survives a kill, and is moved by the next process.
    proxy.signal("KILL");
    proxy.ended();
    std::fs::remove_dir(&store).unwrap();
    let proxy = Proxy::start(&origin, &toml);
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 3.0);
    proxy.expect_metric("consentry_receipts_waiting", 0.0);
    assert_eq!(proxy.admin("/readyz").1, "ready\n");
    let (_, out, error) = command(folder.path(), &toml, &["export"]);
    assert_eq!((out.lines().count(), error.as_str()), (3, ""));
}

#[test]
fn where_receipts_are_demanded_a_choice_without_one_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(folder.path(), "durability = 'strict'\nspool_max = 1");
    std::fs::create_dir(folder.path().join("receipts.db")).unwrap();
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, &toml);
    assert_eq!(choose(&proxy, "choice=accept", &[]).0, 303);
    assert_eq!(choose(&proxy, "choice=accept", &[("Cookie", &consent(""))]), (503, None));
}

#[test]
fn a_spool_that_cannot_be_opened_is_said_at_the_start() {
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
