//! The whole service in this process.

use std::net::SocketAddr;

use consentry::internal as app;
use consentry::config::{self, Overrides};

/// Starts the service in front of an upstream, with these config lines. Returns the address of its listener.
pub fn start(upstream: SocketAddr, keys: &str) -> SocketAddr {
    let toml = format!(
        "workers = 1\nlisten.http = '127.0.0.1:0'\nlisten.admin = 'off'\nlog = {{ access = false, level = 'error' }}\n\
         timeouts = {{ first_byte = '200ms', request_head = '200ms', idle = '200ms' }}\n{keys}\n\
         [[site]]\nhosts = ['*']\nupstream = 'http://{upstream}'"
    );
    let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
    let bound = app::build(config).expect("it can be built");
    let address = bound.addresses().http.expect("a port");
    std::thread::spawn(move || bound.run_until(std::future::pending()));
    address
}
