//! Unread request bodies: the rest of a body is never parsed as a request, even if it arrives long after an early
//! response.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Proxy, refusing_address, wait_until};

/// Several times the idle time after which the proxy reduces a client connection to its socket.
const LONG_QUIET: Duration = Duration::from_millis(400);

const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n";

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// An origin that responds as soon as it has a request head, and records all bytes of each connection.
struct EarlyOrigin {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl EarlyOrigin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = {
                    let mut all = shared.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let shared = Arc::clone(&shared);
                thread::spawn(move || Self::serve(stream, &shared, number));
            }
        });
        Self { address, received }
    }

    fn serve(mut stream: TcpStream, shared: &Mutex<Vec<Vec<u8>>>, number: usize) {
        let mut chunk = [0; 4096];
        let mut answered = 0;
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            let heads = {
                let mut all = shared.lock().unwrap();
                all[number].extend_from_slice(&chunk[..count]);
                // Only heads written by the proxy have a Via field.
                all[number].windows(4).filter(|bytes| bytes.eq_ignore_ascii_case(b"via:")).count()
            };
            while answered < heads {
                answered += 1;
                if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                    return;
                }
            }
        }
    }

    /// The request lines sent by the proxy, on any connection.
    fn requests(&self) -> Vec<String> {
        let all = self.received.lock().unwrap();
        let mut lines = Vec::new();
        for connection in all.iter() {
            let text = String::from_utf8_lossy(connection).into_owned();
            // A request line written by the proxy is followed by fields that include Via.
            let mut rest = text.as_str();
            while let Some(end) = rest.find("\r\n\r\n") {
                let head = &rest[..end];
                if head.to_ascii_lowercase().contains("\r\nvia:") {
                    let start = head.rfind(" HTTP/1.1\r\n").unwrap();
                    let start = head[..start].rfind('\n').map_or(0, |at| at + 1);
                    lines.push(head[start..].lines().next().unwrap().to_owned());
                }
                rest = &rest[end + 4..];
            }
        }
        lines
    }
}

/// A proxy with plain and TLS listeners in front of this origin.
fn proxy(origin: &EarlyOrigin) -> (Proxy, CertificateDer<'static>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let closed = refusing_address();
    let toml = format!(
        "[listen]\nhttps = '127.0.0.1:0'\n\
         [tls]\ncertificates = [{{ cert = '{}', key = '{}' }}]\n\
         [[site]]\nhosts = ['shop.example']\nupstream = 'http://{}'\n\
         [[site]]\nhosts = ['small.example']\nupstream = 'http://{}'\n[site.limits]\nbody_bytes = 10\n\
         [[site]]\nhosts = ['down.example']\nupstream = 'http://{closed}'\n",
        certificate.display(),
        key.display(),
        origin.address,
        origin.address,
    );
    let proxy = Proxy::start_with(&toml);
    (proxy, CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap(), folder)
}

fn connect(proxy: &Proxy, trusted: Option<&CertificateDer<'static>>) -> Box<dyn Stream> {
    let address = match trusted {
        Some(_) => proxy.https.unwrap(),
        None => proxy.address,
    };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG_QUIET)).unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(certificate) = trusted else { return Box::new(stream) };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("shop.example").unwrap();
    Box::new(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream))
}

/// Reads until the connection ends or is silent for a long time. Returns the bytes, and whether the connection is
/// open.
fn read(stream: &mut dyn Stream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (bytes, false),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (bytes, true);
            }
            Err(_) => return (bytes, false),
        }
    }
}

fn statuses(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].to_owned()).collect()
}

