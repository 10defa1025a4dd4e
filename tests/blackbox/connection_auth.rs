//! Connection-based authentication (NTLM, Negotiate): an authenticated upstream connection is bound to its client
//! connection.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::http2_hostile::{
    Connection, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, block, frame, get,
};
use crate::support::{Origin, Proxy, RawClient, Reply, TIMEOUT, request};

const CHALLENGE: &str =
    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";

/// An origin that authenticates connections: two messages of a scheme, the second with the user's name. `/public`
/// needs no authentication.
fn origin(scheme: &'static str) -> Origin {
    let users: Arc<Mutex<HashMap<usize, Option<String>>>> = Arc::default();
    Origin::scripted(move |received, stream| {
        let mut users = users.lock().unwrap();
        let message = received.field("authorization").unwrap_or_default();
        let message = message.strip_prefix(scheme).unwrap_or_default().trim();
        if message == "T1" {
            users.insert(received.connection, None);
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme} T2\r\nContent-Length: 0\r\n\r\n"
            );
            return stream.write_all(answer.as_bytes()).is_ok();
        }
        if let (Some(user), Some(None)) =
            (message.strip_prefix("T3 "), users.get(&received.connection))
        {
            users.insert(received.connection, Some(user.to_owned()));
        }
        let user = match users.get(&received.connection) {
            Some(Some(user)) => user.clone(),
            _ if received.line.contains("/public") => "nobody".to_owned(),
            _ => return stream.write_all(CHALLENGE.as_bytes()).is_ok(),
        };
        let length = user.len();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{user}").is_ok()
    })
}

fn send(client: &mut RawClient, path: &str, authorization: Option<&str>) -> Reply {
    let fields: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
    client.send(&request("GET", path, &fields));
    client.reply("GET")
}

#[test]
fn a_login_belongs_to_its_client_connection_and_ends_with_it() {
    for scheme in ["NTLM", "Negotiate", "negotiate"] {
        let origin = origin(scheme);
        let proxy = Proxy::start(&origin, "workers = 1");
        // A pooled connection is used for the login, and never returns to the pool.
        assert_eq!(proxy.get("/public", &[]).text(), "nobody");
        let mut alice = proxy.connect();
        assert_eq!(send(&mut alice, "/", Some(&format!("{scheme} T1"))).status, 401);
        let logged_in = send(&mut alice, "/", Some(&format!("{scheme} T3 alice")));
        assert_eq!((logged_in.status, logged_in.text().as_str()), (200, "alice"), "{scheme}");
        let mut bob = proxy.connect();
        assert_eq!(send(&mut bob, "/", None).status, 401, "{scheme}");
        assert_eq!(send(&mut bob, "/public", None).text(), "nobody", "{scheme}");
        assert_eq!(send(&mut alice, "/", None).text(), "alice", "{scheme}");
        assert_eq!(send(&mut bob, "/", Some(&format!("{scheme} T1"))).status, 401);
        assert_eq!(send(&mut bob, "/", Some(&format!("{scheme} T3 bob"))).text(), "bob");
        assert_eq!(send(&mut alice, "/", None).text(), "alice", "{scheme}");
        drop((alice, bob));
        let closed = [origin.next_closed_connection(), origin.next_closed_connection()];
        assert_ne!(closed[0], closed[1], "{scheme}");
        assert_eq!(proxy.get("/", &[]).status, 401, "{scheme}");
    }
}

#[test]
fn a_login_survives_idle_time_and_other_requests_on_its_connection() {
    let origin = origin("NTLM");
    let proxy = Proxy::start(&origin, "workers = 1");
    let mut alice = proxy.connect();
    send(&mut alice, "/", Some("NTLM T1"));
    assert_eq!(send(&mut alice, "/", Some("NTLM T3 alice")).text(), "alice");
    // Answered by consentry, without the origin.
    assert_eq!(send(&mut alice, "/.consentry/notice", None).status, 200);
    // Longer than an idle connection keeps its buffers.
    let pause = Some(Duration::from_millis(250));
    alice.stream.set_read_timeout(pause).unwrap();
    assert!(alice.stream.peek(&mut [0]).is_err(), "no further bytes");
    alice.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    alice.send(&request("POST", "/", &[("Content-Length", "2")]));
    alice.send(b"hi");
    assert_eq!(alice.reply("POST").text(), "alice");
}

#[test]
fn a_challenge_removes_the_connection_from_the_pool() {
    let origin = origin("NTLM");
    let proxy = Proxy::start(&origin, "workers = 1");
    let mut first = proxy.connect();
    assert_eq!(send(&mut first, "/", None).status, 401);
    assert_eq!(origin.next_request().connection, 0);
    assert_eq!(proxy.get("/public", &[]).status, 200);
    assert_eq!(origin.next_request().connection, 1);
    assert_eq!(send(&mut first, "/public", None).status, 200);
    assert_eq!(origin.next_request().connection, 0);
}

