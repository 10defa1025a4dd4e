//! Idle timeout of HTTP/2 connections: only requests count as activity.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::http2_hostile::{Connection, GOAWAY, PING, WINDOW_UPDATE, frame};
use crate::support::{Origin, Proxy, TIMEOUT};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const IDLE: Duration = Duration::from_millis(600);

/// Sends a frame repeatedly until the connection ends, and returns the time `since`. Acknowledges nothing.
fn connection_lifetime(mut connection: Connection, sent: &[u8], since: Instant) -> Duration {
    connection.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        match connection.try_next() {
            None => return since.elapsed(),
            Some(_) if sent.is_empty() => {}
            Some(_) => {
                if connection.0.write_all(sent).is_err() {
                    return since.elapsed();
                }
            }
        }
        assert!(since.elapsed() < TIMEOUT, "it does not end");
    }
}

#[test]
fn frames_without_requests_do_not_extend_the_idle_timeout() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '600ms'");
    let ping = frame(PING, 0, 0, b"01234567");
    let window = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    for sent in [&b""[..], &ping, &window, &[ping.clone(), window.clone()].concat()] {
        for used in [false, true] {
            // Before the proxy starts its own clock.
            let since = Instant::now();
            let mut connection = Connection::open(&proxy);
            if used {
                assert!(connection.is_served_at(1, "/"));
            }
            let lived = connection_lifetime(connection, sent, since);
            // Frames that counted as activity would keep the connection for ever.
            assert!(lived > IDLE * 3 / 4, "{} {used}: {lived:?}", sent.escape_ascii());
        }
    }
}

#[test]
fn requests_keep_a_connection_open() {
    let origin = Origin::responding(OK);
    // Much longer than the pauses between requests, so that a slow machine does not matter.
    let idle = Duration::from_secs(2);
    let proxy = Proxy::start(&origin, "timeouts.idle = '2s'");
    let mut connection = Connection::open(&proxy);
    let since = Instant::now();
    let mut stream = 1;
    while since.elapsed() < idle * 3 / 2 {
        assert!(connection.is_served_at(stream, "/"), "after {:?}", since.elapsed());
        connection.0.set_read_timeout(Some(idle / 16)).unwrap();
        while connection.try_next().is_some_and(|frame| frame.is_some()) {}
        connection.0.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream += 2;
    }
}

#[test]
fn an_idle_connection_gets_goaway_before_it_is_closed() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '600ms'");
    let mut connection = Connection::open(&proxy);
    let mut goaway = false;
    while let Some((kind, ..)) = connection.next() {
        goaway |= kind == GOAWAY;
    }
    assert!(goaway);
}
