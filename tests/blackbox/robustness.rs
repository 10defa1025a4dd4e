//! Malformed requests are rejected and never forwarded. Upstream failures are reported as such.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use crate::support::{Origin, Proxy, refusing_address, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn malformed_requests_are_rejected_and_the_connection_closed() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let cases: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n X-Folded: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    for bytes in cases {
        let mut client = proxy.connect();
        client.send(bytes);
        let reply = client.reply("GET");
        assert_eq!(reply.status, 400, "{}", bytes.escape_ascii());
        client.closed();
    }
    assert!(origin.received_nothing());
    proxy.expect_metric("consentry_errors_total{kind=\"bad_request\"}", cases.len() as f64);
}

#[test]
fn heads_over_the_limits_get_431() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let long = "x".repeat(70_000);
    let names: Vec<String> = (0..140).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for fields in [&[("X-Long", long.as_str())][..], &many] {
        let mut client = proxy.connect();
        client.send(&request("GET", "/", fields));
        assert_eq!(client.reply("GET").status, 431);
    }
    assert!(origin.received_nothing());
    let cookie = format!("PHPSESSID={}", "x".repeat(30_000));
    assert_eq!(proxy.get("/", &[("Cookie", &cookie)]).status, 200, "large consent strings pass");
    let strict = Proxy::start(&origin, "limits.header_fields = 8");
    assert_eq!(strict.get("/", &many[..9]).status, 431);
}

#[test]
fn connect_is_rejected_and_an_absolute_target_sets_the_host() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(client.reply("CONNECT").status, 405);
    let mut client = proxy.connect();
    client.send(b"GET http://real.example/x?y HTTP/1.1\r\nHost: fake.example\r\n\r\n");
    assert_eq!(client.reply("GET").status, 200);
    let received = origin.next_request();
    assert_eq!(received.line, "GET /x?y HTTP/1.1");
    assert_eq!(received.field("host").as_deref(), Some("real.example"));
}

#[test]
fn http_1_0_requests_are_served_and_the_connection_closed() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8(client.closed()).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let received = origin.next_request();
    assert_eq!(
        (received.line.as_str(), received.field("host")),
        ("GET / HTTP/1.1", Some(origin.address.to_string()))
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::scripted(|received, stream| {
        let path = received.line.split(' ').nth(1).unwrap().to_owned();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()).is_ok()
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(
        &[request("GET", "/1", &[]), request("GET", "/2", &[]), request("GET", "/3", &[])].concat(),
    );
    for expected in ["/1", "/2", "/3"] {
        assert_eq!(client.reply("GET").text(), expected);
    }
}

#[test]
fn pipelined_requests_before_a_malformed_one_are_answered_and_later_ones_are_not() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    let malformed = b"GET /2 HTTP/1.1\r\nHost: a\r\nbad name: 1\r\n\r\n".to_vec();
    client.send(&[request("GET", "/1", &[]), malformed, request("GET", "/3", &[])].concat());
    assert_eq!(client.reply("GET").status, 200);
    assert_eq!(client.reply("GET").status, 400);
    client.closed();
    assert_eq!(origin.next_request().line, "GET /1 HTTP/1.1");
    assert!(origin.received_nothing());
}

#[test]
fn an_unread_body_is_never_parsed_as_the_next_request() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let toml = "limits.body_bytes = 10\n[[beacon]]\npath = '/track'\ncategory = 'targeting'";
    let proxy = Proxy::start(&origin, toml);
    let inner = request("GET", "/smuggled", &[]);
    let length = inner.len().to_string();
    // A blocked beacon, a body that is too large, a path of consentry's own, and an invalid host.
    let by_length = [("Content-Length", length.as_str())];
    let heads = [
        request("POST", "/track", &by_length),
        request("POST", "/upload", &by_length),
        request("POST", "/.consentry/nothing", &by_length),
        format!("POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: {length}\r\n\r\n").into_bytes(),
    ];
    for head in heads {
        let shown = head.escape_ascii().to_string();
        let mut client = proxy.connect();
        client.send(
            &[head, inner.clone(), request("GET", "/next", &[("Connection", "close")])].concat(),
        );
        let first = client.reply("POST").status;
        assert!(matches!(first, 200 | 204 | 400 | 404 | 413), "{first}: {shown}");
        let rest = client.closed();
        let answers = rest.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
        assert!(answers <= 1, "at most one response to the next request: {shown}");
        while let Some(received) = origin.try_next_request() {
            assert_eq!(received.line, "GET /next HTTP/1.1", "{shown}");
        }
    }
}

