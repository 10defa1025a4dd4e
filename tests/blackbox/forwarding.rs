//! Forwarding by RFC 9110: fields added, removed and kept, streaming, retries, cancellation.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::support::{Origin, Proxy, TIMEOUT, consent_cookie, refusing_address, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn requests_reach_the_origin_unchanged_except_for_the_added_hop() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    let from = client.stream.local_addr().unwrap().ip();
    client.send(&request(
        "GET",
        "/a%20b?c=d&e",
        &[
            ("Host", "shop.example:8443"),
            ("X-Custom", "one"),
            ("x-custom", "two"),
            ("User-Agent", "t"),
        ],
    ));
    assert_eq!(client.reply("GET").text(), "ok");
    let received = origin.next_request();
    assert_eq!(received.line, "GET /a%20b?c=d&e HTTP/1.1");
    assert_eq!(received.field("host").as_deref(), Some("shop.example:8443"));
    assert_eq!(received.values("x-custom"), ["one", "two"]);
    assert_eq!(received.field("via").as_deref(), Some("1.1 consentry"));
    assert_eq!(received.field("x-forwarded-for"), Some(from.to_string()));
    assert_eq!(received.field("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(received.field("x-forwarded-host").as_deref(), Some("shop.example:8443"));
    assert_eq!(
        received.field("forwarded"),
        Some(format!("for={from};host=\"shop.example:8443\";proto=http"))
    );
}

#[test]
fn earlier_hops_are_accepted_only_from_trusted_proxies() {
    let origin = Origin::responding(OK);
    let fields = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=203.0.113.9"),
    ];
    Proxy::start(&origin, "").get("/", &fields);
    let received = origin.next_request();
    assert_eq!(received.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(received.field("x-forwarded-proto").as_deref(), Some("http"));
    Proxy::start(&origin, "listen.trusted_proxies = ['127.0.0.0/8']").get("/", &fields);
    let received = origin.next_request();
    assert_eq!(received.field("x-forwarded-for").as_deref(), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(received.field("x-forwarded-proto").as_deref(), Some("https"));
    assert!(received.field("forwarded").unwrap().starts_with("for=203.0.113.9, for=127.0.0.1;"));
}

#[test]
fn hop_by_hop_fields_are_removed_in_both_directions() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Connection: x\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get(
        "/",
        &[
            ("Connection", "X-Mine, Cookie, Host, Content-Length"),
            ("X-Mine", "1"),
            ("Keep-Alive", "1"),
            ("Proxy-Authorization", "x"),
            ("TE", "gzip"),
            ("Cookie", "PHPSESSID=1"),
            ("Authorization", "b"),
        ],
    );
    let received = origin.next_request();
    for name in ["x-mine", "keep-alive", "proxy-authorization", "te", "connection"] {
        assert_eq!(received.field(name), None, "{name}");
    }
    assert_eq!(
        received.field("cookie").as_deref(),
        Some("PHPSESSID=1"),
        "Connection cannot name it away"
    );
    assert_eq!(received.field("authorization").as_deref(), Some("b"));
    for name in ["x-hop", "keep-alive", "proxy-connection"] {
        assert_eq!(reply.field(name), None, "{name}");
    }
    assert_eq!(reply.field("x-end").as_deref(), Some("1"));
}

#[test]
fn responses_without_a_body_keep_their_content_length() {
    let origin = Origin::scripted(|received, stream| {
        let answer: &[u8] = match received.line.split(' ').nth(1) {
            Some("/head") => b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nSet-Cookie: _ga=1\r\n\r\n",
            Some("/204") => b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n",
            Some("/304") => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n",
            _ => b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\ncde",
        };
        stream.write_all(answer).is_ok()
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("HEAD", "/head", &[]));
    let head = client.reply("HEAD");
    assert_eq!(head.field("content-length").as_deref(), Some("12345"));
    assert!(head.set_cookies().is_empty());
    client.send(&request("GET", "/204", &[]));
    assert_eq!(client.reply("GET").status, 204);
    client.send(&request("GET", "/304", &[]));
    let not_modified = client.reply("GET");
    assert_eq!((not_modified.status, not_modified.field("etag").as_deref()), (304, Some("\"a\"")));
    client.send(&request("GET", "/range", &[("Range", "bytes=2-4")]));
    let partial = client.reply("GET");
    assert_eq!((partial.status, partial.text().as_str()), (206, "cde"));
    assert_eq!(partial.field("content-range").as_deref(), Some("bytes 2-4/10"));
    for _ in 0..3 {
        origin.next_request();
    }
    assert_eq!(origin.next_request().field("range").as_deref(), Some("bytes=2-4"));
    assert!(
        (0..4).all(|_| proxy.next_access_log_entry()["complete"].is_null()),
        "all four were delivered whole"
    );
}

#[test]
fn bodies_stream_in_both_directions() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .unwrap();
        wait.lock()
            .unwrap()
            .recv_timeout(TIMEOUT)
            .expect("the client has received the first chunk");
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").is_ok()
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.bytes(10), b"5\r\nfirst\r\n");
    go_on.send(()).unwrap();
    assert_eq!(client.bytes(11), b"6\r\nsecond\r\n");
}

