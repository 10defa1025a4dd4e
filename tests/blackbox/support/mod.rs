//! Test fixtures: a scripted origin, a running proxy, and a client on a raw socket.

mod envoy;
mod origin;
mod proxy;
mod raw_client;

#[allow(unused_imports)]
pub use envoy::{EXAMPLE, Envoy};
pub use origin::Origin;
#[allow(unused_imports)]
pub use proxy::{Proxy, binary, request, run};
#[allow(unused_imports)]
pub use raw_client::{RawClient, Reply};

use std::time::{Duration, Instant};

/// Whether these tests run with Envoy in place of the proxy.
pub const ENVOY: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"envoy");

/// Time limit for an expected event. Only a failing test waits that long.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Polls a condition until it holds, for at most [`TIMEOUT`]. Returns whether it holds.
#[allow(dead_code)]
pub fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if since.elapsed() > TIMEOUT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a condition holds.
#[allow(dead_code)]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    assert!(eventually(holds), "timed out: {what}");
}

/// An address that refuses connections. It stays bound without listening, so that no other process gets it.
#[allow(dead_code)]
pub fn refusing_address() -> std::net::SocketAddr {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// A fresh native consent cookie that grants these categories, joined by `+`.
pub fn consent_cookie(categories: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("consentry=1~{now}~2018-05-25~{categories}~")
}

/// A fresh consent cookie that grants all categories.
pub fn full_consent() -> String {
    consent_cookie("functional+analytics+targeting+social")
}
