//! TLS with clients, tested with openssl and curl.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use crate::nginx::program;
use crate::support::{Origin, Proxy, run};

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: _ga=1\r\nSet-Cookie: sid=1\r\n\r\nok";

/// A CA with its certificate in a file.
pub struct CertificateAuthority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "the test's authority");
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(parameters, key) }
    }

    /// Writes a certificate that is valid until a year, and its key.
    pub fn issue(&self, file: &str, names: &[&str], year: i32) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn certificate(&self, file: &str) -> String {
        format!(
            "{{ cert = '{}', key = '{}' }}",
            self.path(&format!("{file}.pem")),
            self.path(&format!("{file}.key"))
        )
    }

    fn proxy(&self, origin: &Origin, files: &[&str], more: &str) -> Proxy {
        let certificates: Vec<String> = files.iter().map(|file| self.certificate(file)).collect();
        Proxy::start(
            origin,
            &format!(
                "listen.https = '127.0.0.1:0'\n[tls]\ncertificates = [{}]\n{more}\n",
                certificates.join(", ")
            ),
        )
    }

    /// The response head and body that curl receives from a host. `None` if it fails.
    fn curl(&self, proxy: &Proxy, host: &str, arguments: &[&str]) -> Option<String> {
        let port = proxy.https.unwrap().port();
        let output = Command::new(program("curl"))
            .args(["-si", "--max-time", "20", "--cacert", &self.path("ca.pem")])
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://{host}:{port}/"))
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

fn openssl(proxy: &Proxy, arguments: &[&str]) -> Output {
    Command::new(program("openssl"))
        .args(["s_client", "-connect", &proxy.https.unwrap().to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn clients_get_no_alternative_service() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nAlt-Svc: h2=\":8443\"; ma=2592000, h3=\":8443\"\r\nContent-Length: 2\r\n\r\nok",
    );
    let file = authority.path("alt-svc.txt");
    let alternatives = |toml: &str| {
        let proxy = authority.proxy(&origin, &["site"], toml);
        let reply = authority.curl(&proxy, "shop.test", &["--alt-svc", &file]).unwrap();
        assert!(reply.ends_with("ok"), "{reply}");
        let lines = std::fs::read_to_string(&file).unwrap();
        lines.lines().filter(|line| !line.starts_with('#')).count()
    };
    let before = alternatives("[technologies]\nalternative_services = 'keep'");
    assert!(before > 0, "curl keeps alternative services");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(alternatives(""), 0);
}

#[test]
fn http_1_and_http_2_over_tls_are_served_and_filtered() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(OK);
    let proxy = authority.proxy(&origin, &["site"], "");
    for (version, status) in [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")] {
        let text = authority.curl(&proxy, "shop.test", &[version]).unwrap();
        assert!(text.starts_with(status) && text.ends_with("ok"), "{text}");
        // HTTP/1.1 keeps the origin's spelling. HTTP/2 names are in lower case.
        let lines = text.to_lowercase();
        assert!(lines.contains("set-cookie: sid=1") && !lines.contains("_ga"), "{text}");
        let received = origin.next_request();
        assert_eq!(received.field("x-forwarded-proto").as_deref(), Some("https"));
    }
    // A page load also deletes cookies that can only be deleted over HTTPS.
    let text = authority
        .curl(&proxy, "shop.test", &["-H", "Cookie: _fbp=1", "-H", "Accept: text/html"])
        .unwrap();
    assert!(text.contains("_fbp=; Max-Age=0; Path=/; Secure"), "{text}");
}

#[test]
fn the_certificate_matches_by_name_then_wildcard_then_is_the_first() {
    let authority = CertificateAuthority::new();
    authority.issue("first", &["first.test"], 2099);
    authority.issue("wild", &["*.shop.test"], 2099);
    authority.issue("exact", &["a.shop.test"], 2099);
    let origin = Origin::responding(OK);
    let proxy = authority.proxy(&origin, &["first", "wild", "exact"], "");
    for (host, works) in
        [("first.test", true), ("a.shop.test", true), ("b.shop.test", true), ("other.test", false)]
    {
        assert_eq!(authority.curl(&proxy, host, &[]).is_some(), works, "{host}");
    }
    let shown = output_text(&openssl(&proxy, &["-servername", "other.test", "-showcerts"]));
    assert!(
        shown.contains("BEGIN CERTIFICATE"),
        "who asks for another name is shown the first: {shown}"
    );
}

#[test]
fn tls_1_2_and_1_3_work_and_sessions_are_resumed() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(OK);
    let proxy = authority.proxy(&origin, &["site"], "");
    let session = authority.path("session");
    let new = output_text(&openssl(
        &proxy,
        &["-tls1_2", "-servername", "shop.test", "-sess_out", &session],
    ));
    assert!(new.contains("New, TLSv1.2"), "{new}");
    let resumed = output_text(&openssl(
        &proxy,
        &["-tls1_2", "-servername", "shop.test", "-sess_in", &session],
    ));
    assert!(resumed.contains("Reused, TLSv1.2"), "{resumed}");
    let newest = output_text(&openssl(&proxy, &["-tls1_3", "-alpn", "h2,http/1.1"]));
    assert!(newest.contains("New, TLSv1.3") && newest.contains("ALPN protocol: h2"), "{newest}");
    assert!(!openssl(&proxy, &["-tls1_1"]).status.success());
    let strict = authority.proxy(&origin, &["site"], "min_version = '1.3'");
    assert!(!openssl(&strict, &["-tls1_2"]).status.success());
    assert!(openssl(&strict, &["-tls1_3"]).status.success());
}

