//! Requirements of RFC 9110 and RFC 9112 for intermediaries, by section, with raw bytes on both sides.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::support::{Origin, Proxy, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends bytes on a new connection and returns the status of the reply.
fn status(proxy: &Proxy, bytes: &[u8]) -> u16 {
    let mut client = proxy.connect();
    client.send(bytes);
    client.reply("GET").status
}

#[test]
fn targets_reach_the_origin_unchanged_section_3_2() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let cases: &[(&[u8], &str)] = &[
        (b"/a\"b", "/a\"b"),
        (b"/a<b>?c=<d>", "/a<b>?c=<d>"),
        (b"/a^b`c", "/a^b`c"),
        (b"/?q=\"x\"&r=`", "/?q=\"x\"&r=`"),
        (b"/\xc3\xa9?\xe9", "/\u{e9}?\u{fffd}"),
        (b"/a//b/../c/%7e%2F?", "/a//b/../c/%7e%2F?"),
        (b"/a#fragment", "/a"),
        (b"http://a?x", "/?x"),
        (b"http://a", "/"),
    ];
    for (sent, expected) in cases {
        let bytes = [b"GET ", *sent, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(status(&proxy, &bytes), 200, "{}", sent.escape_ascii());
        assert_eq!(origin.next_request().line, format!("GET {expected} HTTP/1.1"));
    }
    for target in ["*", "http://a"] {
        let bytes = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status(&proxy, bytes.as_bytes()), 200, "{target}");
        assert_eq!(origin.next_request().line, "OPTIONS * HTTP/1.1");
    }
}

#[test]
fn too_long_targets_and_unknown_codings_have_their_own_status_sections_3_and_6() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let long = "a".repeat(70_000);
    for (bytes, expected) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/3.7\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), 200),
    ] {
        assert_eq!(status(&proxy, bytes.as_bytes()), expected, "{:.40}", bytes);
    }
    let mut client = proxy.connect();
    client.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    let refused = client.reply("CONNECT");
    assert!(
        refused.status == 405 && refused.field("allow").is_some_and(|allow| allow.contains("GET"))
    );
}

#[test]
fn field_names_and_order_are_kept_in_both_directions() {
    let origin = Origin::responding(
        "HTTP/1.1 200 Fine\r\nX-First: 1\r\nETag: \"a\"\r\nx-THIRD: 3\r\nContent-Length: 2\r\nX-First: 2\r\nDate: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\nok",
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(
        b"GET / HTTP/1.1\r\nHOST: a\r\nx-B: 1\r\nX-a: 2\r\nCookie: lang=en\r\nX-B: 3\r\n\r\n",
    );
    let reply = client.reply("GET");
    assert_eq!(
        String::from_utf8_lossy(&reply.head),
        "HTTP/1.1 200 Fine\r\nX-First: 1\r\nETag: \"a\"\r\nx-THIRD: 3\r\nContent-Length: 2\r\nX-First: 2\r\nDate: Sat, 28 Nov 2026 00:00:00 GMT"
    );
    let names: Vec<String> =
        origin.next_request().fields.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.get(..4).unwrap_or_default(), ["HOST", "x-B", "X-a", "X-B"]);
}

#[test]
fn odd_bytes_in_fields_pass_unchanged() {
    let origin = Origin::responding(
        &b"HTTP/1.1 200 OK\r\nX-Odd: a\x7fb\x01\xff\r\nContent-Length: 2\r\n\r\nok"[..],
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Odd: c\x7f\xfe\r\nCookie: PHPSESSID=a\x7f; _ga=1\r\n\r\n",
    );
    let reply = client.reply("GET");
    assert!(reply.head.windows(5).any(|bytes| bytes == b"a\x7fb\x01\xff"));
    let received = origin.next_request();
    let value = |name: &str| {
        received.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
    };
    assert_eq!(value("X-Odd"), Some(b"c\x7f\xfe".to_vec()));
    assert_eq!(value("Cookie"), Some(b"PHPSESSID=a\x7f".to_vec()));
}

