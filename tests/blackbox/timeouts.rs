//! Timeouts: every wait is bounded. The timeouts are short, and no test sleeps.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{Origin, Proxy, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn an_incomplete_request_head_closes_the_connection() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.request_head = '100ms'");
    let mut client = proxy.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    client.closed();
    assert!(origin.received_nothing());
}

#[test]
fn an_incomplete_http_2_preface_times_out_like_a_request_head() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.request_head = '100ms'");
    for bytes in [&b"PRI * HT"[..], b"P", b"PRINT / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut client = proxy.connect();
        client.send(bytes);
        client.closed();
    }
    assert!(origin.received_nothing());
}

#[test]
fn an_idle_connection_is_closed() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '100ms'");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    assert_eq!(client.reply("GET").status, 200);
    assert_eq!(client.closed(), b"");
    assert_eq!(proxy.connect().closed(), b"", "also a silent one");
}

#[test]
fn an_upstream_without_a_response_gives_504() {
    let origin = Origin::scripted(|_, stream| {
        let _ = stream.read(&mut [0; 1]);
        false
    });
    let proxy = Proxy::start(&origin, "timeouts.first_byte = '100ms'");
    assert_eq!(proxy.get("/", &[]).status, 504);
    origin.next_closed_connection();
    proxy.expect_metric("consentry_errors_total{kind=\"upstream_timeout\"}", 1.0);
}

#[test]
fn a_slow_upload_does_not_count_against_the_first_byte_timeout() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.first_byte = '1s'\ntimeouts.idle = '10s'");
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "6")]));
    // Six bytes, 200 ms apart by the client's own read timeout: longer than first_byte in total.
    client.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    for _ in 0..6 {
        assert!(client.stream.peek(&mut [0]).is_err(), "no response yet");
        client.send(b"x");
    }
    client.stream.set_read_timeout(Some(crate::support::TIMEOUT)).unwrap();
    assert_eq!(client.reply("POST").status, 200);
}

#[test]
fn a_stalled_upload_gets_408() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.first_byte = '100ms'\ntimeouts.idle = '200ms'");
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "6")]));
    client.send(b"x");
    let reply = client.reply("POST");
    assert_eq!(reply.status, 408);
    assert_eq!(reply.field("connection").as_deref(), Some("close"));
}

#[test]
fn an_upstream_connect_timeout_gives_504() {
    // A full accept queue of one: further connection attempts get no reply.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok())
        .collect();
    assert!(waiting.len() < 4, "the queue is full");
    let proxy = Proxy::start_with(&format!(
        "timeouts.connect = '100ms'\n[[site]]\nupstream = 'http://{address}'"
    ));
    assert_eq!(proxy.get("/", &[]).status, 504);
}

#[test]
fn a_client_that_stops_reading_is_disconnected() {
    let origin = Origin::scripted(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
        false
    });
    let proxy = Proxy::start(&origin, "timeouts.idle = '200ms'");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    origin.next_closed_connection();
}
