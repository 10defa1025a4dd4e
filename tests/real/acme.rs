//! ACME certificates from a real server: Pebble, by Let's Encrypt.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::nginx::{PeerProcess, free_port, program, wait_for_listener};
use crate::support::{Origin, Proxy};
use crate::tls::CertificateAuthority;

/// A running Pebble that validates names at this port, and its DNS server.
struct Pebble {
    directory: String,
    _peers: [PeerProcess; 2],
}

impl Pebble {
    fn start(authority: &CertificateAuthority, validated_port: u16) -> Self {
        authority.issue("pebble", &["localhost"], 2099);
        let (port, management, dns, control) = (free_port(), free_port(), free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": authority.path("pebble.pem"),
            "privateKey": authority.path("pebble.key"),
            "httpPort": 1,
            "tlsPort": validated_port,
        }});
        std::fs::write(authority.path("pebble.json"), config.to_string()).unwrap();
        let names = PeerProcess::spawn(
            Command::new(program("pebble-challtestsrv"))
                .args(["-dns01", &format!("127.0.0.1:{dns}"), "-defaultIPv6", ""])
                .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
                .args(["-management", &format!("127.0.0.1:{control}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_for_listener(([127, 0, 0, 1], control).into());
        let pebble = PeerProcess::spawn(
            Command::new(program("pebble"))
                .args(["-config", &authority.path("pebble.json")])
                .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", "0")
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_for_listener(([127, 0, 0, 1], port).into());
        Self { directory: format!("https://localhost:{port}/dir"), _peers: [pebble, names] }
    }
}

/// The certificate presented for a name, as printed by openssl.
fn presented_certificate(proxy: &Proxy, name: &str) -> String {
    let script = format!(
        "openssl s_client -connect {} -servername {name} < /dev/null 2>&1 | openssl x509 -noout -issuer -ext subjectAltName 2>&1",
        proxy.https.unwrap()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_certificate_is_ordered_served_and_stored_for_the_next_start() {
    let authority = CertificateAuthority::new();
    authority.issue("own", &["own.test"], 2099);
    let port = free_port();
    let pebble = Pebble::start(&authority, port);
    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let cache = authority.path("acme");
    let start = |directory: &str| {
        Proxy::start(
            &origin,
            &format!(
                "listen.https = '127.0.0.1:{port}'\n[tls]\ncertificates = [{}]\n\
                 [tls.acme]\ndomains = ['shop.test', 'www.shop.test']\ncontact = 'ops@shop.test'\n\
                 directory = '{directory}'\ncache = '{cache}'\nca_file = '{}'\n",
                authority.certificate("own"),
                authority.path("ca.pem"),
            ),
        )
    };
    let proxy = start(&pebble.directory);
    proxy.expect_log("serving a new certificate");
    for name in ["shop.test", "www.shop.test"] {
        let text = presented_certificate(&proxy, name);
        assert!(text.contains("Pebble Intermediate CA"), "{text}");
        assert!(text.contains("DNS:shop.test, DNS:www.shop.test"), "{text}");
    }
    // The certificate from the files is kept, and is the default for other names.
    for name in ["own.test", "other.test"] {
        assert!(presented_certificate(&proxy, name).contains("DNS:own.test"), "{name}");
    }
    let folder = std::fs::metadata(&cache).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700, "keys are in it");

    // It is kept over a reload, and over a restart without the ACME server.
    proxy.signal("HUP");
    proxy.expect_log("config reloaded");
    assert!(presented_certificate(&proxy, "shop.test").contains("Pebble"));
    let directory = pebble.directory.clone();
    drop((pebble, proxy));
    let proxy = start(&directory);
    proxy.expect_log("serving the cached certificate");
    assert!(presented_certificate(&proxy, "shop.test").contains("Pebble"));
    assert!(!proxy.log().contains("serving a new certificate"));
}

#[test]
fn without_the_authority_other_sites_are_served_and_the_error_is_logged() {
    let authority = CertificateAuthority::new();
    let origin = Origin::setting_cookies(&["sid=1"]);
    let proxy = Proxy::start(
        &origin,
        &format!(
            "listen.https = '127.0.0.1:0'\n[tls.acme]\ndomains = ['shop.test']\n\
             directory = 'https://localhost:{}/dir'\ncache = '{}'\n",
            free_port(),
            authority.path("acme"),
        ),
    );
    proxy.expect_log("certificate request failed, retrying later");
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert!(!presented_certificate(&proxy, "shop.test").contains("DNS:"));
}