#[test]
fn a_response_head_is_forwarded_before_its_body() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).unwrap();
        wait.lock().unwrap().recv_timeout(TIMEOUT).expect("the client has received the head");
        stream.write_all(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n").is_ok()
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(&request("GET", "/", &[]));
        assert_eq!(client.head().status, 200);
        go_on.send(()).unwrap();
        assert_eq!(client.bytes(19), b"9\r\ndata: 1\n\n\r\n0\r\n\r\n");
    }
}

#[test]
fn request_bodies_arrive_complete_with_a_length_or_chunked() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    let body = vec![b'x'; 300_000];
    client.send(&request("POST", "/", &[("Content-Length", "300000")]));
    client.send(&body);
    assert_eq!(client.reply("POST").status, 200);
    assert_eq!(origin.next_request().body, body);
    client.send(&request("PUT", "/", &[("Transfer-Encoding", "chunked")]));
    client.send(b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(client.reply("PUT").status, 200);
    let received = origin.next_request();
    assert_eq!(received.body, b"abcdefg");
    assert_eq!(received.values("transfer-encoding"), ["chunked"]);
    assert!(received.values("content-length").is_empty());
}

#[test]
fn a_client_expecting_100_continue_gets_it_when_the_body_is_read() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "3"), ("Expect", "100-continue")]));
    assert_eq!(client.head().status, 100);
    client.send(b"abc");
    assert_eq!(client.reply("POST").status, 200);
    let received = origin.next_request();
    assert_eq!(
        (received.body.as_slice(), received.field("expect")),
        (&b"abc"[..], Some("100-continue".to_owned()))
    );
}