#[test]
fn sessions_survive_a_reload_and_resume_on_replicas_with_the_same_ticket_keys() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(OK);
    let session = authority.path("session");
    let begin = |proxy: &Proxy, version: &str| {
        let printed = output_text(&openssl(
            proxy,
            &[version, "-servername", "shop.test", "-sess_out", &session],
        ));
        assert!(printed.contains("New, "), "{printed}");
    };
    let resumes = |proxy: &Proxy, version: &str| {
        output_text(&openssl(proxy, &[version, "-servername", "shop.test", "-sess_in", &session]))
            .contains("Reused, ")
    };
    let keys = authority.path("tickets.key");
    std::fs::write(&keys, "0123456789abcdef0123456789abcdef").unwrap();
    let shared = format!("ticket_key_file = '{keys}'");
    let reload = |proxy: &Proxy, reloads: f64| {
        proxy.signal("HUP");
        proxy.expect_metric("consentry_config_reloads_total{result=\"done\"}", reloads);
    };
    let one = authority.proxy(&origin, &["site"], "");
    begin(&one, "-tls1_2");
    reload(&one, 1.0);
    assert!(resumes(&one, "-tls1_2"));
    assert!(!resumes(&authority.proxy(&origin, &["site"], ""), "-tls1_2"), "another process");
    let (one, other) = (
        authority.proxy(&origin, &["site"], &shared),
        authority.proxy(&origin, &["site"], &shared),
    );
    begin(&one, "-tls1_2");
    assert!(resumes(&other, "-tls1_2"));
    std::fs::write(&keys, "fedcba9876543210fedcba9876543210").unwrap();
    reload(&other, 1.0);
    assert!(!resumes(&other, "-tls1_2"), "the key is gone");
    // A ticket is bound to the client certificate settings. It is invalid without them, and with other ones.
    let client_ca =
        format!("{shared}\nclient_ca = '{}'\nclient_auth = 'optional'", authority.path("ca.pem"));
    begin(&other, "-tls1_2");
    assert!(!resumes(&authority.proxy(&origin, &["site"], &client_ca), "-tls1_2"));
}

