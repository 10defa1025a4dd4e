//! A real Envoy in front of an origin, with the example config of `deploy/envoy/`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::visitor::Visitor;
use super::{PATIENCE, request};

pub const EXAMPLE: &str = include_str!("../../../deploy/envoy/envoy.yaml");

/// A running Envoy; ended when dropped.
pub struct Envoy {
    pub address: SocketAddr,
    child: Child,
}

impl Envoy {
    /// In front of an origin, with a processor at an address.
    pub fn start(folder: &Path, origin: SocketAddr, processor: SocketAddr) -> Self {
        let config =
            EXAMPLE.replace("port_value: 9091", &format!("port_value: {}", processor.port()));
        Self::run(&config, folder, origin)
    }

    /// In front of an origin, with a processor at a path.
    #[allow(dead_code)]
    pub fn start_at(folder: &Path, origin: SocketAddr, processor: &Path) -> Self {
        let address = "socket_address: { address: 127.0.0.1, port_value: 9091 }";
        let pipe = format!("pipe: {{ path: {} }}", processor.display());
        assert!(EXAMPLE.contains(address));
        Self::run(&EXAMPLE.replace(address, &pipe), folder, origin)
    }

    fn run(config: &str, folder: &Path, origin: SocketAddr) -> Self {
        let origin = format!("address: {}, port_value: {}", origin.ip(), origin.port());
        let config = config
            .replace("address: 0.0.0.0, port_value: 8080", "address: 127.0.0.1, port_value: 0")
            .replace("address: 127.0.0.1, port_value: 3000", &origin)
            // Machines that are busy with tests are slow.
            .replace("message_timeout: 1s", "message_timeout: 20s");
        let config = format!(
            "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}\n{config}"
        );
        let file = folder.join("envoy.yaml");
        std::fs::write(&file, config).unwrap();
        let admin = folder.join("envoy-admin");
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/python/bin/envoy");
        let child = Command::new(program)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c"])
            .arg(&file)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .spawn()
            .expect("Envoy is missing: `make test` installs it");
        let mut envoy = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), child };
        envoy.address = address(&admin);
        envoy
    }
}

/// Where Envoy listens for visitors, as its admin says.
fn address(admin: &Path) -> SocketAddr {
    let since = Instant::now();
    loop {
        let told = std::fs::read_to_string(admin).ok().and_then(|text| text.parse().ok());
        if let Some(admin) = told {
            let mut visitor = Visitor::connect(admin);
            visitor.send(&request("GET", "/listeners?format=json", &[]));
            let listeners: serde_json::Value =
                serde_json::from_slice(&visitor.reply("GET").body).unwrap_or_default();
            let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
            if let Some(port) = socket["port_value"].as_u64().filter(|port| *port > 0) {
                return SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
            }
        }
        assert!(since.elapsed() < PATIENCE, "Envoy does not start");
        std::thread::yield_now();
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
