//! Reload of each setting: changed values and kept state.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::support::{Origin, Proxy, RawClient, TIMEOUT, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Activates another config, without the built-in catalogue unless the config sets one.
fn reload(proxy: &Proxy, toml: &str) {
    let catalogue = if toml.contains("catalogue =") { "" } else { "catalogue = []\n" };
    proxy.reload(&format!("{catalogue}{toml}"));
}

fn site(origin: &Origin, more: &str) -> String {
    format!(
        "{more}\n[[cookie]]\nname = '_ga'\ncategory = 'analytics'\n[[site]]\nname = 'shop'\nupstream = '{}'\n",
        origin.url()
    )
}

/// The status on a new connection that starts with these bytes.
fn answer(proxy: &Proxy, begin: &str, fields: &[(&str, &str)]) -> Option<u16> {
    let mut client = proxy.connect();
    client.send(begin.as_bytes());
    client.send(&request("GET", "/", fields));
    let mut start = [0; 12];
    client.stream.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start[9..]).unwrap().parse().ok()
}

#[test]
fn global_settings_follow_each_reload() {
    let origin = Origin::scripted(|received, stream| {
        if received.line.contains("/silent") {
            return stream.read(&mut [0; 1]).is_ok_and(|count| count > 0);
        }
        let forwarded = received.field("x-forwarded-for").unwrap_or_default();
        let cookies = "Set-Cookie: _ga=1\r\n";
        let body = format!("<html><body>{forwarded}");
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{cookies}Content-Length: {length}\r\n\r\n{body}"
        )
        .is_ok()
    });
    let proxy = Proxy::start_with(&site(&origin, ""));
    let page = || proxy.get("/", &[("Accept", "text/html"), ("X-Forwarded-For", "192.0.2.7")]);
    let many: Vec<(String, &str)> = (0..40).map(|number| (format!("X-{number}"), "1")).collect();
    let many: Vec<(&str, &str)> =
        many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let cookies = "a=1; ".repeat(60);
    let proxied = "PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n";
    type Probe<'a> = &'a dyn Fn() -> bool;
    let probes: [(&str, Probe<'_>); 8] = [
        // With this setting the other requests get no response.
        ("listen.proxy_protocol = true", &|| answer(&proxy, proxied, &[]) == Some(200)),
        ("limits.header_fields = 20", &|| proxy.get("/", &many).status == 431),
        ("limits.cookies = 50", &|| proxy.get("/", &[("Cookie", &cookies)]).status == 431),
        ("limits.body_bytes = 1", &|| proxy.post("/", "ab", &[]).status == 413),
        ("listen.trusted_proxies = ['127.0.0.1']", &|| page().text().contains("192.0.2.7")),
        ("mode = 'observe'", &|| page().set_cookies().contains(&"_ga=1".to_owned())),
        ("banner.enabled = true", &|| page().text().contains("<form")),
        ("centre.prefix = '/privacy/'", &|| proxy.get("/privacy/", &[]).text().contains("<form")),
    ];
    let holding = || -> Vec<&str> {
        probes.iter().filter(|(_, holds)| holds()).map(|(toml, _)| *toml).collect()
    };
    assert_eq!(holding(), [""; 0]);
    for (index, (toml, holds)) in probes.iter().enumerate() {
        reload(&proxy, &site(&origin, toml));
        assert!(holds(), "{toml}");
        let before = index.checked_sub(1).map(|before| probes[before]);
        assert!(!before.is_some_and(|(_, held)| held()), "{toml}");
    }
    // By default the timeout for a silent origin is one minute.
    reload(&proxy, &site(&origin, "timeouts.first_byte = '50ms'"));
    assert_eq!(proxy.get("/silent", &[]).status, 504);
    assert_eq!(holding(), [""; 0]);
}

#[test]
fn requests_in_flight_count_after_a_reload_only_with_unchanged_limits() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::scripted(move |received, stream| {
        if received.line.contains("/held") {
            let _ = wait.lock().unwrap().recv_timeout(TIMEOUT);
        }
        stream.write_all(OK.as_bytes()).is_ok()
    });
    let limited = |most: u32, more: &str| {
        site(&origin, &format!("limits.concurrent_requests = {most}\n{more}"))
    };
    let proxy = Proxy::start_with(&limited(1, ""));
    let mut held = proxy.connect();
    held.send(&request("GET", "/held", &[]));
    origin.next_request();
    assert_eq!(proxy.get("/", &[]).status, 503);
    reload(&proxy, &limited(1, "unclassified = 'allow'"));
    assert_eq!(proxy.get("/", &[]).status, 503, "it is still in progress");
    reload(&proxy, &limited(2, ""));
    assert_eq!(proxy.get("/", &[]).status, 200, "another limit counts from now on");
    reload(&proxy, &site(&origin, ""));
    assert_eq!(proxy.get("/", &[]).status, 200);
    go.send(()).unwrap();
    assert_eq!(held.reply("GET").status, 200);
}

