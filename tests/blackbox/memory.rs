//! Memory held by slow clients, and its release.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::http2_hostile::{
    Connection, END_HEADERS, END_STREAM, HEADERS, SETTINGS, WINDOW_UPDATE, block, frame, get,
};
use crate::support::{Origin, Proxy, request, wait_until};

const READERS: u64 = 64;
/// A response larger than all kernel buffers.
const LENGTH: usize = 64 << 20;

/// Opens clients that request a large response and read nothing. Returns the maximum KiB held per client.
fn memory_per_client<C>(open: impl Fn(&Proxy) -> C) -> u64 {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let origin = Origin::scripted(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        let part = [b'x'; 16 * 1024];
        let mut written = stream.write_all(head.as_bytes());
        while written.is_ok() {
            counted.fetch_add(1, Relaxed);
            written = stream.write_all(&part);
        }
        false
    });
    let proxy = Proxy::start(&origin, "workers = 1");
    let memory = || proxy.memory_kib("RssAnon:");
    let before = memory();
    let readers: Vec<C> = (0..READERS).map(|_| open(&proxy)).collect();
    let mut moved = (0, Instant::now());
    wait_until("the responses stop", || {
        let now = sent.load(Relaxed);
        if moved.0 != now {
            moved = (now, Instant::now());
        }
        now >= READERS && moved.1.elapsed() > Duration::from_millis(500)
    });
    let held = memory().saturating_sub(before) / READERS;
    drop(readers);
    wait_until("the memory is given back", || memory() < before + 4 * 1024);
    held
}

#[test]
fn a_slow_http_1_reader_buffers_at_most_64_kib() {
    let held = memory_per_client(|proxy| {
        let mut client = proxy.connect();
        client.send(&request("GET", "/", &[]));
        client
    });
    assert!(held <= 64, "{held} KiB");
}

#[test]
fn a_slow_http_2_reader_with_an_open_window_buffers_at_most_128_kib() {
    let held = memory_per_client(|proxy| {
        let mut connection = Connection::open(proxy);
        let window = 1_u32 << 30;
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        connection.send(&frame(SETTINGS, 0, 0, &settings));
        connection.send(&frame(WINDOW_UPDATE, 0, 0, &window.to_be_bytes()));
        connection.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&get("/"))));
        connection
    });
    assert!(held <= 128, "{held} KiB");
}
