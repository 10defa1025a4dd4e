//! The whole service with arbitrary bytes from both sides: the first byte is the number of the client's bytes, the
//! rest is the origin's response.
//!
//! Checked properties: nothing panics, and memory stays bounded. Without consent no tracking cookie reaches either
//! side. A necessary cookie of a well-formed response passes.

#![no_main]

mod server;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use consentry::cookie::{SetCookie, pairs};
use libfuzzer_sys::fuzz_target;
use server::fields;

static SERVICE: LazyLock<SocketAddr> = LazyLock::new(|| server::start("banner.enabled = true"));

/// The previous visitor may have consented.
static CONSENTED: AtomicBool = AtomicBool::new(false);

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (request, scripted) = rest.split_at((usize::from(*first) * 4).min(rest.len()));
    let (received, reached) = server::exchange(*SERVICE, request, scripted);
    let consents = bytes.windows(9).any(|window| window == b"consentry");
    if CONSENTED.swap(consents, Relaxed) || consents {
        return;
    }
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64 + 1;
    for line in fields(&received, "set-cookie") {
        let cookie = SetCookie::parse(line);
        assert!(cookie.name != b"_ga" || cookie.scope().deletes(now), "a tracker is set: {}", received.escape_ascii());
    }
    for field in fields(&reached, "cookie") {
        assert!(pairs(field).all(|pair| pair.name != b"_ga"), "a tracker is sent: {}", reached.escape_ascii());
    }
    let whole = b"HTTP/1.1 200 OK\r\nSet-Cookie: PHPSESSID=1\r\nContent-Length: 0\r\n\r\n";
    if scripted == whole && received.starts_with(b"HTTP/1.1 200") && !reached.is_empty() {
        assert!(fields(&received, "set-cookie").contains(&&b"PHPSESSID=1"[..]), "necessary passes: {}", received.escape_ascii());
    }
});
