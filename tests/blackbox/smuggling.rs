//! Request smuggling: the origin sees the same requests as consentry. Ambiguous bytes are rejected, and unambiguous
//! ones are serialized again. The bytes that follow are the next request.

use crate::support::{Origin, Proxy};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends bytes. Asserts that none of them reaches the origin and that the connection is closed.
fn refused(proxy: &Proxy, origin: &Origin, bytes: &[u8]) {
    let mut client = proxy.connect();
    client.send(bytes);
    // Some are rejected only at the end of input.
    client.shutdown_write();
    let answer = client.closed();
    let status = answer.get(9..12).unwrap_or_default();
    let shown = bytes.escape_ascii();
    assert!(
        answer.is_empty()
            || status.starts_with(b"4")
            || [b"501", b"505"].contains(&status.first_chunk().unwrap()),
        "{shown}: {}",
        answer.escape_ascii()
    );
    if let Some(received) = origin.try_next_request() {
        panic!("{shown} reached the origin as {received:?}");
    }
}

#[test]
fn invalid_content_lengths_are_rejected() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for fields in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: 3;",
        "Content-Length: ",
        "Content-Length: three",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999999999",
        "Content-Length : 3",
        "Content-Length\t: 3",
        " Content-Length: 3",
        "Content-Length\r\n: 3",
        "Content_Length\u{0}: 3",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nabc");
        refused(&proxy, &origin, bytes.as_bytes());
    }
}

#[test]
fn transfer_codings_other_than_chunked_are_rejected() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunk\u{b}ed",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked, x",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
        refused(&proxy, &origin, bytes.as_bytes());
    }
    let of_1_0 = format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    refused(&proxy, &origin, of_1_0.as_bytes());
}

#[test]
fn chunked_wins_over_content_length_and_closes_the_connection() {
    // RFC 9112 section 6.3 allows this interpretation if the connection is not reused.
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let mut client = proxy.connect();
        let bytes = format!(
            "POST /one HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        client.send(bytes.as_bytes());
        let reply = client.reply("POST");
        assert_eq!((reply.status, reply.field("connection").as_deref()), (200, Some("close")));
        assert_eq!(client.closed(), b"");
        let received = origin.next_request();
        assert_eq!(
            (received.line.as_str(), received.body.as_slice()),
            ("POST /one HTTP/1.1", &b"abc"[..])
        );
        assert!(
            received.values("content-length").is_empty() && origin.received_nothing(),
            "{fields}"
        );
    }
}

#[test]
fn malformed_chunks_abort_the_request() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for chunks in [
        "g\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\rabc\r\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc",
        "ffffffffffffffffffff\r\nabc",
    ] {
        let bytes = format!(
            "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let mut client = proxy.connect();
        client.send(bytes.as_bytes());
        client.shutdown_write();
        let answer = client.closed();
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", answer.escape_ascii());
        // Its head may have been forwarded. The body is incomplete, and no second request was forwarded.
        assert!(origin.received_nothing(), "{}", chunks.escape_debug());
    }
    proxy.expect_metric("consentry_errors_total{kind=\"bad_request\"}", 10.0);
}

#[test]
fn accepted_framings_reach_the_origin_as_exactly_one_request() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let long = format!("3;x={}\r\nabc\r\n0\r\n\r\n", "y".repeat(1000));
    let cases: &[(&str, &str, &[u8])] = &[
        ("Content-Length: 3", "abc", b"abc"),
        ("Content-Length: 0003", "abc", b"abc"),
        ("Content-Length: 3\r\nContent-Length: 3", "abc", b"abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", b"abc"),
        ("Transfer-Encoding: Chunked", "3\r\nabc\r\n0\r\n\r\n", b"abc"),
        ("Transfer-Encoding: chunked", "3;ext=\"x;y\"\r\nabc\r\n0;last\r\n\r\n", b"abc"),
        ("Transfer-Encoding: chunked", &long, b"abc"),
        ("Transfer-Encoding: chunked", "003\r\nabc\r\n000\r\n\r\n", b"abc"),
        ("Transfer-Encoding: chunked", "3 \r\nabc\r\n0\r\n\r\n", b"abc"),
        (
            "Transfer-Encoding: chunked\r\nTrailer: Content-Length",
            "3\r\nabc\r\n0\r\nContent-Length: 99\r\nHost: b\r\nTransfer-Encoding: x\r\n\r\n",
            b"abc",
        ),
        ("Connection: Content-Length\r\nContent-Length: 3", "abc", b"abc"),
        (
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n",
            b"abc",
        ),
        ("X: a\u{a0}b\r\nContent-Length: 3", "abc", b"abc"),
    ];
    for (fields, body, read) in cases {
        let mut client = proxy.connect();
        let bytes = format!("POST /one HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
        client.send(bytes.as_bytes());
        assert_eq!(client.reply("POST").status, 200, "{fields}");
        client.send(b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.reply("GET").status, 200, "{fields}");
        let (one, two) = (origin.next_request(), origin.next_request());
        assert_eq!(
            (one.line.as_str(), one.body.as_slice()),
            ("POST /one HTTP/1.1", *read),
            "{fields}"
        );
        assert_eq!(one.field("host").as_deref(), Some("a"));
        assert_eq!((two.line.as_str(), two.body.len()), ("GET /two HTTP/1.1", 0), "{fields}");
        assert!(origin.received_nothing());
    }
}