#[test]
fn the_admin_listener_shows_the_current_config() {
    let (one, two) = (Origin::setting_cookies(&["uid=1"]), Origin::setting_cookies(&["uid=1"]));
    let proxy = Proxy::start_with(&site(&one, ""));
    let up = |origin: &Origin, name: &str| {
        format!("consentry_upstream_up{{site=\"{name}\",upstream=\"{}\"}}", origin.url())
    };
    assert_eq!(proxy.metric(&up(&one, "shop")), 1.0);
    let other = format!("[[site]]\nname = 'other'\nupstream = '{}'\n", two.url());
    reload(&proxy, &other);
    assert_eq!(proxy.metric(&up(&two, "other")), 1.0);
    assert!(!proxy.admin("/metrics").1.contains(&one.url()));
    proxy.get("/", &[]);
    let inventory: serde_json::Value = serde_json::from_str(&proxy.admin("/inventory").1).unwrap();
    assert!(
        inventory["other"]["cookies"].is_array() && inventory["shop"].is_null(),
        "{inventory:#}"
    );
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef").unwrap();
    proxy.rewrite(&format!("listen.admin_token_file = '{}'\n{other}", token.display()));
    proxy.signal("HUP");
    proxy.wait_until("the token is required", || proxy.admin("/metrics").0 == 401);
}

#[test]
fn files_of_a_reloaded_config_are_watched() {
    let origin = Origin::setting_cookies(&["uid=1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("more.toml");
    std::fs::write(&file, "").unwrap();
    let proxy = Proxy::start_with(&site(&origin, "catalogue = []"));
    reload(&proxy, &site(&origin, &format!("catalogue = ['{}']", file.display())));
    assert_eq!(proxy.get("/", &[]).set_cookies(), [""; 0]);
    std::fs::write(&file, "[[cookie]]\nname = 'uid'\ncategory = 'necessary'\n").unwrap();
    proxy.wait_until("the rule is in force", || proxy.get("/", &[]).set_cookies() == ["uid=1"]);
}

#[test]
fn a_loop_is_reported_once_for_each_config() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start_with(&site(&origin, "catalogue = []"));
    for reported in 1..=3 {
        for _ in 0..3 {
            assert_eq!(proxy.get("/", &[("Via", "1.1 consentry")]).status, 508);
        }
        // The next log line is written after it.
        reload(&proxy, &site(&origin, ""));
        proxy.wait_until("the next log line", || {
            proxy.log().matches("config reloaded").count() >= reported
        });
        let log = proxy.log();
        assert_eq!(
            log.matches("a request has passed this proxy before").count(),
            reported,
            "{log}"
        );
    }
}

/// A certificate for `127.0.0.1` and `shop.example`, in a directory.
struct TestCertificate {
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    toml: String,
    file: String,
}

fn generate_certificate(folder: &Path, name: &str) -> TestCertificate {
    let names = ["127.0.0.1".to_owned(), "shop.example".to_owned()];
    let certificate = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    TestCertificate {
        der: CertificateDer::from_pem_slice(certificate.cert.pem().as_bytes()).unwrap(),
        key: PrivateKeyDer::from_pem_slice(certificate.signing_key.serialize_pem().as_bytes())
            .unwrap(),
        toml: format!("{{ cert = '{}', key = '{}' }}", cert.display(), key.display()),
        file: cert.display().to_string(),
    }
}

/// The certificate presented to a new connection.
fn presented_certificate(proxy: &Proxy, trusted: &[&TestCertificate]) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|certificate| roots.add(certificate.der.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("shop.example").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(proxy.https.unwrap()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(&request("GET", "/", &[])).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn the_first_of_two_certificates_for_a_name_is_served_and_a_reload_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) =
        (generate_certificate(folder.path(), "one"), generate_certificate(folder.path(), "two"));
    let origin = Origin::responding(OK);
    let with = |certificates: &[&TestCertificate], more: &str| {
        let listed: Vec<&str> =
            certificates.iter().map(|certificate| certificate.toml.as_str()).collect();
        let listed = listed.join(", ");
        site(
            &origin,
            &format!("listen.https = '127.0.0.1:0'\ntls.certificates = [{listed}]\n{more}"),
        )
    };
    let proxy = Proxy::start_with(&with(&[&one, &two], ""));
    assert!(presented_certificate(&proxy, &[&one, &two]) == one.der);
    reload(&proxy, &with(&[&two, &one], ""));
    assert!(presented_certificate(&proxy, &[&one, &two]) == two.der);
    assert_eq!(proxy.get("/", &[]).status, 200);
    reload(&proxy, &with(&[&one], "tls.redirect = true"));
    assert!(presented_certificate(&proxy, &[&one, &two]) == one.der);
    assert_eq!(proxy.get("/", &[]).status, 301);
    reload(&proxy, &with(&[&two], ""));
    assert_eq!(proxy.get("/", &[]).status, 200);
    reload(&proxy, &site(&origin, ""));
    assert!(presented_certificate(&proxy, &[&one, &two]) == two.der, "its socket stays open");
}

/// An HTTPS origin with optional keep-alive. Counts the accepted connections, and those that resumed an earlier
/// session.
fn https_origin(
    certificate: &TestCertificate,
    keeps: bool,
) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der.clone()], certificate.key.clone_key())
        .unwrap();
    let (config, accepted) = (Arc::new(config), Arc::new(AtomicUsize::new(0)));
    let resumed = Arc::new(AtomicUsize::new(0));
    let again = Arc::clone(&resumed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::clone(&accepted));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            count.fetch_add(1, Relaxed);
            let again = Arc::clone(&again);
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0; 1];
                while stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let kind = stream.conn.handshake_kind();
                        again.fetch_add(usize::from(kind == Some(HandshakeKind::Resumed)), Relaxed);
                        stream.write_all(OK.as_bytes()).unwrap();
                        if !keeps {
                            return;
                        }
                    }
                }
            });
        }
    });
    (address, accepted, resumed)
}

