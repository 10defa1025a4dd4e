//! Receipts while a real PostgreSQL hangs, is locked, or is used for the first time.

use std::path::Path;

use rusqlite::Connection;

use crate::postgres::Postgres;
use crate::support::{Origin, Proxy, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const COUNT: &str = "SELECT count(*) FROM consent_receipts WHERE receipt <> 'null'";

fn settings(postgres: &Postgres, folder: &Path, durability: &str) -> String {
    let (url, folder) = (postgres.url(), folder.display());
    format!("[receipts]\nurl = '{url}'\nspool = '{folder}/spool'\ndurability = '{durability}'\n")
}

/// Posts a decision, and returns the status. The server hangs or is locked until the test goes on, so a
/// response proves that no request waits for it.
fn choose(proxy: &Proxy) -> u16 {
    proxy.post("/.consentry/", "choice=accept", &[]).status
}

#[test]
fn a_hanging_server_loses_no_choice_and_no_receipt_over_a_kill() {
    for durability in ["batch", "strict"] {
        let postgres = Postgres::start(None);
        let folder = tempfile::tempdir().unwrap();
        let toml = settings(&postgres, folder.path(), durability);
        let origin = Origin::responding(OK);
        let mut proxy = Proxy::start(&origin, &toml);
        assert_eq!(choose(&proxy), 303);
        proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 1.0);
        postgres.signal("STOP");
        std::thread::scope(|scope| {
            (0..5).for_each(|_| drop(scope.spawn(|| assert_eq!(choose(&proxy), 303))));
        });
        proxy.expect_metric("consentry_receipts_total{result=\"spooled\"}", 5.0);
        proxy.signal("KILL");
        proxy.exit_status();
        postgres.signal("CONT");
        let proxy = Proxy::start(&origin, &toml);
        proxy.expect_metric("consentry_receipts_waiting", 0.0);
        assert_eq!(postgres.query(COUNT), "6", "{durability}");
    }
}

#[test]
fn a_choice_rejected_while_the_server_hangs_is_not_stored_later() {
    for durability in ["batch", "strict"] {
        let postgres = Postgres::start(None);
        let folder = tempfile::tempdir().unwrap();
        let proxy =
            Proxy::start(&Origin::responding(OK), &settings(&postgres, folder.path(), durability));
        assert_eq!(choose(&proxy), 303);
        let spool = Connection::open(folder.path().join("spool")).unwrap();
        spool.execute_batch("BEGIN IMMEDIATE").unwrap();
        postgres.signal("STOP");
        for _ in 0..3 {
            assert_eq!(choose(&proxy), 503);
        }
        proxy.expect_metric("consentry_receipts_total{result=\"refused\"}", 3.0);
        postgres.signal("CONT");
        drop(spool);
        assert_eq!(choose(&proxy), 303);
        proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 2.0);
        proxy.expect_metric("consentry_receipts_waiting", 0.0);
        assert_eq!(postgres.query(COUNT), "2", "{durability}");
    }
}

#[test]
fn a_locked_table_loses_no_choice_and_receipts_follow() {
    let postgres = Postgres::start(None);
    let folder = tempfile::tempdir().unwrap();
    let mut proxy =
        Proxy::start(&Origin::responding(OK), &settings(&postgres, folder.path(), "strict"));
    assert_eq!(choose(&proxy), 303);
    let locked = postgres.lock_receipts();
    (0..10).for_each(|_| assert_eq!(choose(&proxy), 303));
    drop(locked);
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 11.0);
    assert_eq!(postgres.query(COUNT), "11");
    // At exit the spool is moved to the store if the store works.
    let locked = postgres.lock_receipts();
    assert_eq!(choose(&proxy), 303);
    drop(locked);
    proxy.signal("TERM");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn concurrent_first_starts_create_one_table() {
    for _ in 0..5 {
        let postgres = Postgres::start(None);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("consentry.toml");
        let toml = settings(&postgres, folder.path(), "batch");
        std::fs::write(&config, format!("{toml}[[site]]\nupstream = 'http://127.0.0.1:1'\n"))
            .unwrap();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let all = ["receipts", "export", "--config", config.to_str().unwrap()];
                    let (code, _, error) = run(&all, "");
                    assert_eq!((code, error.as_str()), (0, ""));
                });
            }
        });
    }
}

#[test]
fn an_erased_receipt_is_not_restored_by_a_replica() {
    let postgres = Postgres::start(None);
    let folder = tempfile::tempdir().unwrap();
    let toml = settings(&postgres, folder.path(), "batch");
    let proxy = Proxy::start(&Origin::responding(OK), &toml);
    assert_eq!(choose(&proxy), 303);
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", 1.0);
    let locked = postgres.lock_receipts();
    assert_eq!(choose(&proxy), 303);
    let id: String = Connection::open(folder.path().join("spool"))
        .unwrap()
        .query_row("SELECT id FROM consent_receipts", [], |row| row.get(0))
        .unwrap();
    drop(locked);
    // The config of another replica, with another spool file.
    let config = folder.path().join("other.toml");
    let other = toml.replace("/spool'", "/other'");
    std::fs::write(&config, format!("{other}[[site]]\nupstream = 'http://127.0.0.1:1'\n")).unwrap();
    run(&["receipts", "erase", &id, "--config", config.to_str().unwrap()], "");
    proxy.expect_metric("consentry_receipts_waiting", 0.0);
    assert_eq!(postgres.query(COUNT), "1");
}
