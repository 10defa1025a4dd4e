//! A real nginx with a test config in a test directory.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::wait_until;

/// A running peer process. Stopped on drop.
pub struct PeerProcess(Child);

impl PeerProcess {
    pub fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).spawn();
        Self(
            child.unwrap_or_else(|error| {
                panic!("{}: {error}; `make test` installs it", name.display())
            }),
        )
    }

    /// The standard output, if the process was spawned with a pipe.
    pub fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // SIGTERM lets the master stop its workers. SIGKILL would leave the workers running.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// A recently free port: nginx cannot choose a port and report it.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until the address accepts connections.
pub fn wait_for_listener(address: SocketAddr) {
    let what = format!("a connection to {address}");
    wait_until(&what, || TcpStream::connect(address).is_ok());
}

pub struct Nginx {
    pub address: SocketAddr,
    _peer: PeerProcess,
}

impl Nginx {
    /// Starts nginx in this directory with this content of its `http` block. `{port}` and `{folder}` are replaced.
    pub fn start(folder: &Path, http: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self::start_at(address, Command::new(program("nginx")), folder, http)
    }

    /// Like `start`, at an address, with a command that becomes nginx.
    pub fn start_at(address: SocketAddr, mut nginx: Command, folder: &Path, http: &str) -> Self {
        let port = address.port();
        let path = folder.display();
        let http = http.replace("{port}", &port.to_string()).replace("{folder}", &path.to_string());
        let config = format!(
            "daemon off; worker_processes 1; pid {path}/nginx.pid; error_log {path}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
             fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n{http}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let peer = PeerProcess::spawn(nginx.arg("-c").arg(&file).args(["-e", "stderr"]));
        wait_for_listener(address);
        Self { address, _peer: peer }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The path of a program, which may be in `sbin`.
pub fn program(name: &str) -> PathBuf {
    let places =
        ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(|place| Path::new(place).join(name));
    places
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is missing: `make test` installs it"))
}

/// A directory that the unprivileged workers of the peers can read.
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn the_recipe_for_nginx_before_consentry_works() {
    use crate::support::{Origin, Proxy};
    let recipes = include_str!("../../docs/recipes.md");
    let block = recipes.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let proxy = Proxy::start(&origin, "listen.trusted_proxies = ['127.0.0.1']");
    let folder = folder();
    let http = block
        .replace("127.0.0.1:8080", &proxy.address.to_string())
        .replace("listen 8000;", "listen 127.0.0.1:{port};");
    let nginx = Nginx::start(folder.path(), &http);
    let output = Command::new(program("curl")).args(["-si", &nginx.url()]).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("set-cookie: sid=1") && !answer.contains("_ga"), "{answer}");
    assert!(answer.contains("cache-control: private"), "{answer}");
    let received = origin.next_request();
    assert_eq!(received.field("x-forwarded-for").as_deref(), Some("127.0.0.1, 127.0.0.1"));
    assert_eq!(received.field("x-forwarded-proto").as_deref(), Some("http"));
}

#[test]
fn http_2_upstreams_get_no_more_streams_than_they_allow() {
    use crate::support::Proxy;
    let folder = folder();
    std::fs::write(folder.path().join("slow"), "0123456789".repeat(10)).unwrap();
    let nginx = Nginx::start(
        folder.path(),
        "server { listen 127.0.0.1:{port} http2; http2_max_concurrent_streams 2; root {folder}; limit_rate 100; }",
    );
    let url = nginx.url().replace("http://", "h2c://");
    let proxy = Proxy::start_with(&format!("workers = 1\n[[site]]\nupstream = '{url}'\n"));
    // The upstream announces its stream limit, which applies from the next request on.
    for _ in 0..2 {
        assert_eq!(proxy.get("/missing", &[]).status, 404);
    }
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let mut client = proxy.connect();
            client.send(&crate::support::request("GET", "/slow", &[]));
            client
        })
        .collect();
    for mut client in clients {
        let reply = client.reply("GET");
        assert_eq!((reply.status, reply.body.len(), reply.complete), (200, 100, true));
    }
    let opened = proxy.metric("consentry_upstream_connections_total");
    assert!((5.0..=10.0).contains(&opened), "{opened}");
}