#[test]
fn with_required_client_certificates_other_clients_are_rejected() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    authority.issue("visitor", &["visitor"], 2099);
    let other = CertificateAuthority::new();
    other.issue("stranger", &["stranger"], 2099);
    let origin = Origin::responding(OK);
    let ca = format!("client_ca = '{}'", authority.path("ca.pem"));
    let proxy = authority.proxy(&origin, &["site"], &ca);
    let with = |of: &CertificateAuthority, file: &str| {
        let (cert, key) = (of.path(&format!("{file}.pem")), of.path(&format!("{file}.key")));
        authority.curl(&proxy, "shop.test", &["--cert", &cert, "--key", &key])
    };
    assert!(with(&authority, "visitor").is_some());
    assert!(with(&other, "stranger").is_none());
    assert!(authority.curl(&proxy, "shop.test", &[]).is_none());
    let lenient = authority.proxy(&origin, &["site"], &format!("{ca}\nclient_auth = 'optional'"));
    assert!(authority.curl(&lenient, "shop.test", &[]).is_some());
}

#[test]
fn the_origin_gets_the_client_certificate_and_no_forged_one() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    authority.issue("visitor", &["visitor"], 2099);
    let origin = Origin::responding(OK);
    let more = format!(
        "client_ca = '{}'\nclient_auth = 'optional'\nclient_cert_fields = true",
        authority.path("ca.pem")
    );
    let proxy = authority.proxy(&origin, &["site"], &more);
    let (cert, key) = (authority.path("visitor.pem"), authority.path("visitor.key"));
    let forged = ["-H", "Client-Cert: :Zm9yZ2Vk:", "-H", "Client-Cert-Chain: :Zm9yZ2Vk:"];
    let item = |file: &str| {
        let pem = std::fs::read_to_string(authority.path(file)).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
        Some(format!(":{der}:"))
    };
    for version in ["--http1.1", "--http2"] {
        let shown = ["--cert", &cert, "--key", &key, version];
        authority.curl(&proxy, "shop.test", &[&shown[..], &forged].concat()).unwrap();
        let received = origin.next_request();
        // curl also sends the CA certificate.
        assert_eq!(received.field("client-cert"), item("visitor.pem"), "{version}");
        assert_eq!(received.field("client-cert-chain"), item("ca.pem"), "{version}");
        authority.curl(&proxy, "shop.test", &[&[version], &forged[..]].concat()).unwrap();
        let received = origin.next_request();
        assert_eq!(received.field("client-cert"), None, "{version}");
        assert_eq!(received.field("client-cert-chain"), None, "{version}");
    }
}

#[test]
fn a_new_certificate_is_served_without_a_restart_or_dropped_connections() {
    use std::io::{Read, Write};
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(OK);
    let proxy = authority.proxy(&origin, &["site"], "");
    let mut open = Command::new(program("openssl"))
        .args(["s_client", "-quiet", "-connect", &proxy.https.unwrap().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut to, mut from) = (open.stdin.take().unwrap(), open.stdout.take().unwrap());
    let mut ask = || {
        to.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\nok") {
            assert_eq!(from.read(&mut byte).unwrap(), 1, "the connection goes on");
            text.push(byte[0]);
        }
    };
    ask();
    let subject = || output_text(&openssl(&proxy, &["-showcerts"]));
    let before = subject();
    authority.issue("site", &["shop.test"], 2098);
    proxy.expect_metric("consentry_config_reloads_total{result=\"done\"}", 1.0);
    ask();
    assert_ne!(subject(), before);
    assert!(authority.curl(&proxy, "shop.test", &[]).is_some());
    // A key that does not match the certificate changes nothing.
    std::fs::write(authority.path("site.key"), "x").unwrap();
    proxy.expect_metric("consentry_config_reloads_total{result=\"failed\"}", 1.0);
    assert!(authority.curl(&proxy, "shop.test", &[]).is_some());
    ask();
    let _ = open.kill();
    let _ = open.wait();
}

#[test]
fn http_requests_are_redirected_to_https() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(OK);
    let proxy = authority.proxy(&origin, &["site"], "redirect = true");
    let reply = proxy.get("/cart?a=1", &[]);
    assert_eq!(
        (reply.status, reply.field("location").as_deref()),
        (301, Some("https://shop.example/cart?a=1"))
    );
    assert!(origin.received_nothing() && authority.curl(&proxy, "shop.test", &[]).is_some());
}

