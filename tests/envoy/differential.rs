//! About a hundred unusual requests and responses, through the proxy and through Envoy with the processor. The
//! results are equal, apart from the list in `docs/envoy.md`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::{Envoy, Proxy};

const CONFIG: &str = include_str!("differential/config.toml");
const DOCS: &str = include_str!("../../docs/envoy.md");

/// The requests in the first column of the table of differences.
fn documented() -> BTreeSet<String> {
    let (_, table) = DOCS.split_once("| Requests of the test |").expect("the table");
    let (table, _) = table.split_once("\n\n").expect("the end of the table");
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let names = cells.flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned));
    names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn envoy_responses_equal_proxy_responses_except_for_documented_differences() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/differential/run.py");
    let mut harness = Command::new("python3")
        .args(["-B", program])
        .env("CONSENTRY", env!("CARGO_BIN_EXE_consentry"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(harness.stdout.take().unwrap());
    let mut port = String::new();
    output.read_line(&mut port).unwrap();
    let origin = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));

    let toml = CONFIG.replace("UPSTREAM", &format!("http://{origin}"));
    let proxy = Proxy::start_without_envoy("run", "127.0.0.1:0", &toml);
    let processor = Proxy::start_without_envoy("ext-proc", "127.0.0.1:0", &toml);
    let folder = tempfile::tempdir().unwrap();
    // The pages are served by the proxy.
    let pages = format!("port_value: {}", proxy.process.port());
    let envoy = Envoy::start_edited(folder.path(), origin, &[processor.process], |config| {
        config.replace("port_value: 9080", &pages)
    });

    let mut input = harness.stdin.take().unwrap();
    writeln!(input, "{} {}", proxy.process.port(), envoy.address.port()).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(harness.wait().unwrap().success());

    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(result["cases"], 369);
    let different = result["different"].as_array().unwrap();
    let name = |case: &serde_json::Value| case[0].as_str().unwrap().to_owned();
    let found: BTreeSet<String> = different.iter().map(name).collect();
    let new: Vec<_> = different.iter().filter(|case| !documented().contains(&name(case))).collect();
    let gone: Vec<_> = documented().difference(&found).cloned().collect();
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}\nno longer different: {gone:?}");
}
