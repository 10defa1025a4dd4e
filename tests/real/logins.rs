//! Windows logins (NTLM) of real clients: each client sees its own pages, and HTTP/2 clients fall back to HTTP/1.1.

use std::collections::HashMap;
use std::io::Write;
use std::process::Command;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::browser::open_with;
use crate::nginx::program;
use crate::support::{Origin, Proxy};
use crate::tls::CertificateAuthority;

/// A challenge ([MS-NLMP] section 2.2.1.2): Unicode, NTLM version 2, the domain DOM.
fn challenge() -> String {
    let domain = b"D\0O\0M\0";
    let mut message = b"NTLMSSP\0\x02\0\0\0\x06\0\x06\0\x30\0\0\0\x05\x82\x8a\0".to_vec();
    message.extend(b"challeng\0\0\0\0\0\0\0\0\x0e\0\x0e\0\x36\0\0\0");
    message.extend(domain);
    message.extend(b"\x02\0\x06\0");
    message.extend(domain);
    message.extend([0; 4]);
    STANDARD.encode(message)
}

/// The user's name in an authenticate message ([MS-NLMP] section 2.2.1.3).
fn user(message: &[u8]) -> Option<String> {
    let number = |at: usize| {
        Some(usize::from(u16::from_le_bytes([*message.get(at)?, *message.get(at + 1)?])))
    };
    let (length, start) = (number(36)?, number(40)?);
    let name = message.get(start..start + length)?;
    Some(name.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

/// An origin that authenticates connections and accepts any password.
fn origin() -> Origin {
    let users: Mutex<HashMap<usize, String>> = Mutex::default();
    Origin::scripted(move |received, stream| {
        let mut users = users.lock().unwrap();
        let message = received.field("authorization").unwrap_or_default();
        let message = STANDARD.decode(message.trim_start_matches("NTLM ")).unwrap_or_default();
        let mut offered = "NTLM".to_owned();
        match message.get(8) {
            Some(1) => {
                users.insert(received.connection, String::new());
                offered = format!("NTLM {}", challenge());
            }
            Some(3) if users.contains_key(&received.connection) => {
                users.insert(received.connection, user(&message).unwrap());
            }
            _ => {}
        }
        let (head, page) = match users.get(&received.connection).filter(|user| !user.is_empty()) {
            Some(user) => ("200 OK".to_owned(), format!("page of {user}")),
            None => {
                (format!("401 Unauthorized\r\nWWW-Authenticate: {offered}"), "nobody".to_owned())
            }
        };
        let page = format!("<!doctype html><title>t</title><p>{page}</p>");
        write!(
            stream,
            "HTTP/1.1 {head}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        )
        .is_ok()
    })
}

#[test]
fn curl_logs_in_without_logging_in_other_clients() {
    let origin = origin();
    let proxy = Proxy::start(&origin, "workers = 1");
    let url = format!("http://{}/", proxy.address);
    let curl = |arguments: &[&str]| {
        let output =
            Command::new(program("curl")).args(["-s", "--max-time", "20"]).args(arguments).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    for name in ["alice", "bob"] {
        let user = format!("{name}:secret");
        let pages = curl(&["--ntlm", "-u", &user, &url, &url]);
        assert_eq!(pages.matches(&format!("page of {name}")).count(), 2, "{pages}");
        assert!(curl(&[&url]).contains("nobody"));
    }
}

#[test]
fn chromium_logs_in_over_tls_with_http_1_1() {
    let (origin, authority) = (origin(), CertificateAuthority::new());
    authority.issue("site", &["shop.example"], 2040);
    let proxy = Proxy::start(
        &origin,
        &format!(
            "workers = 1\nlisten.https = '127.0.0.1:0'\n[tls]\ncertificates = [{}]\n",
            authority.certificate("site")
        ),
    );
    let port = proxy.https.unwrap().port();
    let arguments = ["--ignore-certificate-errors", "--host-resolver-rules=MAP * 127.0.0.1"];
    let alice = open_with(&format!("https://alice:secret@shop.example:{port}/"), &arguments);
    assert!(alice.contains("page of alice"), "{alice}");
    let bob = open_with(&format!("https://shop.example:{port}/"), &arguments);
    assert!(!bob.contains("alice"), "{bob}");
    let bob = open_with(&format!("https://bob:secret@shop.example:{port}/"), &arguments);
    assert!(bob.contains("page of bob"), "{bob}");
    let versions: Vec<_> = std::iter::from_fn(|| origin.try_next_request())
        .map(|received| received.field("via").unwrap())
        .collect();
    assert!(versions.iter().any(|via| via == "2.0 consentry"), "HTTP/2 was tried: {versions:?}");
}
