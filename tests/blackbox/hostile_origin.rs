//! A misbehaving origin affects only its own response. Bytes after a response are not used as the next one, nothing
//! bypasses the filter, and waiting time and memory are bounded.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{Origin, Proxy, request};

const TRACKED: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";

/// Answers the first request with these bytes, and later ones like a correct origin.
fn first(bytes: impl Into<Vec<u8>>) -> Origin {
    let bytes = bytes.into();
    let count = AtomicUsize::new(0);
    Origin::scripted(move |received, stream| {
        let answer: &[u8] = match count.fetch_add(1, Relaxed) {
            0 => &bytes,
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
        };
        stream.write_all(answer).is_ok() && !received.line.contains("/close")
    })
}

#[test]
fn bytes_after_a_response_never_answer_the_next_request() {
    for bytes in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{TRACKED}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokx{TRACKED}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{TRACKED}"),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n{TRACKED}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{TRACKED}"
        ),
    ] {
        let origin = first(bytes.clone());
        let proxy = Proxy::start(&origin, "");
        let mut client = proxy.connect();
        client.send(&request("GET", "/one", &[]));
        let one = client.reply("GET");
        assert!(one.set_cookies().is_empty() && one.text().len() <= 2, "{bytes}: {one:?}");
        for _ in 0..3 {
            client.send(&request("GET", "/next", &[]));
            let next = client.reply("GET");
            assert_eq!((next.status, next.text().as_str()), (200, "good"), "{bytes}");
        }
    }
}

#[test]
fn ambiguous_responses_give_502() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nSet-Cookie\u{0}: _ga=1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nSet-Cookie : _ga=1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: 1\r\n Set-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nSet-Cookie: lang=1\r\n _ga=1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/3.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "\r\n\r\n\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}",
        "<html>no head at all</html>\r\n\r\n",
    ] {
        let origin = Origin::scripted(move |_, stream| {
            let _ = stream.write_all(head.as_bytes());
            false
        });
        let proxy = Proxy::start(&origin, "");
        let reply = proxy.get("/", &[]);
        assert_eq!((reply.status, reply.set_cookies()), (502, vec![]), "{}", head.escape_debug());
    }
}

#[test]
fn truncated_and_malformed_bodies_are_aborted() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nffffffffffffffffff\r\n",
    ] {
        let origin = Origin::scripted(move |_, stream| {
            let _ = stream.write_all(bytes.as_bytes());
            false
        });
        let proxy = Proxy::start(&origin, "");
        let mut client = proxy.connect();
        client.send(&request("GET", "/", &[]));
        let reply = client.reply("GET");
        assert!(!reply.complete, "{bytes:?} is complete: {reply:?}");
        client.closed();
        proxy.expect_metric("consentry_errors_total{kind=\"upstream_body\"}", 1.0);
    }
}

#[test]
fn cookies_of_interim_responses_are_always_filtered() {
    let interim = "HTTP/1.1 103 Early Hints\r\nSet-Cookie: _ga=1\r\nLink: </a>\r\n\r\n";
    let origin = first(format!("{}{TRACKED}", interim.repeat(500)));
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    let mut reply = client.head();
    while reply.status == 103 {
        assert_eq!((reply.field("link").as_deref(), reply.set_cookies()), (Some("</a>"), vec![]));
        reply = client.head();
    }
    assert_eq!((reply.status, reply.set_cookies()), (200, vec![]));
    // An endless series counts as a head that never arrives.
    let origin = Origin::scripted(move |_, stream| {
        while stream.write_all(interim.as_bytes()).is_ok() {}
        false
    });
    let proxy = Proxy::start(&origin, "timeouts.first_byte = '1s'");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    let mut status = 103;
    while status == 103 {
        status = client.head().status;
    }
    assert_eq!(status, 504);
    assert!(proxy.peak_kib() < 128 * 1024, "{} KiB", proxy.peak_kib());
}

#[test]
fn an_endless_response_head_gives_502_in_bounded_memory() {
    let flood = |line: &'static str| {
        Origin::scripted(move |_, stream: &mut TcpStream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            let line = line.repeat(1000);
            while stream.write_all(line.as_bytes()).is_ok() {}
            false
        })
    };
    for line in ["X-Line: 0123456789\r\n", "Set-Cookie: _ga=1\r\n", "xxxxxxxxxxxxxxxxxxxxxxxx"] {
        let origin = flood(line);
        let proxy = Proxy::start(&origin, "");
        assert_eq!(proxy.get("/", &[]).status, 502, "{line:?}");
        assert!(proxy.peak_kib() < 128 * 1024, "{} KiB", proxy.peak_kib());
    }
}

#[test]
fn a_slow_response_head_times_out() {
    let origin = Origin::scripted(|_, stream| {
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).is_err() {
                return false;
            }
            // The proxy sends nothing more, so this waits for the interval or for the end.
            if stream.read(&mut [0]).is_ok() {
                return false;
            }
        }
        false
    });
    let proxy = Proxy::start(&origin, "timeouts.first_byte = '1s'");
    assert_eq!(proxy.get("/", &[]).status, 504);
}

#[test]
fn a_decompression_bomb_streams_without_buffering() {
    use flate2::{Compression, write::GzEncoder};
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(b"<html><body>").unwrap();
    for _ in 0..200 {
        packed.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    let packed = packed.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let origin = Origin::responding([head.into_bytes(), packed].concat());
    let proxy = Proxy::start(&origin, "[banner]\nenabled = true\n[page]\nguard = true");
    let reply = proxy.get("/", &[("Accept", "text/html"), ("Accept-Encoding", "gzip")]);
    assert!(reply.status == 200 && reply.complete, "{}", reply.status);
    assert!(proxy.peak_kib() < 96 * 1024, "{} KiB", proxy.peak_kib());
}

#[test]
fn a_half_closed_origin_gives_502_before_its_response_and_no_error_after_it() {
    for after in [false, true] {
        let origin = Origin::scripted(move |received, stream| {
            let answers = after || received.line.contains("/next");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
            let written = !answers || stream.write_all(answer).is_ok();
            // It continues to read: only its write side is closed.
            written && stream.shutdown(Shutdown::Write).is_ok()
        });
        let proxy = Proxy::start(&origin, "");
        let mut client = proxy.connect();
        client.send(&request("POST", "/one", &[("Content-Length", "0")]));
        assert_eq!(client.reply("POST").status, if after { 200 } else { 502 });
        for _ in 0..3 {
            client.send(&request("GET", "/next", &[]));
            assert_eq!(client.reply("GET").text(), "good", "after a response: {after}");
        }
    }
}