#[test]
fn early_hints_pass_with_permitted_cookies_only() {
    let origin = Origin::responding(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: _ga=1\r\n\
         set-cookie: PHPSESSID=1; HttpOnly\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    // One connection: the consent of one request does not affect the next.
    for (allowed, cookies) in [
        ("", &["PHPSESSID=1; HttpOnly"][..]),
        ("analytics", &["_ga=1", "PHPSESSID=1; HttpOnly"]),
        ("targeting", &["PHPSESSID=1; HttpOnly"]),
    ] {
        client.send(&request("GET", "/", &[("cookie", &consent_cookie(allowed))]));
        let hints = client.head();
        assert_eq!(hints.status, 103);
        assert_eq!(hints.set_cookies(), cookies, "{allowed}");
        assert_eq!(hints.field("link").as_deref(), Some("</a.css>; rel=preload"));
        let reply = client.reply("GET");
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
        assert!(reply.set_cookies().is_empty());
    }
    // HTTP/1.0 clients do not support trailers.
    client = proxy.connect();
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    assert!(client.closed().starts_with(b"HTTP/1.0 200 "));
}

#[test]
fn trailers_pass_and_need_the_same_consent_as_header_fields() {
    // `Set-Cookie` is never forwarded as an HTTP/1.1 trailer. The HTTP/2 test covers trailers.
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum, Observe-Browsing-Topics\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 7\r\nObserve-Browsing-Topics: ?1\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let consent = crate::support::full_consent();
    for (cookie, expected) in
        [("a=1", &["x-sum"][..]), (&consent, &["x-sum", "observe-browsing-topics"])]
    {
        let fields = [("TE", "trailers"), ("Connection", "TE"), ("Cookie", cookie)];
        let reply = proxy.get("/", &fields);
        assert_eq!(reply.text(), "ok");
        assert_eq!(origin.next_request().field("te").as_deref(), Some("trailers"));
        let names: Vec<_> = reply.trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn upstream_connections_are_reused() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "workers = 1");
    for _ in 0..3 {
        proxy.get("/", &[]);
        assert_eq!(origin.next_request().connection, 0);
    }
    proxy.expect_metric("consentry_upstream_connections_total", 1.0);
}

/// An origin that closes each connection on its second request.
fn origin_closing_on_second_request() -> Origin {
    let requests = Arc::new(Mutex::new(std::collections::HashMap::<usize, usize>::new()));
    Origin::scripted(move |received, stream| {
        let mut requests = requests.lock().unwrap();
        let count = requests.entry(received.connection).or_default();
        *count += 1;
        *count == 1 && stream.write_all(OK.as_bytes()).is_ok()
    })
}

#[test]
fn an_idempotent_request_on_a_dead_pooled_connection_is_retried_once() {
    let origin = origin_closing_on_second_request();
    let proxy = Proxy::start(&origin, "workers = 1");
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(proxy.get("/", &[]).status, 200, "sent again on a new connection");
    proxy.expect_metric("consentry_upstream_retries_total", 1.0);
}

#[test]
fn a_post_that_the_upstream_may_have_processed_is_not_retried() {
    let origin = origin_closing_on_second_request();
    let proxy = Proxy::start(&origin, "workers = 1");
    // A request without a body never gets its 100, and its head has been sent nevertheless.
    for fields in [&[("Content-Length", "0")][..], &[("Expect", "100-continue")]] {
        assert_eq!(proxy.get("/", &[]).status, 200);
        while origin.next_request().line != "GET / HTTP/1.1" {}
        let mut client = proxy.connect();
        client.send(&request("POST", "/order", fields));
        assert_eq!(client.reply("POST").status, 502, "{fields:?}");
        assert_eq!(origin.next_request().line, "POST /order HTTP/1.1");
        assert!(origin.received_nothing(), "{fields:?}");
    }
}

#[test]
fn a_connection_closed_by_the_upstream_while_idle_fails_no_get_and_repeats_no_post() {
    let origin = Origin::scripted(|_, stream| {
        // Announces a persistent connection, and closes it.
        let _ = stream.write_all(OK.as_bytes());
        false
    });
    let proxy = Proxy::start(&origin, "workers = 1");
    let mut confirmed = 0;
    for _ in 0..5 {
        assert_eq!(proxy.get("/", &[]).status, 200);
        let mut client = proxy.connect();
        client.send(&request("POST", "/", &[("Content-Length", "1")]));
        client.send(b"x");
        // Either the close was noticed in time, or the request was not retried: a POST must not be.
        let status = client.reply("POST").status;
        assert!(matches!(status, 200 | 502), "{status}");
        confirmed += usize::from(status == 200);
    }
    let received = std::iter::from_fn(|| origin.try_next_request());
    let posts = received.filter(|received| received.line.starts_with("POST")).count();
    assert!((confirmed..=5).contains(&posts), "{confirmed} of {posts} were confirmed");
}

#[test]
fn a_client_disconnect_cancels_the_upstream_request() {
    let origin = Origin::scripted(|_, stream| {
        // Never responds. Notices when the client disconnects.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        false
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/slow", &[]));
    origin.next_request();
    drop(client);
    origin.next_closed_connection();
    assert_eq!(proxy.next_access_log_entry()["status"], 499);
}

#[test]
fn a_client_disconnect_during_a_body_aborts_the_upstream_request() {
    let origin = Origin::scripted(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
        while stream.write_all(&chunk).is_ok() {}
        false
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/endless", &[]));
    assert_eq!(client.bytes(100_000).len(), 100_000);
    drop(client);
    origin.next_closed_connection();
    assert_eq!(proxy.next_access_log_entry()["complete"], false);
}

#[test]
fn a_slow_reader_causes_back_pressure_instead_of_buffering() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let (full_by, full) = mpsc::channel();
    let total = 256 * 1024 * 1024;
    let origin = Origin::scripted(move |_, stream| {
        stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n");
        let piece = [b'x'; 64 * 1024];
        while let Ok(bytes) = stream.write(&piece) {
            count.fetch_add(bytes, Ordering::Relaxed);
        }
        let _ = full_by.send(());
        false
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    client.head();
    full.recv_timeout(TIMEOUT).expect("the origin is held back");
    // Socket buffers store some of it. The proxy itself stores next to nothing.
    assert!(
        written.load(Ordering::Relaxed) < 32 * 1024 * 1024,
        "{}",
        written.load(Ordering::Relaxed)
    );
}

#[test]
fn requests_rotate_over_upstreams_and_skip_one_that_is_down() {
    let (one, two) = (Origin::responding(OK), Origin::responding(OK));
    let gone = refusing_address();
    let proxy = Proxy::start_with(&format!(
        "workers = 1\n[[site]]\nupstream = ['{}', 'http://{gone}', '{}']",
        one.url(),
        two.url()
    ));
    for _ in 0..6 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    one.next_request();
    two.next_request();
}

#[test]
fn the_proxy_protocol_supplies_the_client_address() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, "listen.proxy_protocol = true");
    let mut client = proxy.connect();
    client.send(b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n");
    client.send(&request("GET", "/", &[]));
    assert_eq!(client.reply("GET").status, 200);
    assert_eq!(origin.next_request().field("x-forwarded-for").as_deref(), Some("203.0.113.7"));
    // The same connection can be used for further requests.
    client.send(&request("GET", "/again", &[]));
    assert_eq!(client.reply("GET").status, 200);
    origin.next_request();
    let mut plain = proxy.connect();
    plain.send(&request("GET", "/", &[]));
    assert_eq!(plain.closed(), b"", "a client without the PROXY protocol is not served");
    assert!(origin.received_nothing());
    proxy.expect_metric("consentry_errors_total{kind=\"connection\"}", 1.0);
    // Addresses from untrusted peers are ignored.
    let strict = Proxy::start(
        &origin,
        "listen = { proxy_protocol = true, trusted_proxies = ['192.0.2.0/24'] }",
    );
    let mut stranger = strict.connect();
    stranger.send(b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n");
    assert_eq!(stranger.closed(), b"");
}

#[test]
fn connections_closed_by_the_origin_do_not_stay_in_the_pool() {
    let origin = Origin::scripted(|_, stream| {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        let _ = stream.write_all(answer);
        false
    });
    // Closed connections would use up the only slot of the pool.
    let proxy = Proxy::start(&origin, "workers = 1\nlimits.idle_upstream_connections = 1");
    for _ in 0..300 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    assert_eq!(proxy.metric("consentry_upstream_connections_total"), 300.0);
    assert_eq!(proxy.metric("consentry_upstream_retries_total"), 0.0);
}

#[test]
fn targets_of_any_form_lose_url_identifiers_and_keep_their_other_bytes() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin, "");
    for (target, expected) in [
        (&b"http://shop.example?fbclid=1&a=2"[..], "GET /?a=2 HTTP/1.1"),
        (b"http://shop.example?fbclid=1", "GET / HTTP/1.1"),
        (b"/a?x=\xc3\xa9&fbclid=1&y=\"{}#f", "GET /a?x=\u{e9}&y=\"{} HTTP/1.1"),
    ] {
        let mut client = proxy.connect();
        client.send(&[b"GET ", target, b" HTTP/1.1\r\nHost: shop.example\r\n\r\n"].concat());
        assert_eq!(client.reply("GET").status, 200);
        assert_eq!(origin.next_request().line, expected);
    }
}
