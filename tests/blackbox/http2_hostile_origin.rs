//! A misbehaving HTTP/2 origin affects only its own response: nothing bypasses the filter, and memory is bounded
//! (RFC 9113 sections 8.1.1, 8.2 and 10.5).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::http2_hostile::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame, next_frame,
};
use crate::support::{Proxy, request};

const ACK: u8 = 1;
const PUSH_PROMISE: u8 = 5;

/// The bytes sent for a request on this stream.
type Script = dyn Fn(u32) -> Vec<u8> + Send + Sync;

/// Reads frames. Answers the first request of all its connections with these bytes, and later ones like a correct
/// origin.
fn origin(script: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new((AtomicUsize::new(0), Box::new(script) as Box<Script>));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, shared) = (stream.unwrap(), Arc::clone(&shared));
            thread::spawn(move || {
                let _ = serve(&mut stream, &shared.0, &shared.1);
            });
        }
    });
    address
}

fn serve(stream: &mut TcpStream, count: &AtomicUsize, script: &Script) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    while let Some((kind, flags, of, _)) = next_frame(stream) {
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            HEADERS => {
                let bytes = match count.fetch_add(1, Relaxed) {
                    0 => script(of),
                    _ => response(of, &[(":status", "200"), ("content-length", "4")], "good"),
                };
                stream.write_all(&bytes)?;
                if bytes.is_empty() {
                    break;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn fields(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(fields))
}

fn response(stream: u32, head: &[(&str, &str)], body: &str) -> Vec<u8> {
    [fields(stream, head), frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

/// The first response contains no tracking cookie and is never completed falsely. Later requests are served.
fn get_from_hostile_origin(
    what: &str,
    script: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> u16 {
    let upstream = format!("h2c://{}", origin(script));
    let proxy = Proxy::start_with(&format!(
        "workers = 1\ntimeouts.first_byte = '1s'\n[[site]]\nhosts = ['*']\nupstream = '{upstream}'"
    ));
    let before = proxy.memory_kib("VmRSS:");
    let mut client = proxy.connect();
    client.send(&request("GET", "/one", &[("Connection", "close")]));
    // It may end before its first byte.
    let first = String::from_utf8_lossy(&client.closed()).into_owned();
    assert!(!first.contains("_ga"), "{what}: {first}");
    let status = first.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    let (head, body) = first.split_once("\r\n\r\n").unwrap_or_default();
    let length = head.split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap());
    let broken = match length {
        Some(length) => body.len() < length.parse().unwrap(),
        None => !body.ends_with("0\r\n\r\n"),
    };
    assert!(status >= 502 || body == "good" || body.is_empty() || broken, "{what}: {first}");
    for _ in 0..3 {
        let next = proxy.get("/next", &[]);
        assert_eq!((next.status, next.text().as_str()), (200, "good"), "{what}");
    }
    let growth = proxy.memory_kib("VmHWM:").saturating_sub(before);
    assert!(growth < 32 * 1024, "{what}: {growth} KiB more");
    status
}

#[test]
fn a_malformed_response_head_gives_502() {
    for head in [
        &[(":status", "200"), ("Set-Cookie", "_ga=1")][..],
        &[(":status", "200"), ("set-cookie", "_ga=1\r\nx: y")],
        &[(":status", "200"), ("set-cookie\r\nx", "_ga=1")],
        &[(":status", "200"), ("set-cookie ", "_ga=1")],
        &[(":status", "200"), ("x", "a\0b")],
        &[(":status", "200"), ("", "a")],
        &[(":status", "200"), (":status", "204")],
        &[(":status", "two"), ("x", "y")],
        &[(":status", ""), ("x", "y")],
        &[("x", "y"), (":status", "200")],
        &[("set-cookie", "_ga=1")],
        &[(":status", "200"), ("connection", "close")],
        &[(":status", "200"), ("transfer-encoding", "chunked")],
        &[(":status", "200"), ("content-length", "2"), ("content-length", "3")],
        &[(":status", "200"), ("content-length", "-2")],
        &[(":status", "101"), ("upgrade", "websocket")],
    ] {
        let shown = format!("{head:?}");
        let status = get_from_hostile_origin(&shown, move |stream| response(stream, head, "ok"));
        assert_eq!(status, 502, "{shown}");
    }
}

#[test]
fn a_response_body_of_the_wrong_length_is_aborted() {
    for (length, body) in [("5", "ok"), ("1", "okay"), ("0", "ok")] {
        let shown = format!("{length} bytes: {body}");
        get_from_hostile_origin(&shown, move |stream| {
            response(stream, &[(":status", "200"), ("content-length", length)], body)
        });
    }
}

#[test]
fn invalid_frames_give_502_and_a_new_connection() {
    let begun = |stream| fields(stream, &[(":status", "200")]);
    let status = |what, script: fn(u32) -> Vec<u8>| get_from_hostile_origin(what, script);
    for status in [
        status("no frames", |_| b"HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\n\r\n".repeat(9)),
        status("data before a head", |stream| frame(DATA, END_STREAM, stream, b"ok")),
        status("a head on no stream", |_| fields(0, &[(":status", "200")])),
        status("a head on an unopened stream", |_| fields(99, &[(":status", "200")])),
        status("a broken block", |stream| frame(HEADERS, END_HEADERS, stream, &[0xff; 9])),
        status("a window of none", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        status("a promise", |stream| {
            let promised = [&2_u32.to_be_bytes()[..], &block(&[(":path", "/")])].concat();
            frame(PUSH_PROMISE, END_HEADERS, stream, &promised)
        }),
        status("malformed settings", |_| frame(SETTINGS, 0, 0, &[1; 5])),
        status("a frame that is too large", |_| frame(DATA, 0, 1, &[0; 20_000])),
        status("a continuation of nothing", |stream| frame(CONTINUATION, END_HEADERS, stream, &[])),
        status("a reset", |stream| frame(RST_STREAM, 0, stream, &2_u32.to_be_bytes())),
    ] {
        assert_eq!(status, 502);
    }
    // Nothing more is sent on the stream, so its window is irrelevant, and there is no response.
    let widened = |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
    assert_eq!(
        get_from_hostile_origin("a window too large", move |stream| widened(stream).repeat(2)),
        504
    );
    // This request may be retried: the origin has not processed it.
    get_from_hostile_origin("a stream refused", |stream| {
        frame(RST_STREAM, 0, stream, &7_u32.to_be_bytes())
    });
    get_from_hostile_origin("goodbye", |_| frame(GOAWAY, 0, 0, &[0; 8]));
    get_from_hostile_origin("an end", |_| Vec::new());
    get_from_hostile_origin("a reset in the middle of a body", move |stream| {
        [begun(stream), frame(DATA, 0, stream, b"ok"), frame(RST_STREAM, 0, stream, &[0, 0, 0, 2])]
            .concat()
    });
}

#[test]
fn floods_from_an_origin_do_not_exhaust_memory_or_break_later_responses() {
    let script = |stream| response(stream, &[(":status", "200"), ("content-length", "4")], "good");
    get_from_hostile_origin("pings", move |stream| {
        [frame(PING, 0, 0, &[0; 8]).repeat(20_000), script(stream)].concat()
    });
    get_from_hostile_origin("settings", move |stream| {
        [frame(SETTINGS, 0, 0, &[]).repeat(20_000), script(stream)].concat()
    });
    get_from_hostile_origin("empty data", move |stream| {
        let head = fields(stream, &[(":status", "200"), ("content-length", "4")]);
        let end = frame(DATA, END_STREAM, stream, b"good");
        [head, frame(DATA, 0, stream, &[]).repeat(20_000), end].concat()
    });
    get_from_hostile_origin("interim answers", move |stream| {
        let early = fields(stream, &[(":status", "103"), ("set-cookie", "_ga=1")]);
        [early.repeat(5_000), script(stream)].concat()
    });
    get_from_hostile_origin("a head without end", |stream| {
        let part = block(&[("x-long", "y".repeat(16_000))]);
        let begin = frame(HEADERS, 0, stream, &block(&[(":status", "200")]));
        [begin, frame(CONTINUATION, 0, stream, &part).repeat(2_000)].concat()
    });
    get_from_hostile_origin("a field repeated by its index", |stream| {
        // Stored once in the table as a literal with indexing, then referenced by index (RFC 7541 section 6).
        let field = [&[0x40, 1, b'x', 127, 0x81, 0x1e][..], &[b'y'; 4_000]].concat();
        let bomb = [block(&[(":status", "200")]), field, vec![0xbe; 12_000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb)
    });
}
