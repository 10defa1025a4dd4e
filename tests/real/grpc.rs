//! gRPC through consentry, between a real client and a real server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::nginx::PeerProcess;
use crate::support::Proxy;
use crate::tls::CertificateAuthority;

/// The Python of the tools with this script.
pub fn script(name: &str) -> Command {
    let mut command =
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/python/bin/python"));
    command.arg(format!("{}/tests/real/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

fn call(target: &str, more: &[&str]) -> serde_json::Value {
    let output = script("grpc_peer.py").args(["call", target]).args(more).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_complete_answers(answers: &serde_json::Value) {
    assert_eq!(answers["unary"], "hello!");
    let initial = answers["initial"].to_string();
    assert!(initial.contains("sid=1") && !initial.contains("_ga"), "{initial}");
    let trailing = answers["trailing"].to_string();
    assert!(trailing.contains(r#"["tail","end"]"#), "{trailing}");
    assert!(trailing.contains(r#"["cookies","sid=1"]"#), "{trailing}");
    assert_eq!(answers["failure"].to_string(), r#"["NOT_FOUND","no such thing"]"#);
    assert_eq!(answers["many"], 1000);
    assert_eq!(answers["both"].to_string(), r#"["A","B","C"]"#);
}

#[test]
fn grpc_passes_with_trailers_and_streams_and_filtered_cookies() {
    let mut command = script("grpc_peer.py");
    let mut server = PeerProcess::spawn(command.arg("serve").stdout(Stdio::piped()));
    let mut port = String::new();
    BufReader::new(server.stdout()).read_line(&mut port).unwrap();
    let port = port.trim();
    let authority = CertificateAuthority::new();
    authority.issue("site", &["localhost"], 2099);
    let certificate = authority.certificate("site");
    let proxy = Proxy::start_with(&format!(
        "listen.https = '127.0.0.1:0'\ntls.certificates = [{certificate}]\n\
         [[site]]\nupstream = 'h2c://127.0.0.1:{port}'\n"
    ));
    assert_complete_answers(&call(&proxy.address.to_string(), &[]));
    let secure = format!("localhost:{}", proxy.https.unwrap().port());
    assert_complete_answers(&call(&secure, &[&authority.path("ca.pem")]));
    // Eight concurrent calls use at most one connection per worker.
    assert!(proxy.metric("consentry_upstream_connections_total") <= 4.0);

    // A second consentry in front of it, which negotiates HTTP/2 by ALPN.
    let outer = Proxy::start_with(&format!(
        "[upstream_tls]\nca_file = '{}'\n[[site]]\nupstream = 'https://{secure}'\n",
        authority.path("ca.pem")
    ));
    assert_complete_answers(&call(&outer.address.to_string(), &[]));
}
