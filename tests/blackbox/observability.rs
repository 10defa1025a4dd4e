//! Log, metrics and health. They never contain a cookie value.

use std::io::{BufRead, Write};

use crate::support::{Origin, Proxy, RawClient, binary, consent_cookie, request};

/// The admin listener rejects other host names.
const LOCAL: (&str, &str) = ("Host", "localhost");

#[test]
fn access_log_lines_have_no_query_and_no_cookie_values() {
    let origin = Origin::setting_cookies(&["sessionid=SECRET1", "_ga=SECRET2", "mystery=SECRET3"]);
    let proxy = Proxy::start(&origin, "log.level = 'trace'");
    let cookie = format!("PHPSESSID=SECRET4; _fbp=SECRET5; {}", consent_cookie("functional"));
    proxy.get(
        "/shop/cart?token=SECRET6",
        &[("Cookie", &cookie), ("Accept", "text/html"), ("X", "SECRET7")],
    );
    let line = proxy.next_access_log_entry();
    assert_eq!(line["site"], "default");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["path"], "/shop/cart");
    assert_eq!(line["status"], 200);
    assert_eq!(line["consent"], "consentry");
    assert_eq!(line["stripped_request"], serde_json::json!({"targeting": 1}));
    assert_eq!(line["stripped_response"], serde_json::json!({"analytics": 1, "unclassified": 1}));
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(line["bytes"], 2);
    proxy.expect_log("mystery");
    let (_, metrics) = proxy.admin("/metrics");
    let (_, inventory) = proxy.admin("/inventory");
    for (place, text) in [
        ("access log", line.to_string()),
        ("log", proxy.log()),
        ("metrics", metrics),
        ("inventory", inventory),
    ] {
        assert!(!text.contains("SECRET"), "a value in the {place}: {text}");
    }
}

#[test]
fn metrics_count_requests_strips_decisions_and_durations() {
    let origin = Origin::setting_cookies(&["_ga=1", "_fbp=1", "x=1"]);
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[]);
    proxy.get("/", &[("Cookie", &format!("_ga=1; {}", consent_cookie("targeting")))]);
    let stripped = |category: &str, direction: &str, number: f64| {
        let labels = format!("category=\"{category}\",mode=\"enforce\",direction=\"{direction}\"");
        proxy.expect_metric(
            &format!("consentry_cookies_stripped_total{{site=\"default\",{labels}}}"),
            number,
        );
    };
    proxy.expect_metric("consentry_requests_total{site=\"default\",code=\"2xx\"}", 2.0);
    stripped("analytics", "response", 2.0);
    stripped("targeting", "response", 1.0);
    stripped("unclassified", "response", 2.0);
    stripped("analytics", "request", 1.0);
    let decisions = "consentry_consent_decisions_total{site=\"default\",source=";
    proxy.expect_metric(&format!("{decisions}\"consentry\",reason=\"decided\"}}"), 1.0);
    proxy.expect_metric(&format!("{decisions}\"none\",reason=\"no_decision\"}}"), 1.0);
    proxy.expect_metric("consentry_request_duration_seconds_count{site=\"default\"}", 2.0);
    proxy.expect_metric(
        "consentry_request_duration_seconds_bucket{le=\"+Inf\",site=\"default\"}",
        2.0,
    );
}

#[test]
fn metric_labels_do_not_come_from_traffic() {
    let origin = Origin::setting_cookies(&["evil{label}=1"]);
    let proxy = Proxy::start(&origin, "");
    let before = proxy.admin("/metrics").1.lines().count();
    for number in 0..20 {
        proxy.get(
            &format!("/{number}"),
            &[("Host", &format!("h{number}.example")), ("Cookie", &format!("c{number}=1"))],
        );
    }
    assert_eq!(proxy.admin("/metrics").1.lines().count(), before);
}

#[test]
fn the_admin_listener_serves_health_and_rejects_other_methods() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, "");
    assert_eq!(proxy.admin("/livez").0, 200);
    assert_eq!(proxy.admin("/readyz").0, 200);
    assert_eq!(proxy.admin("/").0, 200, "the dashboard");
    assert_eq!(proxy.admin("/nothing").0, 404);
    let mut client = crate::support::RawClient::connect(proxy.admin);
    client.send(&request("POST", "/metrics", &[LOCAL, ("Content-Length", "0")]));
    assert_eq!(client.reply("POST").status, 405);
    // The public listener does not serve it.
    proxy.get("/metrics", &[]);
    assert_eq!(origin.next_request().line, "GET /metrics HTTP/1.1");
}

#[test]
fn both_exposition_formats_are_served() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, "");
    let mut client = crate::support::RawClient::connect(proxy.admin);
    client.send(&request(
        "GET",
        "/metrics",
        &[LOCAL, ("Accept", "application/openmetrics-text;version=1.0.0")],
    ));
    let open = client.reply("GET");
    assert!(open.field("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
    client.send(&request("GET", "/metrics", &[LOCAL]));
    let old = client.reply("GET");
    assert!(old.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(old.text().contains("# TYPE consentry_requests_total counter\n"));
}

#[test]
fn the_access_log_is_optional_and_includes_failed_requests() {
    let origin = Origin::scripted(|_, stream| {
        let _ = stream.write_all(b"x");
        false
    });
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[]);
    assert_eq!(proxy.next_access_log_entry()["status"], 502);
    let mut quiet = Proxy::start(&origin, "log.access = false");
    quiet.get("/", &[]);
    quiet.signal("TERM");
    quiet.exit_status();
    assert_eq!(quiet.remaining_access_log(), "");
}

#[test]
fn a_blocked_log_pipe_delays_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    // Each request logs that its upstream refuses connections.
    let toml = "listen = { http = '127.0.0.1:0', admin = 'off' }\n[log]\nlevel = 'debug'\nformat = 'json'\naccess = false\n[[site]]\nupstream = 'http://127.0.0.1:1'\n";
    std::fs::write(&config, toml).unwrap();
    let mut command = binary();
    command.args(["run", "--config"]).arg(&config).stderr(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = log.by_ref().map(Result::unwrap).find(|line| line.contains("\"serving\""));
    let serving: serde_json::Value = serde_json::from_str(&serving.unwrap()).unwrap();
    let mut client = RawClient::connect(serving["http"].as_str().unwrap().parse().unwrap());
    // From here on the pipe is not read: it has a capacity of 64 KiB.
    let answered = (0..1500).all(|_| {
        client.send(&request("GET", "/", &[]));
        client.reply("GET").status == 502
    });
    drop(log);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answered);
}
