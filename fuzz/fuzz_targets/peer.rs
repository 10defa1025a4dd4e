//! Client address and scheme from arbitrary bytes. The first byte is the length of the start of the connection,
//! which must be a PROXY protocol header. The remaining lines are the values of `X-Forwarded-For`, `Forwarded`,
//! `X-Forwarded-Proto` and `X-Forwarded-Host`.
//!
//! Checked properties: nothing panics, and nothing passes without a header. The origin receives exactly one client
//! address, that of the header, whatever the fields contain.

#![no_main]

mod server;

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libfuzzer_sys::fuzz_target;
use server::fields;

static SERVICE: LazyLock<SocketAddr> = LazyLock::new(|| {
    server::start(
        "listen.proxy_protocol = true\nlisten.trusted_proxies = ['127.0.0.1', '192.0.2.0/24', '2001:db8::/32']\n\
         limits.requests_per_second = 1000000",
    )
});

static NUMBER: AtomicUsize = AtomicUsize::new(0);

const NAMES: [&str; 4] = ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"];
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (header, lines) = rest.split_at(usize::from(*first).min(rest.len()));
    let line = format!("GET /{} HTTP/1.1\r\n", NUMBER.fetch_add(1, Relaxed));
    let mut sent = [header, line.as_bytes(), b"Host: shop.example\r\nConnection: close\r\n"].concat();
    for (name, value) in NAMES.into_iter().zip(lines.split(|byte| *byte == b'\n')) {
        sent.extend_from_slice(name.as_bytes());
        sent.extend_from_slice(b": ");
        sent.extend(value.iter().filter(|byte| !matches!(byte, b'\r' | b'\0')));
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"\r\n");
    let (_, reached) = server::exchange(*SERVICE, &sent, ANSWER);
    if !reached.starts_with(line.as_bytes()) {
        return;
    }
    let forwarded = reached.escape_ascii();
    assert!(header.starts_with(b"PROXY ") || header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"), "without a header: {forwarded}");
    for name in NAMES {
        assert_eq!(fields(&reached, name).len(), 1, "{name}: {forwarded}");
    }
    let last = |name| {
        let value = fields(&reached, name)[0];
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        String::from_utf8_lossy(last).trim().to_owned()
    };
    let client: IpAddr = last("X-Forwarded-For").parse().unwrap_or_else(|_| panic!("no address: {forwarded}"));
    let quoted = if client.is_ipv6() { format!("\"[{client}]\"") } else { client.to_string() };
    assert!(last("Forwarded").starts_with(&format!("for={quoted};")), "{forwarded}");
    // For version 1 this independent parser knows the address.
    let line = header.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
    if let ["PROXY", "TCP4" | "TCP6", source, ..] = *line.split(' ').collect::<Vec<_>>()
        && let Ok(source) = source.parse::<IpAddr>()
    {
        assert_eq!(client, source.to_canonical(), "{forwarded}");
    }
});