#[test]
fn a_silent_tls_handshake_times_out_and_plain_http_gets_an_error() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    let origin = Origin::responding(OK);
    let proxy = authority.proxy(&origin, &["site"], "[timeouts]\nrequest_head = '200ms'");
    let silent = crate::support::RawClient::connect(proxy.https.unwrap());
    assert!(silent.closed().is_empty());
    let mut plain = crate::support::RawClient::connect(proxy.https.unwrap());
    plain.send(b"GET / HTTP/1.1\r\n\r\n");
    let response = String::from_utf8(plain.closed()).unwrap();
    assert!(response.starts_with("HTTP/1.1 400 ") && response.contains("only HTTPS"), "{response}");
    proxy.expect_metric("consentry_errors_total{kind=\"tls\"}", 2.0);
}

#[test]
fn unusable_certificate_files_are_reported_by_name() {
    let authority = CertificateAuthority::new();
    authority.issue("site", &["shop.test"], 2099);
    authority.issue("other", &["shop.test"], 2099);
    authority.issue("old", &["shop.test"], 2021);
    std::fs::write(authority.path("empty.pem"), "").unwrap();
    let check = |certificates: &str| {
        let config = Path::new(&authority.path("consentry.toml")).to_owned();
        let toml = format!(
            "[listen]\nhttps = ':8443'\n[tls]\ncertificates = [{certificates}]\n[[site]]\nupstream = 'http://127.0.0.1:1'\n"
        );
        std::fs::write(&config, toml).unwrap();
        let (code, out, error) = run(&["check", "--config", config.to_str().unwrap()], "");
        (code, out + &error)
    };
    let pair = |cert: &str, key: &str| format!("{{ cert = '{cert}', key = '{key}' }}");
    for (certificates, code, expected) in [
        (authority.certificate("site"), 0, "certificate for shop.test"),
        (
            pair("site.pem", "other.key"),
            2,
            "tls.certificates[0].key: `other.key`: the private key does not match the certificate",
        ),
        (pair("empty.pem", "site.key"), 2, "no certificate found"),
        (pair("site.pem", "site.pem"), 2, "no private key found"),
        (
            pair("nowhere.pem", "site.key"),
            2,
            "tls.certificates[0].cert: `nowhere.pem`: cannot read the file",
        ),
        (authority.certificate("old"), 0, "has expired: browsers reject it"),
        (String::new(), 2, "tls.certificates: listen.https needs a certificate"),
        ("{ cert = 'site.pem' }".to_owned(), 2, "tls.certificates[0].key: is missing"),
    ] {
        let (found, text) = check(&certificates);
        assert!(found == code && text.contains(expected), "{certificates}: {found} {text}");
    }
}