#[test]
fn bodies_end_as_section_6_3_defines() {
    // With both fields the transfer coding counts, and the connection is not reused.
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    let origin = Origin::responding(both);
    let proxy = Proxy::start(&origin, "workers = 1");
    for connection in 0..2 {
        let reply = proxy.get("/", &[]);
        assert_eq!((reply.text().as_str(), reply.field("content-length")), ("abcdef", None));
        assert_eq!(origin.next_request().connection, connection);
    }
    for (head, expected) in [
        ("Content-Length: 2, 2", 200),
        ("Content-Length: 2\r\nContent-Length: 2", 200),
        ("Content-Length: 2, 3", 502),
        ("Transfer-Encoding: gzip, chunked", 502),
        ("Transfer-Encoding: chunked, chunked", 502),
    ] {
        let origin = Origin::responding(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nok"));
        let reply = Proxy::start(&origin, "").get("/", &[]);
        assert_eq!(reply.status, expected, "{head}");
        if expected == 200 {
            assert_eq!(reply.field("content-length").as_deref(), Some("2"), "{head}");
        }
    }
}

#[test]
fn a_chunked_upload_arrives_complete_after_an_http_1_0_response() {
    let origin = Origin::responding(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&origin, "workers = 1");
    proxy.get("/", &[]);
    origin.next_request();
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Transfer-Encoding", "chunked")]));
    client.send(b"3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.reply("POST").status, 200);
    assert_eq!(origin.next_request().body, b"abc");
}

#[test]
fn a_get_keeps_its_chunked_body_and_trailers_pass_unannounced_section_7_1() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[("Transfer-Encoding", "chunked")]));
    client.send(b"3\r\nabc\r\n0\r\nX-Sent: 8\r\n\r\n");
    let reply = client.reply("GET");
    let name = |(name, value): &(String, Vec<u8>)| (name.to_lowercase(), value.clone());
    let trailers: Vec<_> = reply.trailers.iter().map(name).collect();
    assert_eq!(trailers, [("x-sum".to_owned(), b"7".to_vec())]);
    let received = origin.next_request();
    let trailers: Vec<String> = received.trailers.iter().map(|line| line.to_lowercase()).collect();
    assert_eq!((received.body.as_slice(), trailers), (&b"abc"[..], vec!["x-sent: 8".to_owned()]));
}

#[test]
fn a_half_closed_client_gets_its_responses() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for requests in [1, 3] {
        let mut client = proxy.connect();
        client.send(&request("GET", "/", &[]).repeat(requests));
        client.shutdown_write();
        let answers = String::from_utf8(client.closed()).unwrap();
        assert_eq!(answers.matches("\r\n\r\nok").count(), requests, "{answers}");
        // The connection closes only after the last response.
        assert_eq!(answers.matches("connection: close").count(), 1);
        assert!(answers.find("connection: close") > answers.rfind("HTTP/1.1 200"));
    }
}

#[test]
fn an_origin_that_rejects_before_the_body_stops_the_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let origin = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        (String::from_utf8(head).unwrap(), rest)
    });
    let proxy = Proxy::start_with(&format!("[[site]]\nupstream = \"http://{address}\"\n"));
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "5"), ("Expect", "100-continue")]));
    let reply = client.head();
    assert_eq!((reply.status, reply.field("connection").as_deref()), (401, Some("close")));
    client.closed();
    let (head, rest) = origin.join().unwrap();
    assert!(head.contains("100-continue") && rest.is_empty(), "{head}{rest:?}");
}

#[test]
fn max_forwards_is_decremented_and_answered_at_zero_section_7_6_2() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let sent = |method: &str, hops: &str| {
        let mut client = proxy.connect();
        client.send(&request(method, "/", &[("Max-Forwards", hops)]));
        client.reply(method)
    };
    let last = sent("OPTIONS", "0");
    assert!(last.status == 204 && last.field("allow").is_some());
    let last = sent("TRACE", "0");
    assert!(last.status == 405 && last.field("allow").is_some());
    assert!(origin.received_nothing());
    for (method, hops, forwarded) in [("OPTIONS", "3", "2"), ("TRACE", "1", "0"), ("GET", "0", "0")]
    {
        assert_eq!(sent(method, hops).status, 200);
        assert_eq!(origin.next_request().field("max-forwards").as_deref(), Some(forwarded));
    }
}

#[test]
fn a_426_response_names_the_required_upgrade_section_15_5_22() {
    let origin = Origin::responding(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: foo/2\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    );
    let reply = Proxy::start(&origin, "").get("/", &[]);
    let upgrade = (reply.field("upgrade"), reply.field("connection").map(|it| it.to_lowercase()));
    assert_eq!(
        (reply.status, upgrade),
        (426, (Some("foo/2".to_owned()), Some("upgrade".to_owned())))
    );
}

#[test]
fn a_response_that_fails_before_its_first_byte_gives_502() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    let reply = Proxy::start(&origin, "").get("/", &[]);
    assert!(reply.status == 502 && reply.complete, "{reply:?}");
}
