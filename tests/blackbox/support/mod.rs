//! What every test here needs: an origin that says what it is told to, a running proxy, and a
//! visitor that shows each octet.

mod envoy;
mod origin;
mod proxy;
mod visitor;

#[allow(unused_imports)]
pub use envoy::{EXAMPLE, Envoy};
pub use origin::Origin;
#[allow(unused_imports)]
pub use proxy::{Proxy, binary, request, run};
#[allow(unused_imports)]
pub use visitor::{Reply, Visitor};

use std::time::Duration;

/// Whether these tests are run with Envoy in the proxy's place.
pub const ENVOY: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"envoy");

/// How long a test waits for something that must come. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An address that refuses connections, and that nobody else gets while this process runs: it is bound and not listened at.
#[allow(dead_code)]
pub fn refusing() -> std::net::SocketAddr {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// A fresh native consent cookie that grants these categories, joined by `+`.
pub fn consent(categories: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("consentry=1~{now}~2018-05-25~{categories}~")
}

/// The consent to everything.
pub fn all() -> String {
    consent("functional+analytics+targeting+social")
}