#[test]
fn an_upstream_refusing_connections_gives_502_in_the_accepted_format() {
    let gone = refusing_address();
    let proxy = Proxy::start_with(&format!("[[site]]\nupstream = 'http://{gone}'"));
    let plain = proxy.get("/", &[]);
    assert_eq!(plain.status, 502);
    assert_eq!(plain.field("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    let id = proxy.next_access_log_entry()["request_id"].as_str().unwrap().to_owned();
    assert!(plain.text().contains(&id), "{}", plain.text());
    let json = proxy.get("/", &[("Accept", "application/json")]);
    let page: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!((page["status"].as_u64(), page["error"].as_str()), (Some(502), Some("Bad Gateway")));
    assert_eq!(page["request_id"], proxy.next_access_log_entry()["request_id"]);
    for reply in [plain, json] {
        assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
        assert!(!reply.text().contains(&gone.port().to_string()), "no internal details");
    }
    proxy.expect_metric("consentry_errors_total{kind=\"upstream_connect\"}", 2.0);
}

#[test]
fn garbage_from_the_upstream_gives_502() {
    let answers: &[&[u8]] = &[
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\x00\r\n\r\n",
        b"HTTP/1.1 20",
    ];
    for answer in answers {
        let sent = answer.to_vec();
        let origin = Origin::scripted(move |_, stream| {
            let _ = stream.write_all(&sent);
            false
        });
        assert_eq!(
            Proxy::start(&origin, "").get("/", &[]).status,
            502,
            "{}",
            answer.escape_ascii()
        );
    }
}

#[test]
fn a_body_aborted_by_the_upstream_is_aborted_for_the_client() {
    let origin = Origin::scripted(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        false
    });
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/", &[]);
    assert_eq!((reply.text().as_str(), reply.complete), ("half", false));
    assert_eq!(proxy.next_access_log_entry()["complete"], false);
    proxy.expect_metric("consentry_errors_total{kind=\"upstream_body\"}", 1.0);
}

#[test]
fn a_response_before_the_end_of_the_request_is_forwarded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let origin = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let count = stream.read(&mut head).unwrap();
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
        stream.write_all(answer.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        [&head[..count], &rest].concat().ends_with(b"abc")
    });
    let proxy = Proxy::start_with(&format!("[[site]]\nupstream = 'http://{address}'\n"));
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "1000")]));
    client.send(b"abc");
    let reply = client.reply("POST");
    assert_eq!((reply.status, reply.text().as_str()), (413, "big"));
    drop(client);
    assert!(origin.join().unwrap(), "the upload ends when the client disconnects");
}

#[test]
fn an_upstream_refusing_connections_is_ejected_while_others_are_available() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let dead = refusing_address();
    let began = Instant::now();
    let proxy =
        Proxy::start_with(&format!("[[site]]\nupstream = ['http://{dead}', '{}']\n", origin.url()));
    for _ in 0..20 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    proxy.expect_log("ejected");
    // At once, and again after 1 s, 2 s, 4 s: only a slow machine gets there.
    let most = 1 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(proxy.log().matches("ejected").count() <= most, "{}", proxy.log());
    // The only upstream is tried nevertheless.
    let only = Proxy::start_with(&format!("[[site]]\nupstream = 'http://{dead}'\n"));
    for _ in 0..3 {
        assert_eq!(only.get("/", &[]).status, 502);
    }
}
