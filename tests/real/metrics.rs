//! The metrics, read by Prometheus' own tool; HTTP/2, spoken by a real client.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::nginx::program;
use crate::support::{Origin, Proxy};

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    let origin = Origin::setting(&["_ga=1", "x=1"]);
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
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn h2load_gets_every_answer_over_http_2_and_http_1() {
    let origin = Origin::setting(&["PHPSESSID=1; Path=/", "_ga=1"]);
    let proxy = Proxy::start(&origin, "workers = 2\nlog.access = false");
    for protocol in [&["-p", "h2c"][..], &["--h1"]] {
        let output = Command::new(program("h2load"))
            .args(protocol)
            .args(["-n", "2000", "-c", "8", "-m", "10", "-H", "cookie: _ga=1; PHPSESSID=2"])
            .arg(format!("http://{}/", proxy.address))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
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
