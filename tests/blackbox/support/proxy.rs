//! Runs the real binary.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::raw_client::{RawClient, Reply};
use super::{ENVOY, Envoy, Origin, TIMEOUT, eventually};

/// The binary under test.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    for name in ["CONFIG", "LISTEN", "UPSTREAM", "ADMIN", "MODE"] {
        command.env_remove(format!("CONSENTRY_{name}"));
    }
    command
}

/// The log so far, and its next line.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    line: Condvar,
}

/// A running proxy. Killed on drop.
pub struct Proxy {
    pub address: SocketAddr,
    /// The TLS address, if enabled.
    #[allow(dead_code)]
    pub https: Option<SocketAddr>,
    pub admin: SocketAddr,
    /// The address of the process itself: the external processor behind Envoy, otherwise the proxy.
    #[allow(dead_code)]
    pub process: SocketAddr,
    child: Child,
    access_log: Mutex<Receiver<String>>,
    log: Arc<Log>,
    /// Envoy in front of the external processor, if used.
    _envoy: Option<Envoy>,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts a proxy in front of the origin, with this TOML in addition to its addresses.
    pub fn start(origin: &Origin, toml: &str) -> Self {
        Self::start_with(&format!("{toml}\n[[site]]\nupstream = \"{}\"\n", origin.url()))
    }

    /// Starts a proxy with this TOML, which contains the sites, in addition to its addresses.
    pub fn start_with(toml: &str) -> Self {
        Self::start_at("127.0.0.1:0", toml)
    }

    /// Like `start`, with these environment variables.
    #[allow(dead_code)]
    pub fn start_with_env(environment: &[(&str, String)], origin: &Origin, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("consentry.toml");
        let toml = format!("{toml}\n[[site]]\nupstream = \"{}\"\n", origin.url());
        std::fs::write(&config, toml).unwrap();
        Self::run("127.0.0.1:0", environment, &config, folder)
    }

    /// Like `start_with`, at this address.
    pub fn start_at(address: &str, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("consentry.toml");
        std::fs::write(&config, toml).unwrap();
        Self::run(address, &[], &config, folder)
    }

