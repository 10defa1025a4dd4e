//! Metrics parsed by Prometheus' own tool, and HTTP/2 with a real client.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::nginx::program;
use crate::support::{Origin, Proxy};

#[test]
fn promtool_accepts_the_metrics() {
    let origin = Origin::setting_cookies(&["_ga=1", "x=1"]);
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[("Cookie", "_fbp=1; consentry=broken")]);
    let (status, metrics) = proxy.admin("/metrics");
    assert_eq!(status, 200);
    let mut promtool = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && printed.is_empty(), "{}", String::from_utf8_lossy(&printed));
}

#[test]
fn h2load_gets_every_response_over_http_2_and_http_1() {
    let origin = Origin::setting_cookies(&["PHPSESSID=1; Path=/", "_ga=1"]);
    let proxy = Proxy::start(&origin, "workers = 2\nlog.access = false");
    for protocol in [&["-p", "h2c"][..], &["--h1"]] {
        let output = Command::new(program("h2load"))
            .args(protocol)
            .args(["-n", "2000", "-c", "8", "-m", "10", "-H", "cookie: _ga=1; PHPSESSID=2"])
            .arg(format!("http://{}/", proxy.address))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("2000 succeeded, 0 failed, 0 errored"), "{printed}");
    }
    let sample = "consentry_cookies_stripped_total{site=\"default\",category=\"analytics\",mode=\"enforce\",direction=";
    proxy.expect_metric(&format!("{sample}\"response\"}}"), 4000.0);
    proxy.expect_metric(&format!("{sample}\"request\"}}"), 4000.0);
    proxy.expect_metric("consentry_requests_total{site=\"default\",code=\"2xx\"}", 4000.0);
}

#[test]
fn the_shipped_scrape_config_is_valid() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus.yml");
    let output =
        Command::new(program("promtool")).args(["check", "config", config]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs promtool in the directory of the shipped files.
fn promtool(arguments: &[&str]) -> String {
    let output = Command::new(program("promtool"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy"))
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{printed}");
    printed
}

#[test]
fn each_alert_fires_under_its_condition_only() {
    assert!(promtool(&["check", "rules", "alerts.yml"]).contains("12 rules found"));
    promtool(&["test", "rules", "alerts_test.yml"]);
}

/// Every query of the dashboard, and every metric in the alerts.
fn queries() -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    let dashboard = std::fs::read_to_string(format!("{root}/grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_dashboard_query_is_valid_and_uses_existing_metrics() {
    let queries = queries();
    assert!(queries.len() > 20);
    let rules: String = queries
        .iter()
        .enumerate()
        .map(|(number, query)| {
            let query = query.replace("$__rate_interval", "5m").replace("$site", ".*");
            format!("      - record: query:{number}\n        expr: {}\n", serde_json::json!(query))
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, format!("groups:\n  - name: queries\n    rules:\n{rules}")).unwrap();
    promtool(&["check", "rules", "--lint=none", file.to_str().unwrap()]);

    let origin = Origin::setting_cookies(&["_ga=1"]);
    let receipts = folder.path().join("receipts.db");
    let proxy = Proxy::start(
        &origin,
        &format!("[receipts]\nurl = 'sqlite:{0}'\nspool = '{0}.spool'", receipts.display()),
    );
    proxy.get("/", &[]);
    let (_, metrics) = proxy.admin("/metrics");
    let alerts = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yml");
    let alerts = std::fs::read_to_string(alerts).unwrap();
    let text = format!("{}\n{alerts}", queries.join("\n"));
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named = words.filter(|word| word.starts_with("consentry_") || word.starts_with("process_"));
    let mut seen = 0;
    for name in named {
        seen += 1;
        assert!(metrics.contains(&format!("\n{name}")), "no metric {name}");
    }
    assert!(seen > 30);
}
