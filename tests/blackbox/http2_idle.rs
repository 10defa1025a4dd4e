//! Idle timeout of HTTP/2 connections: only requests count as activity.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::http2_hostile::{Connection, GOAWAY, PING, WINDOW_UPDATE, frame};
use crate::support::{Origin, Proxy};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const IDLE: Duration = Duration::from_millis(600);

/// Sends a frame repeatedly until the connection ends, and returns its lifetime. Acknowledges nothing.
fn lives(mut connection: Connection, sent: &[u8]) -> Duration {
    let since = Instant::now();
    connection.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        match connection.next_or_silence() {
            None => return since.elapsed(),
            Some(_) if sent.is_empty() => {}
            Some(_) => {
                if connection.0.write_all(sent).is_err() {
                    return since.elapsed();
                }
            }
        }
        assert!(since.elapsed() < 20 * IDLE, "it does not end");
    }
}

#[test]
fn frames_without_requests_do_not_extend_the_idle_timeout() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '600ms'");
    let ping = frame(PING, 0, 0, b"01234567");
    let window = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    for sent in [&b""[..], &ping, &window, &[ping.clone(), window.clone()].concat()] {
        for used in [false, true] {
            let mut connection = Connection::open(&proxy);
            if used {
                assert!(connection.is_served_at(1, "/"));
            }
            let lived = lives(connection, sent);
            let what = format!("{} {used}: {lived:?}", sent.escape_ascii());
            assert!(lived > IDLE * 3 / 4, "{what}");
            // A quarter is for a request in flight. The rest is for slow machines.
            assert!(lived < IDLE * 2, "{what}");
        }
    }
}

#[test]
fn requests_keep_a_connection_open() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '600ms'");
    let mut connection = Connection::open(&proxy);
    let since = Instant::now();
    let mut stream = 1;
    while since.elapsed() < 3 * IDLE {
        assert!(connection.is_served_at(stream, "/"), "after {:?}", since.elapsed());
        connection.0.set_read_timeout(Some(IDLE / 4)).unwrap();
        while connection.next_or_silence().is_some_and(|frame| frame.is_some()) {}
        connection.0.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        stream += 2;
    }
}

#[test]
fn an_idle_connection_gets_goaway_before_it_is_closed() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '600ms'");
    let mut connection = Connection::open(&proxy);
    let mut goaway = false;
    while let Some((kind, ..)) = connection.next() {
        goaway |= kind == GOAWAY;
    }
    assert!(goaway);
}
