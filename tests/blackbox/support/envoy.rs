//! A real Envoy in front of an origin, with the example config of `deploy/envoy/`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::raw_client::RawClient;
use super::{eventually, request};

pub const EXAMPLE: &str = include_str!("../../../deploy/envoy/envoy.yaml");

/// A running Envoy. Killed on drop.
pub struct Envoy {
    pub address: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Envoy {
    /// Starts Envoy in front of an origin, with a processor at an address.
    pub fn start(folder: &Path, origin: SocketAddr, processor: SocketAddr) -> Self {
        Self::start_edited(folder, origin, &[processor], str::to_owned)
    }

    /// Starts Envoy in front of an origin, with several processors and an edited config.
    pub fn start_edited(
        folder: &Path,
        origin: SocketAddr,
        processors: &[SocketAddr],
        edit: impl Fn(&str) -> String,
    ) -> Self {
        let endpoint = |port: u16| {
            format!(
                "              - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, \
                 port_value: {port} }} }} }}\n"
            )
        };
        let both = endpoint(9091) + &endpoint(9093);
        assert!(EXAMPLE.contains(&both));
        let endpoints: String = processors.iter().map(|address| endpoint(address.port())).collect();
        Self::run(&edit(&EXAMPLE.replace(&both, &endpoints)), folder, origin)
    }

    /// The contents of Envoy's log.
    #[allow(dead_code)]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Starts Envoy in front of an origin, with a processor on a Unix socket.
    #[allow(dead_code)]
    pub fn start_at(folder: &Path, origin: SocketAddr, processor: &Path) -> Self {
        let pipe = format!("pipe: {{ path: {} }}", processor.display());
        let address = SocketAddr::from(([127, 0, 0, 1], 9091));
        Self::start_edited(folder, origin, &[address], |config| {
            let address = "socket_address: { address: 127.0.0.1, port_value: 9091 }";
            assert!(config.contains(address));
            config.replace(address, &pipe)
        })
    }

    fn run(config: &str, folder: &Path, origin: SocketAddr) -> Self {
        let origin = format!("address: {}, port_value: {}", origin.ip(), origin.port());
        let config = config
            .replace("address: 0.0.0.0, port_value: 8080", "address: 127.0.0.1, port_value: 0")
            .replace("address: 127.0.0.1, port_value: 3000", &origin)
            // Machines that run tests are slow.
            .replace("message_timeout: 1s", "message_timeout: 20s")
            .replace("- timeout: 1s", "- timeout: 20s")
            .replace("interval: 1s", "interval: 0.1s");
        let config = format!(
            "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}\n{config}"
        );
        let file = folder.join("envoy.yaml");
        std::fs::write(&file, config).unwrap();
        let admin = folder.join("envoy-admin");
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/python/bin/envoy");
        let mut child = Command::new(program)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"])
            .arg(&file)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Envoy is missing: `make test` installs it");
        let log = Arc::new(Mutex::new(String::new()));
        let (shared, stderr) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut shared = shared.lock().unwrap();
                shared.push_str(&line);
                shared.push('\n');
            }
        });
        let mut envoy = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), child, log };
        envoy.address = address(&admin);
        envoy
    }
}

/// Envoy's listener address, from its admin interface.
fn address(admin: &Path) -> SocketAddr {
    let mut port = None;
    let started = eventually(|| {
        let address = std::fs::read_to_string(admin).ok().and_then(|text| text.parse().ok());
        let Some(admin) = address else { return false };
        let get = |path: &str| {
            let mut client = RawClient::connect(admin);
            client.send(&request("GET", path, &[]));
            client.reply("GET")
        };
        // Envoy is ready, and listens, only after it has checked the health of the processors.
        if get("/ready").status != 200 {
            return false;
        }
        let listeners = get("/listeners?format=json").body;
        let listeners: serde_json::Value = serde_json::from_slice(&listeners).unwrap_or_default();
        let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        port = socket["port_value"].as_u64().filter(|port| *port > 0);
        port.is_some()
    });
    assert!(started, "Envoy does not start");
    SocketAddr::from(([127, 0, 0, 1], u16::try_from(port.unwrap()).unwrap()))
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