#[test]
fn a_bare_line_feed_is_normalised_to_crlf_for_the_origin() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(b"GET /one HTTP/1.1\nHost: a\nX-One: 1\n\n");
    assert_eq!(client.reply("GET").status, 200);
    let received = origin.next_request();
    assert_eq!(received.line, "GET /one HTTP/1.1");
    assert_eq!(received.values("x-one"), ["1"]);
    for bytes in [
        &b"GET / HTTP/1.1\rHost: a\r\r"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
        b"GET /\rX HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n",
        b"G\xc3\xa9T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET / HTTP/01.1\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
    ] {
        refused(&proxy, &origin, bytes);
    }
}

#[test]
fn conflicting_target_and_host_are_rejected() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a, b\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n",
        b"GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(&proxy, &origin, bytes);
    }
    for (target, host, line, expected_host) in [
        ("http://b.example/x", "a", "GET /x HTTP/1.1", "b.example"),
        ("HTTP://b.example:81", "a", "GET / HTTP/1.1", "b.example:81"),
        ("https://b.example/?q", "a", "GET /?q HTTP/1.1", "b.example"),
        ("/http://c/", "a", "GET /http://c/ HTTP/1.1", "a"),
        ("//c/x", "a", "GET //c/x HTTP/1.1", "a"),
        ("/x;y=http://c?z#f", "a", "GET /x;y=http://c?z HTTP/1.1", "a"),
    ] {
        let mut client = proxy.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(client.reply("GET").status, 200, "{target}");
        let received = origin.next_request();
        assert_eq!(
            (received.line.as_str(), received.field("host").as_deref()),
            (line, Some(expected_host)),
            "{target}"
        );
    }
}

#[test]
fn the_connection_field_cannot_remove_protected_fields() {
    let origin = Origin::setting_cookies(&["_ga=1; Path=/"]);
    let proxy = Proxy::start(&origin, "consent.forward_header = 'x-consent'");
    let mut client = proxy.connect();
    client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: PHPSESSID=1; _ga=2\r\nAuthorization: Basic eA==\r\nX-Own: 1\r\n\
          Connection: Cookie, Host, Authorization, X-Forwarded-For, X-Forwarded-Proto, Forwarded, X-Consent, Sec-GPC, X-Own, Content-Length\r\n\
          Sec-GPC: 1\r\n\r\n",
    );
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.set_cookies()), (200, vec![]));
    let received = origin.next_request();
    assert_eq!(received.field("cookie").as_deref(), Some("PHPSESSID=1"));
    assert_eq!(received.field("host").as_deref(), Some("a"));
    assert_eq!(received.field("authorization").as_deref(), Some("Basic eA=="));
    assert_eq!(received.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert!(received.field("forwarded").is_some() && received.field("x-consent").is_some());
    assert!(received.field("x-own").is_none() && received.field("connection").is_none());
}

#[test]
fn an_ignored_upgrade_cannot_smuggle_a_request() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for fields in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: keep-alive\r\nUpgrade: websocket",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0",
    ] {
        let mut client = proxy.connect();
        let bytes = format!("GET /one HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        client.send(bytes.as_bytes());
        assert_eq!(client.reply("GET").status, 200, "{fields}");
        client.send(b"GET /two HTTP/1.1\r\nHost: a\r\nCookie: _ga=1\r\n\r\n");
        assert_eq!(client.reply("GET").status, 200, "{fields}");
        let (one, two) = (origin.next_request(), origin.next_request());
        assert_eq!(one.values("upgrade").len() + one.values("http2-settings").len(), 0, "{fields}");
        assert_eq!((two.line.as_str(), two.values("cookie").len()), ("GET /two HTTP/1.1", 0));
    }
}