#[test]
fn bytes_of_an_unread_body_are_never_a_request() {
    let origin = EarlyOrigin::start();
    let (proxy, certificate, _folder) = proxy(&origin);
    // Request line and host, and the status of the early response.
    let early = [
        ("POST /matomo.php HTTP/1.1", "shop.example", "204"),
        ("GET /matomo.php?idsite=1 HTTP/1.1", "shop.example", "204"),
        ("POST /.consentry/unknown HTTP/1.1", "shop.example", "404"),
        ("POST /.consentry/consent HTTP/1.1", "shop.example", ""),
        ("GET /.consentry/ HTTP/1.1", "shop.example", "200"),
        ("GET /.consentry/preferences HTTP/1.1", "shop.example", ""),
        ("GET /.consentry/style.css HTTP/1.1", "shop.example", "200"),
        ("HEAD /.consentry/style.css HTTP/1.1", "shop.example", "200"),
        ("PUT /.consentry/style.css HTTP/1.1", "shop.example", "405"),
        ("GET /.well-known/gpc.json HTTP/1.1", "shop.example", "200"),
        ("POST /upload HTTP/1.1", "shop.example", "200"),
        ("GET /page HTTP/1.1", "shop.example", "200"),
        ("DELETE /page HTTP/1.1", "shop.example", "200"),
        ("POST /upload HTTP/1.1", "small.example", ""),
        ("POST /upload HTTP/1.1", "unknown.example", "421"),
        ("POST /upload HTTP/1.1", "down.example", "502"),
        ("POST /upload HTTP/1.1", "", "400"),
        ("CONNECT shop.example:80 HTTP/1.1", "shop.example:80", "405"),
    ];
    let framings: [(&str, &[u8]); 5] = [
        ("Content-Length: 1000", b""),
        ("Content-Length: 1000", b"0123456789"),
        ("Content-Length: 1000\r\nExpect: 100-continue", b""),
        ("Transfer-Encoding: chunked", b"3e8\r\n0123456789"),
        ("Transfer-Encoding: chunked", b"5\r\n01234\r\n"),
    ];
    let mut clients = Vec::new();
    for (row, (line, host, status)) in early.into_iter().enumerate() {
        for (framing, sent) in framings {
            for trusted in [None, Some(&certificate)] {
                let host =
                    if host.is_empty() { String::new() } else { format!("Host: {host}\r\n") };
                let head = format!("{line}\r\n{host}{framing}\r\n\r\n");
                let mut stream = connect(&proxy, trusted);
                stream.write_all(&[head.as_bytes(), sent].concat()).unwrap();
                clients.push((stream, head, row, status));
            }
        }
    }
    let answered = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for (mut stream, head, row, status) in clients {
            let answered = &answered;
            scope.spawn(move || {
                let (answer, mut open) = read(&mut *stream);
                let first = statuses(&answer);
                let last = first.last().cloned().unwrap_or_default();
                // Errors that close the connection immediately can lose their page to a reset.
                assert!(last.starts_with(status) || !open, "{head}: {first:?}");
                if !status.is_empty() && last.starts_with(status) {
                    answered.lock().unwrap().insert(row);
                }
                for _ in 0..3 {
                    if open && stream.write_all(SMUGGLED).is_ok() {
                        let more;
                        (more, open) = read(&mut *stream);
                        let more = statuses(&more);
                        // 400: the bytes are not a valid chunk size.
                        assert!(
                            more.iter().all(|status| status.starts_with("400")),
                            "{head}: the rest of the body got {more:?}"
                        );
                    }
                }
            });
        }
    });
    let expected = (0..early.len()).filter(|row| !early[*row].2.is_empty()).collect();
    assert_eq!(
        answered.into_inner().unwrap(),
        expected,
        "every request gets a response in some framing"
    );
    let smuggled: Vec<_> =
        origin.requests().into_iter().filter(|line| line.contains("smuggled")).collect();
    assert_eq!(smuggled, Vec::<String>::new());
}

#[test]
fn a_beacon_body_in_two_packets_keeps_the_connection_usable() {
    let origin = EarlyOrigin::start();
    let (proxy, certificate, _folder) = proxy(&origin);
    let body = [b'x'; 20_000];
    let (flight, rest) = body.split_at(14_600);
    for trusted in [None, Some(&certificate)] {
        let framed =
            |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let sized = "Content-Length: 20000";
        let chunked = "Transfer-Encoding: chunked";
        for (framing, first, second) in [
            (sized, flight.to_vec(), rest.to_vec()),
            (chunked, framed(flight), [framed(rest), b"0\r\n\r\n".to_vec()].concat()),
        ] {
            let mut stream = connect(&proxy, trusted);
            let head =
                format!("POST /matomo.php HTTP/1.1\r\nHost: shop.example\r\n{framing}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &first].concat()).unwrap();
            let (answer, open) = read(&mut *stream);
            assert_eq!((statuses(&answer), open), (vec!["204".to_owned()], true), "{head}");
            stream.write_all(&second).unwrap();
            let (answer, open) = read(&mut *stream);
            assert_eq!((statuses(&answer), open), (vec![], true), "{head}");
            stream.write_all(b"GET /next HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
            let (answer, open) = read(&mut *stream);
            assert_eq!((statuses(&answer), open), (vec!["200".to_owned()], true), "{head}");
        }
    }
    wait_until("four requests reach the origin", || origin.requests().len() >= 4);
    assert_eq!(origin.requests(), ["GET /next HTTP/1.1"; 4]);
}

#[test]
fn a_client_that_never_sends_the_rest_of_its_body_is_disconnected() {
    let origin = EarlyOrigin::start();
    let toml = format!(
        "timeouts.idle = '300ms'\ntimeouts.request_head = '300ms'\n[[site]]\nupstream = 'http://{}'\n",
        origin.address
    );
    let proxy = Proxy::start_with(&toml);
    for path in ["/matomo.php", "/upload", "/.consentry/unknown"] {
        let mut client = proxy.connect();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n0123456789");
        client.send(head.as_bytes());
        let all = client.closed();
        assert!(all.starts_with(b"HTTP/1.1 "), "{path}");
    }
}
