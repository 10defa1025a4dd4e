//! Hosts and request targets: only valid ones are forwarded, and none of their bytes reach a field set by
//! consentry.

use crate::support::{Origin, Proxy, Reply, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The reply to these bytes on a new connection.
fn reply(proxy: &Proxy, bytes: &[u8]) -> Reply {
    let mut client = proxy.connect();
    client.send(bytes);
    client.reply("GET")
}

#[test]
fn invalid_hosts_and_ports_are_rejected() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for host in [
        "a;Secure",
        "a,b",
        "a:b:c",
        "[::1",
        "a%zz",
        "a:99999",
        "a:65536",
        "a:0",
        "a:-1",
        "a:80x",
        ":80",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "a\\b",
        "a\"b",
        "a<b>",
        "a{b}",
        "a|b",
        "a^b",
        "a`b",
        "%",
        "a%4",
        "[zz]",
        "[::1]x",
        "[v1.a]",
        "[fe80::1%25eth0]",
        "::1",
        "m\u{fc}nchen.de",
        "",
    ] {
        let line = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let rejected = reply(&proxy, line.as_bytes());
        assert_eq!(rejected.status, 400, "{host}");
        assert_eq!(rejected.field("connection").as_deref(), Some("close"), "{host}");
    }
    for fields in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n"] {
        for target in ["/", "http://a/"] {
            let line = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(reply(&proxy, line.as_bytes()).status, 400, "{target} {fields}");
        }
    }
    assert!(origin.received_nothing());
    for host in [
        "shop.example",
        "SHOP.example:8080",
        "a:65535",
        "a.",
        "a..b",
        "my_host",
        "127.0.0.1:80",
        "[::1]:80",
        "[2001:db8::1]",
        "a%2Ab.test",
        "xn--mnchen-3ya.de",
        "a~b",
        "a:",
    ] {
        assert_eq!(proxy.get("/", &[("Host", host)]).status, 200, "{host}");
        assert_eq!(origin.next_request().field("host").as_deref(), Some(host));
    }
}

#[test]
fn request_targets_have_the_form_required_by_the_method() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for line in [
        "GET http://shop.example#x",
        "GET http://shop.example/#x",
        "GET http://shop.example#/a?b",
        "GET http://shop.example?q#x",
        "POST http://shop.example#x",
        "OPTIONS http://shop.example#x",
        "GET #x",
        "GET ?x",
        "GET *",
        "POST *",
        "GET shop.example",
        "GET shop.example:80",
        "GET http://user@shop.example/",
        "GET http://user:secret@shop.example/",
        "GET http://@shop.example/",
        "GET http://shop.example;x/",
        "GET http://shop.example:99999/",
        "GET http:///x",
        "GET http://",
        "GET ftp://shop.example/x",
    ] {
        let bytes = format!("{line} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        assert_eq!(reply(&proxy, bytes.as_bytes()).status, 400, "{line}");
        assert!(origin.received_nothing(), "{line}");
    }
    for (line, expected) in [
        ("GET http://www.example:8080/a?b", "GET /a?b"),
        ("GET http://www.example:8080", "GET /"),
        ("GET http://www.example:8080?x=1", "GET /?x=1"),
        ("GET HTTP://www.example:8080/", "GET /"),
        ("GET https://www.example:8080/a", "GET /a"),
    ] {
        let bytes = format!("{line} HTTP/1.1\r\nHost: other.example\r\n\r\n");
        assert_eq!(reply(&proxy, bytes.as_bytes()).status, 200, "{line}");
        let received = origin.next_request();
        assert_eq!(received.line, format!("{expected} HTTP/1.1"), "{line}");
        assert_eq!(received.field("host").as_deref(), Some("www.example:8080"), "{line}");
        assert_eq!(
            received.field("x-forwarded-host").as_deref(),
            Some("www.example:8080"),
            "{line}"
        );
    }
    for (path, expected) in [("/#x", "/"), ("/a?b#c", "/a?b")] {
        assert_eq!(proxy.get(path, &[]).status, 200, "{path}");
        assert_eq!(origin.next_request().line, format!("GET {expected} HTTP/1.1"));
    }
    assert_eq!(reply(&proxy, &request("OPTIONS", "*", &[])).status, 200);
    assert_eq!(origin.next_request().line, "OPTIONS * HTTP/1.1");
}

#[test]
fn url_fragments_are_detected_in_every_request_of_a_connection() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    for path in ["/", "/a?b"] {
        client.send(&request("GET", path, &[("X-Colour", "#fff")]));
        assert_eq!(client.reply("GET").status, 200);
        origin.next_request();
    }
    client.send(&request("POST", "/", &[("Content-Length", "6")]));
    client.send(b"#body\n");
    assert_eq!(client.reply("POST").status, 200);
    origin.next_request();
    // In parts.
    client.send(b"GET http://shop.example/a");
    client.send(b"#b HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.reply("GET").status, 400);
    assert!(origin.received_nothing());
}

#[test]
fn hosts_cannot_inject_attributes_into_a_deletion() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for host in
        ["victim.example;Secure", "a.b.victim.example;HttpOnly", "victim.example;Domain=example"]
    {
        let fields = [
            ("Host", host),
            ("Cookie", "_ga=1"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Accept", "text/html"),
        ];
        let rejected = proxy.get("/", &fields);
        assert_eq!((rejected.status, rejected.set_cookies()), (400, Vec::new()), "{host}");
    }
    let fields =
        [("Host", "www.shop.example:8080"), ("Cookie", "_ga=1"), ("Sec-Fetch-Mode", "navigate")];
    assert!(!proxy.get("/", &fields).set_cookies().is_empty(), "a valid host has deletions");
}

#[test]
fn configured_hosts_match_every_spelling_in_a_request() {
    let (named, other) =
        (Origin::setting_cookies(&["named=1; Path=/"]), Origin::setting_cookies(&["other=1"]));
    let site = |hosts: &str, origin: &Origin| {
        format!(
            "[[site]]\nhosts = [{hosts}]\nupstream = \"{}\"\nunclassified = 'allow'\n",
            origin.url()
        )
    };
    let sites =
        [site("'Shop.Example.', '::1', 'm\u{fc}nchen.example'", &named), site("'*'", &other)];
    let proxy = Proxy::start_with(&sites.concat());
    for host in [
        "shop.example",
        "SHOP.example",
        "shop.example.",
        "shop.example.:8080",
        "shop.example:1",
        "[::1]",
        "[0:0::1]:8080",
        "xn--mnchen-3ya.example",
    ] {
        let reply = reply(&proxy, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(reply.set_cookies(), ["named=1; Path=/"], "{host}");
    }
    let reply = reply(&proxy, b"GET / HTTP/1.1\r\nHost: xshop.example\r\n\r\n");
    assert_eq!(reply.set_cookies(), ["other=1"]);
}