#[test]
fn upstream_connections_are_reused_only_with_unchanged_tls_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) =
        (generate_certificate(folder.path(), "one"), generate_certificate(folder.path(), "two"));
    let (address, accepted, _) = https_origin(&one, true);
    let toml = |tls: &str, weight: u32| {
        format!(
            "workers = 1\n[upstream_tls]\n{tls}\n[[site]]\n\
             upstream = [{{ url = 'https://{address}', weight = {weight} }}]\n"
        )
    };
    let (good, bad) = (format!("ca_file = '{}'", one.file), format!("ca_file = '{}'", two.file));
    let proxy = Proxy::start_with(&toml(&good, 1));
    assert_eq!(proxy.get("/", &[]).status, 200);
    reload(&proxy, &toml(&good, 2));
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(accepted.load(Relaxed), 1, "the connection is used again");
    for other in [
        bad.clone(),
        format!("{good}\nserver_name = 'other.example'"),
        format!("{bad}\nserver_name = 'shop.example'"),
    ] {
        reload(&proxy, &toml(&other, 2));
        assert_eq!(proxy.get("/", &[]).status, 502, "{other}");
        reload(&proxy, &toml(&good, 2));
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    let before = accepted.load(Relaxed);
    reload(&proxy, &toml(&format!("{good}\nserver_name = 'shop.example'"), 2));
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(accepted.load(Relaxed), before + 1, "a connection made for another name");
    reload(&proxy, &toml("insecure_skip_verify = true", 2));
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(accepted.load(Relaxed), before + 2, "a connection that was verified in another way");
}

#[test]
fn upstream_tls_sessions_survive_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let one = generate_certificate(folder.path(), "one");
    let (address, accepted, resumed) = https_origin(&one, false);
    let toml = |weight: u32| {
        format!(
            "workers = 1\n[upstream_tls]\nca_file = '{}'\n[[site]]\n\
             upstream = [{{ url = 'https://{address}', weight = {weight} }}]\n",
            one.file
        )
    };
    let proxy = Proxy::start_with(&toml(1));
    for weight in [2, 3] {
        assert_eq!(proxy.get("/", &[]).status, 200);
        reload(&proxy, &toml(weight));
    }
    assert_eq!(proxy.get("/", &[]).status, 200);
    let accepted = accepted.load(Relaxed);
    assert_eq!(resumed.load(Relaxed), accepted - 1, "of {accepted}");
}

#[test]
fn a_replaced_upstream_gets_no_more_requests() {
    let (one, two) = (Origin::responding(OK), Origin::responding(OK));
    let proxy = Proxy::start_with(&site(&one, "workers = 1"));
    let mut client = RawClient::connect(proxy.address);
    for origin in [&one, &two, &one] {
        reload(&proxy, &site(origin, "workers = 1"));
        client.send(&request("GET", "/", &[]));
        assert_eq!(client.reply("GET").status, 200);
        origin.next_request();
        assert!(one.received_nothing() && two.received_nothing());
    }
}