/// An nginx with TLS, which optionally requests a client certificate.
fn secure_nginx(authority: &CertificateAuthority, more: &str) -> crate::nginx::Nginx {
    let (cert, key) = (authority.path("origin.pem"), authority.path("origin.key"));
    crate::nginx::Nginx::start(
        authority.folder.path(),
        &format!(
            "server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; {more}
               location / {{ add_header Set-Cookie \"_ga=1\"; add_header Set-Cookie \"sid=1\"; add_header X-Sni $ssl_server_name;
                 add_header X-Client $ssl_client_s_dn; return 200 \"ok\"; }} }}"
        ),
    )
}

#[test]
fn upstream_tls_requires_a_trusted_certificate() {
    let authority = CertificateAuthority::new();
    authority.issue("origin", &["localhost", "origin.test"], 2099);
    authority.issue("me", &["consentry"], 2099);
    let ca = format!("ca_file = '{}'", authority.path("ca.pem"));
    let nginx = secure_nginx(&authority, "");
    let proxy = |of: &crate::nginx::Nginx, more: &str| {
        let port = of.url().rsplit(':').next().unwrap().to_owned();
        Proxy::start_with(&format!(
            "[upstream_tls]\n{more}\n[[site]]\nupstream = 'https://localhost:{port}'\n"
        ))
    };
    let trusted = proxy(&nginx, &ca);
    for _ in 0..3 {
        let reply = trusted.get("/", &[]);
        assert_eq!(
            (reply.status, reply.text().as_str(), reply.set_cookies().as_slice()),
            (200, "ok", &["sid=1".to_owned()][..])
        );
        assert_eq!(reply.field("x-sni").as_deref(), Some("localhost"));
    }
    // Connections are reused. A connection whose response has just ended may not be available yet.
    assert!(trusted.metric("consentry_upstream_connections_total") < 3.0);
    let named = proxy(&nginx, &format!("{ca}\nserver_name = 'origin.test'"));
    assert_eq!(named.get("/", &[]).field("x-sni").as_deref(), Some("origin.test"));
    for wrong in ["", &format!("{ca}\nserver_name = 'other.test'")] {
        let refused = proxy(&nginx, wrong);
        assert_eq!(refused.get("/", &[]).status, 502, "{wrong}");
        refused.expect_log("invalid peer certificate");
    }
    let careless = proxy(&nginx, "insecure_skip_verify = true");
    assert_eq!(careless.get("/", &[]).status, 200);
    careless.expect_log("INSECURE");

    let client_ca = authority.path("ca.pem");
    let strict = secure_nginx(
        &authority,
        &format!("ssl_client_certificate {client_ca}; ssl_verify_client on;"),
    );
    assert_eq!(proxy(&strict, &ca).get("/", &[]).status, 400, "nginx wants a certificate");
    let (cert, key) = (authority.path("me.pem"), authority.path("me.key"));
    let shown = proxy(&strict, &format!("{ca}\nclient_cert = '{cert}'\nclient_key = '{key}'"));
    assert_eq!(shown.get("/", &[]).status, 200);
}

#[test]
fn a_reload_applies_new_upstream_tls_settings() {
    let (authority, other) = (CertificateAuthority::new(), CertificateAuthority::new());
    authority.issue("origin", &["localhost"], 2099);
    let nginx = secure_nginx(&authority, "");
    let port = nginx.url().rsplit(':').next().unwrap().to_owned();
    let toml = |of: &CertificateAuthority| {
        let ca = of.path("ca.pem");
        format!(
            "[upstream_tls]\nca_file = '{ca}'\n[[site]]\nupstream = 'https://localhost:{port}'\n"
        )
    };
    let proxy = Proxy::start_with(&toml(&authority));
    assert_eq!(proxy.get("/", &[]).status, 200);
    proxy.reload(&format!("{}# The same.\n", toml(&authority)));
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert!(proxy.metric("consentry_upstream_connections_total") < 2.0, "connections are kept");
    proxy.reload(&toml(&other));
    assert_eq!(proxy.get("/", &[]).status, 502, "the authority is another");
    proxy.reload(&toml(&authority));
    assert_eq!(proxy.get("/", &[]).status, 200);
}

#[test]
fn an_upstream_can_be_a_unix_socket() {
    let folder = crate::nginx::folder();
    let socket = folder.path().join("app.sock").display().to_string();
    let nginx = crate::nginx::Nginx::start(
        folder.path(),
        &format!(
            "server {{ listen 127.0.0.1:{{port}}; listen unix:{socket}; location / {{ add_header Set-Cookie \"_ga=1\"; return 200 \"$http_host\"; }} }}"
        ),
    );
    let proxy = Proxy::start_with(&format!("[[site]]\nupstream = 'unix:{socket}'\n"));
    let reply = proxy.get("/", &[]);
    assert_eq!((reply.status, reply.text().as_str()), (200, "shop.example"));
    assert!(reply.set_cookies().is_empty());
    drop(nginx);
    assert_eq!(proxy.get("/", &[]).status, 502);
}
