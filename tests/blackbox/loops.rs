//! Request loops: requests that return to the proxy that sent them.

use crate::support::{Origin, Proxy, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_loop_is_detected_on_its_second_pass_and_logged_once() {
    let proxy = Proxy::start_with("[[site]]\nupstream = 'http://127.0.0.1:1'\n");
    proxy.reload(&format!("[[site]]\nupstream = 'http://{}'\n", proxy.address));
    for _ in 0..3 {
        assert_eq!(proxy.get("/", &[]).status, 508);
    }
    assert_eq!(proxy.metric("consentry_errors_total{kind=\"loop\"}"), 3.0);
    let log = proxy.log();
    assert_eq!(log.matches("a request has passed this proxy before").count(), 1, "{log}");
    assert!(proxy.next_access_log_entry()["status"] == 508);
}

#[test]
fn loops_are_detected_by_via_or_cdn_loop() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for via in [
        "1.1 consentry",
        "2.0 consentry",
        "HTTP/1.1 Consentry (x)",
        "1.1 edge, 1.1 consentry, 1.0 b",
    ] {
        let rejected = proxy.get("/", &[("Via", via)]);
        assert_eq!(rejected.status, 508, "{via}");
        assert_eq!(rejected.field("cache-control").as_deref(), Some("no-store"));
    }
    assert!(origin.received_nothing());
    let fields = [("Via", "1.1 edge, 1.1 consentry-2"), ("CDN-Loop", "edge")];
    assert_eq!(proxy.get("/", &fields).status, 200);
    let received = origin.next_request();
    assert_eq!(received.field("via").as_deref(), Some("1.1 edge, 1.1 consentry-2, 1.1 consentry"));
    let passed = received.field("cdn-loop").unwrap();
    assert!(passed.starts_with("edge, consentry;id="), "{passed}");
    assert_eq!(proxy.get("/", &[("CDN-Loop", &passed)]).status, 508);
    let both = [("Via", "1.1 consentry"), ("CDN-Loop", passed.as_str())];
    assert_eq!(proxy.get("/", &both).status, 508);
}

#[test]
fn two_chained_instances_are_not_a_loop() {
    let origin = Origin::responding(OK);
    let inner = Proxy::start(&origin, "");
    let outer = Proxy::start_with(&format!("[[site]]\nupstream = 'http://{}'\n", inner.address));
    assert_eq!(outer.get("/", &[]).status, 200);
    let received = origin.next_request();
    assert_eq!(received.field("via").as_deref(), Some("1.1 consentry, 1.1 consentry"));
    assert_eq!(received.field("cdn-loop").unwrap().matches("consentry;id=").count(), 2);
}

#[test]
fn check_warns_about_upstreams_that_are_own_listeners() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    let warning = |listen: &str, upstream: &str| {
        let toml = format!("[listen]\n{listen}\n[[site]]\nupstream = '{upstream}'\n");
        std::fs::write(&config, toml).unwrap();
        let (code, _, error) = run(&["check", "--config", config.to_str().unwrap()], "");
        assert_eq!(code, 0, "{error}");
        error
    };
    for (listen, upstream, key) in [
        ("http = '127.0.0.1:8080'", "http://127.0.0.1:8080", "listen.http"),
        ("http = '127.0.0.1:8080'", "h2c://localhost:8080", "listen.http"),
        ("http = '[::1]:8080'", "http://localhost:8080", "listen.http"),
        ("http = '0.0.0.0:8080'", "http://127.0.0.1:8080", "listen.http"),
        ("http = '0.0.0.0:8080'", "http://[::ffff:127.0.0.1]:8080", "listen.http"),
        ("http = '127.0.0.1:8080'", "http://0.0.0.0:8080", "listen.http"),
        ("", "http://127.0.0.1:8080", "listen.http"),
        ("", "http://127.0.0.1:9090", "listen.admin"),
        ("admin = 'unix:/run/admin.sock'", "unix:/run/admin.sock", "listen.admin"),
    ] {
        let warning = warning(listen, upstream);
        assert!(
            warning.contains(&format!("is {key} of this config")),
            "{listen} {upstream}: {warning}"
        );
    }
    for (listen, upstream) in [
        ("http = '127.0.0.1:8080'", "http://127.0.0.1:8081"),
        ("http = '127.0.0.1:8080'", "http://127.0.0.2:8080"),
        ("http = '0.0.0.0:8080'", "http://192.0.2.7:8080"),
        ("http = '127.0.0.1:8080'", "http://app.example:8080"),
        ("admin = 'unix:/run/admin.sock'", "unix:/run/app.sock"),
    ] {
        assert_eq!(warning(listen, upstream), "", "{listen} {upstream}");
    }
}