    fn run(
        address: &str,
        environment: &[(&str, String)],
        config: &Path,
        folder: tempfile::TempDir,
    ) -> Self {
        let kind = if ENVOY { "ext-proc" } else { "run" };
        let mut command = binary();
        command
            .args([kind, "--listen", address, "--admin", "127.0.0.1:0", "--config"])
            .arg(config)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped());
        Self::spawn(&mut command, config, folder)
    }

    /// Runs a command that becomes the proxy, with this config in the directory.
    pub fn spawn(command: &mut Command, config: &Path, folder: tempfile::TempDir) -> Self {
        Self::spawn_with(command, config, folder, ENVOY)
    }

    /// Like `start_with`, without Envoy: the proxy (`run`) or the processor alone (`ext-proc`).
    #[allow(dead_code)]
    pub fn start_without_envoy(kind: &str, listen: &str, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("consentry.toml");
        std::fs::write(&config, toml).unwrap();
        let mut command = binary();
        command
            .args([kind, "--listen", listen, "--admin", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdout(Stdio::piped());
        Self::spawn_with(&mut command, &config, folder, false)
    }

    fn spawn_with(
        command: &mut Command,
        config: &Path,
        folder: tempfile::TempDir,
        behind_envoy: bool,
    ) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (line_sender, access_log) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            let stdout = BufReader::new(stdout);
            thread::spawn(move || {
                stdout.lines().map_while(Result::ok).try_for_each(|line| line_sender.send(line))
            });
        }

        let log = Arc::new(Log::default());
        let (ready_sender, ready) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let shared = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or(serde_json::Value::Null);
                shared.text.lock().unwrap().push_str(&format!("{line}\n"));
                shared.line.notify_all();
                if entry["message"] == "serving" {
                    let address =
                        |key: &str| entry[key].as_str().unwrap().parse::<SocketAddr>().unwrap();
                    let https = entry["https"].as_str().map(|at| at.parse().unwrap());
                    let _ = ready_sender.send((address("http"), https, address("admin")));
                }
            }
        });
        let Ok((address, https, admin)) = ready.recv_timeout(TIMEOUT) else {
            let _ = child.kill();
            panic!("the proxy did not start: {}", log.text.lock().unwrap());
        };
        let process = address;
        let envoy = behind_envoy.then(|| Envoy::start(folder.path(), origin_of(config), process));
        let address = envoy.as_ref().map_or(address, |envoy| envoy.address);
        let access_log = Mutex::new(access_log);
        Self { address, https, admin, process, child, access_log, log, _envoy: envoy, folder }
    }

    /// Opens a client connection.
    pub fn connect(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// Sends one GET on a new connection.
    pub fn get(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut client = self.connect();
        client.send(&request("GET", path, fields));
        client.reply("GET")
    }

    /// Sends GETs for `/` in one write, so that they reach the proxy together. Returns the statuses.
    #[allow(dead_code)]
    pub fn pipeline(&self, requests: &[&[(&str, &str)]]) -> Vec<u16> {
        let mut client = self.connect();
        let all: Vec<Vec<u8>> = requests.iter().map(|fields| request("GET", "/", fields)).collect();
        client.send(&all.concat());
        requests.iter().map(|_| client.reply("GET").status).collect()
    }

    /// Sends one POST like a page of the site: JSON, or a form.
    #[allow(dead_code)]
    pub fn post(&self, path: &str, body: &str, fields: &[(&str, &str)]) -> Reply {
        let media_type = match body.starts_with('{') {
            true => "application/json",
            false => "application/x-www-form-urlencoded",
        };
        let length = body.len().to_string();
        let mut all = vec![
            ("Content-Length", length.as_str()),
            ("Content-Type", media_type),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        all.extend(fields);
        let mut client = self.connect();
        client.send(&request("POST", path, &all));
        client.send(body.as_bytes());
        client.reply("POST")
    }

    /// The status and the body of a path of the admin listener.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let mut client = RawClient::connect(self.admin);
        // Requests for any other kind of host name are rejected.
        client.send(&request("GET", path, &[("Host", &self.admin.to_string())]));
        let reply = client.reply("GET");
        (reply.status, String::from_utf8(reply.body).unwrap())
    }

    /// The value of one metrics sample, labels included.
    pub fn metric(&self, sample: &str) -> f64 {
        let (_, text) = self.admin("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no sample {sample} in\n{text}")).parse().unwrap()
    }

    /// Waits until a sample has this value: events at the end of a connection are counted after the client has seen
    /// the end.
    pub fn expect_metric(&self, sample: &str, value: f64) {
        let counter = sample.contains("_total");
        let mut found = f64::NAN;
        eventually(|| {
            found = self.metric(sample);
            // A counter only grows, so waiting is useless once it is larger.
            found == value || counter && found > value
        });
        assert_eq!(found, value, "{sample}");
    }

    /// Waits until a condition holds. Shows the log if it never does.
    pub fn wait_until(&self, what: &str, holds: impl FnMut() -> bool) {
        assert!(eventually(holds), "timed out: {what}\n{}", self.log());
    }

    /// The peak memory of the process, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// Memory of the process, in KiB, by its name in proc_pid_status(5).
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Overwrites the config file.
    pub fn rewrite(&self, toml: &str) {
        std::fs::write(self.folder.path().join("consentry.toml"), toml).unwrap();
    }

    /// Activates another config. An additional site marks it: a file change is noticed without a signal too, so the
    /// number of reloads is not sufficient.
    pub fn reload(&self, toml: &str) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        const DONE: &str = "consentry_config_reloads_total{result=\"done\"}";
        let mark = format!("mark-{}", COUNT.fetch_add(1, Relaxed));
        let (sample, done) = (format!("site=\"{mark}\""), self.metric(DONE));
        self.rewrite(&format!(
            "{toml}\n[[site]]\nname = '{mark}'\nhosts = ['{mark}.example']\nupstream = 'http://127.0.0.1:1'\n"
        ));
        self.signal("HUP");
        // The upstreams are exported just before the config is active, and the reload is counted just after.
        self.wait_until(&format!("{mark} is active"), || {
            self.admin("/metrics").1.contains(&sample) && self.metric(DONE) > done
        });
    }

    /// Waits for the next line of the access log.
    pub fn next_access_log_entry(&self) -> serde_json::Value {
        let line = self
            .access_log
            .lock()
            .unwrap()
            .recv_timeout(TIMEOUT)
            .expect("a line in the access log");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The rest of the access log of a proxy that has exited.
    pub fn remaining_access_log(&self) -> String {
        self.access_log.lock().unwrap().iter().collect()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Waits until the log contains this text.
    pub fn expect_log(&self, text: &str) {
        let log = self.log.text.lock().unwrap();
        let waited = self.log.line.wait_timeout_while(log, TIMEOUT, |log| !log.contains(text));
        let (log, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "no {text} in {log}");
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the process to exit.
    pub fn exit_status(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.expect("the proxy ends")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only upstream in a config.
fn origin_of(config: &Path) -> SocketAddr {
    let text = std::fs::read_to_string(config).unwrap();
    let (_, rest) = text.split_once("http://").expect("an upstream");
    let end = rest.find(['"', '\'']).unwrap();
    rest[..end].parse().unwrap()
}

/// A request head without a body.
pub fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: shop.example\r\n");
    }
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Runs the binary with these arguments and this input. Returns exit code, standard output and standard error.
pub fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    use std::io::Write;
    let mut child = binary()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read its input closes it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let mut error = String::new();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    (child.wait().unwrap().code().unwrap(), output, error)
}