#[test]
fn a_login_over_http_2_gets_http_1_1_required() {
    let origin = origin("NTLM");
    let proxy = Proxy::start(&origin, "workers = 1");
    let mut connection = Connection::open(&proxy);
    for (stream, value) in [(1, "NTLM T1"), (3, "Negotiate T1"), (5, "NTLM T3 alice")] {
        let mut fields = get("/");
        fields.push(("authorization", value.to_owned()));
        connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&fields)));
        loop {
            match connection.next().expect("the stream is reset") {
                (RST_STREAM, _, of, code) if of == stream => {
                    assert_eq!(code, 0xd_u32.to_be_bytes(), "HTTP_1_1_REQUIRED");
                    break;
                }
                (kind, ..) => assert!(!matches!(kind, HEADERS | GOAWAY), "{value}"),
            }
        }
    }
    assert!(origin.received_nothing());
    // Other requests of the connection are served, and the client receives the challenge.
    assert!(connection.is_served_at(7, "/public"));
    connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 9, &block(&get("/"))));
    connection.response_head(9);
    // The challenged connection is not shared: the next request gets another one.
    let challenged = (origin.next_request(), origin.next_request()).1.connection;
    assert_eq!(proxy.get("/public", &[]).status, 200);
    assert_ne!(origin.next_request().connection, challenged);
}

/// An origin that supports HTTP/2, and over TLS also HTTP/1.1. It responds with the number of the request's
/// connection. With `rejects` it rejects HTTP/2 requests.
fn http2_origin(tls: Option<ServerConfig>, rejects: bool) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => answer_http2(stream, number, rejects).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            match stream.get_ref().1.alpn_protocol() {
                                Some(b"h2") => answer_http2(stream, number, rejects).await,
                                _ => answer_http1(stream, number).await,
                            }
                        }
                    }
                });
            }
        });
    });
    address
}

fn numbered(number: usize, version: Version) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from(format!("{number} {version:?}"))))
}

async fn answer_http2<S>(stream: S, number: usize, rejects: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |_| async move {
        match rejects {
            true => Err(h2::Error::from(h2::Reason::HTTP_1_1_REQUIRED)),
            false => Ok(numbered(number, Version::HTTP_2)),
        }
    });
    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = http2.serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    number: usize,
) {
    let answer =
        service_fn(move |_| async move { Ok::<_, Infallible>(numbered(number, Version::HTTP_11)) });
    let http1 = hyper::server::conn::http1::Builder::new();
    let _ = http1.serve_connection(TokioIo::new(stream), answer).await;
}

/// A proxy in front of such an origin over TLS.
fn with_tls(rejects: bool) -> (Proxy, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = folder.path().join("cert.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let port = http2_origin(Some(tls), rejects).port();
    let proxy = Proxy::start_with(&format!(
        "workers = 1\n[upstream_tls]\nca_file = '{}'\n[[site]]\nupstream = 'https://localhost:{port}'\n",
        certificate.display()
    ));
    (proxy, folder)
}

#[test]
fn an_upstream_with_both_versions_gets_logins_over_http_1_1() {
    let (proxy, _folder) = with_tls(false);
    let mut alice = proxy.connect();
    assert_eq!(send(&mut alice, "/", None).text(), "0 HTTP/2.0");
    assert_eq!(send(&mut alice, "/", Some("NTLM T1")).text(), "1 HTTP/1.1");
    assert_eq!(send(&mut alice, "/", None).text(), "1 HTTP/1.1", "the connection of this client");
    assert_eq!(proxy.get("/", &[]).text(), "0 HTTP/2.0", "the shared one");
}

#[test]
fn an_upstream_that_requires_http_1_1_is_retried_over_http_1_1() {
    let (proxy, _folder) = with_tls(true);
    assert_eq!(proxy.get("/", &[]).text(), "1 HTTP/1.1", "repeated");
    assert_eq!(proxy.get("/", &[]).text(), "1 HTTP/1.1", "at once");
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "2")]));
    client.send(b"hi");
    assert_eq!(client.reply("POST").text(), "1 HTTP/1.1");
}

#[test]
fn a_login_is_never_sent_on_a_shared_http_2_connection() {
    let address = http2_origin(None, false);
    let proxy =
        Proxy::start_with(&format!("workers = 1\n[[site]]\nupstream = 'h2c://{address}'\n"));
    let mut alice = proxy.connect();
    assert_eq!(send(&mut alice, "/", None).text(), "0 HTTP/2.0");
    assert_eq!(send(&mut alice, "/", Some("NTLM T1")).text(), "1 HTTP/2.0");
    assert_eq!(send(&mut alice, "/", None).text(), "1 HTTP/2.0", "the connection of this client");
    assert_eq!(proxy.get("/", &[]).text(), "0 HTTP/2.0", "the shared one");
    let mut bob = proxy.connect();
    assert_eq!(send(&mut bob, "/", Some("Negotiate T1")).text(), "2 HTTP/2.0");
    assert_eq!(send(&mut alice, "/", Some("NTLM T3 alice")).text(), "1 HTTP/2.0");
}
