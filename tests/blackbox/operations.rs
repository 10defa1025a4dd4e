//! Operation of a running proxy.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::support::{Origin, Proxy, RawClient, Reply, binary, request, run, wait_until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TOKEN: &str = "a-token-of-many-letters";
const LOCAL: (&str, &str) = ("Host", "localhost");

fn admin_request(proxy: &Proxy, bytes: &[u8]) -> Reply {
    let mut client = RawClient::connect(proxy.admin);
    client.send(bytes);
    client.reply("GET")
}

#[test]
fn the_admin_listener_requires_the_token_except_for_health_and_reloads_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let origin = Origin::responding(OK);
    let listen = format!("[listen]\nadmin_token_file = \"{}\"", file.display());
    let proxy = Proxy::start(&origin, &listen);
    let status = |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        admin_request(&proxy, &request("GET", path, &[("Authorization", &bearer)])).status
    };
    for path in ["/metrics", "/", "/inventory", "/dashboard.json", "/log-level", "/nothing"] {
        let refused = admin_request(&proxy, &request("GET", path, &[]));
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.field("www-authenticate").unwrap().contains("Bearer"));
        assert_eq!(status(path, "another-token-of-letters"), 401, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(admin_request(&proxy, &request("GET", path, &[])).status, 200, "{path}");
    }
    assert_eq!(status("/metrics", TOKEN), 200);

    let admin = format!("http://{}", proxy.admin);
    let (code, _, error) = run(&["inventory", "--admin", &admin], "");
    assert!(code == 1 && error.contains("401"), "{error}");
    let with = ["inventory", "--admin", &admin, "--admin-token-file", file.to_str().unwrap()];
    assert_eq!(run(&with, "").0, 0);

    fs::write(&file, "another-token-of-letters").unwrap();
    proxy.signal("HUP");
    proxy.expect_log("config reloaded");
    assert_eq!(status("/metrics", TOKEN), 401);
    assert_eq!(status("/metrics", "another-token-of-letters"), 200);
    assert!(!proxy.log().contains("token-of"), "{}", proxy.log());
}

#[test]
fn the_admin_listener_rejects_rebinding_hosts_and_cross_origin_pages() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "listen.admin_hosts = ['consentry.svc']");
    let own = proxy.admin.to_string();
    let status = |path: &str, fields: &[(&str, &str)]| {
        admin_request(&proxy, &request("GET", path, fields)).status
    };
    let port = proxy.admin.port();
    for path in ["/", "/metrics", "/inventory", "/dashboard.json", "/log-level"] {
        for host in
            [&own, "localhost", &format!("localhost:{port}"), "10.1.2.3", "[::1]", "consentry.svc"]
        {
            assert_eq!(status(path, &[("Host", host)]), 200, "{path} {host}");
        }
        // A name of the attacker that resolves to this machine (DNS rebinding).
        for host in
            [&format!("evil.example:{port}"), "evil.example", "localhost.evil.example", "a;b"]
        {
            assert_eq!(status(path, &[("Host", host)]), 403, "{path} {host}");
        }
        for other in ["http://evil.example", "http://127.0.0.1", "null"] {
            assert_eq!(status(path, &[("Host", &own), ("Origin", other)]), 403, "{path} {other}");
        }
        let same = format!("http://{own}");
        assert_eq!(status(path, &[("Host", &own), ("Origin", &same)]), 200, "{path}");
    }
    let put = |host: &str, other: &str| {
        let head = format!(
            "PUT /log-level HTTP/1.1\r\nHost: {host}\r\nOrigin: {other}\r\nContent-Length: 5\r\n\r\ndebug"
        );
        admin_request(&proxy, head.as_bytes()).status
    };
    assert_eq!(put("evil.example", "http://evil.example"), 403);
    assert_eq!(put(&own, "http://evil.example"), 403);
    assert_eq!(proxy.admin("/log-level").1, "info\n");
    // Health checks are served for any host name, and without one.
    for path in ["/livez", "/readyz"] {
        assert_eq!(status(path, &[("Host", "balancer.example")]), 200, "{path}");
        assert_eq!(
            admin_request(&proxy, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).status,
            200
        );
    }
}

#[test]
fn weak_tokens_and_public_admin_listeners_without_a_token_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    fs::write(folder.path().join("token"), "short\n").unwrap();
    let site = "[[site]]\nupstream = 'http://127.0.0.1:1'\n";
    let check = |listen: &str| {
        fs::write(&config, format!("[listen]\n{listen}\n{site}")).unwrap();
        run(&["check", "--config", config.to_str().unwrap()], "")
    };
    let (code, _, error) = check("admin_token_file = 'token'");
    assert!(code == 2 && error.contains(":2: listen.admin_token_file:"), "{error}");
    assert!(!error.contains("short"), "the secret is not shown: {error}");
    let (code, _, error) = check("admin = '0.0.0.0:9090'");
    assert!(code == 0 && error.contains("reachable from the network"), "{error}");
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    let (code, _, error) = check("admin = '0.0.0.0:9090'\nadmin_token_file = 'token'");
    assert_eq!((code, error.as_str()), (0, ""));
}

/// A proxy whose admin listener is a Unix socket. Killed on drop.
struct KillOnDrop(std::process::Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_admin_listener_can_be_a_unix_socket_that_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let admin = format!("unix:{}", path.display());
    let start = || {
        let child = binary()
            .args(["run", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"])
            .args(["--admin", &admin])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        KillOnDrop(child)
    };
    let healthy = || run(&["health", "--admin", &admin], "").0 == 0;
    let wait = || wait_until("a response at the path", healthy);
    let first = start();
    wait();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.contains("consentry_build_info"), "{text}");

    // While it runs, no other process can bind the path.
    let mut second = start();
    let mut error = String::new();
    second.0.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(error.contains("is already in use"), "{error}");
    assert_eq!(second.0.wait().unwrap().code(), Some(1));

    drop(first);
    assert!(path.exists() && !healthy());
    let _third = start();
    wait();

    let file = folder.path().join("a file");
    fs::write(&file, "precious").unwrap();
    let admin = format!("unix:{}", file.display());
    let args = ["run", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin"];
    let (code, _, error) = run(&[&args[..], &[&admin]].concat(), "");
    assert!(code == 1 && error.contains("not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn the_log_level_changes_at_run_time() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let put = |word: &str| {
        let head = format!(
            "PUT /log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{word}",
            word.len()
        );
        let reply = admin_request(&proxy, head.as_bytes());
        (reply.status, String::from_utf8(reply.body).unwrap())
    };
    let misdirect = || proxy.get("/", &[("Host", "bad host")]).status;
    assert_eq!(proxy.admin("/log-level"), (200, "info\n".to_owned()));
    assert_eq!(misdirect(), 400);
    assert_eq!(put("debug"), (200, "debug\n".to_owned()));
    proxy.expect_log("log level changed");
    assert!(!proxy.log().contains("rejected a request"));
    assert_eq!(misdirect(), 400);
    proxy.expect_log("rejected a request");
    assert_eq!(put("loud").0, 400);
    assert_eq!(put(&"x".repeat(1000)).0, 400);
    assert_eq!(put("error\n"), (200, "error\n".to_owned()));
    assert_eq!(proxy.admin("/log-level"), (200, "error\n".to_owned()));
    assert_eq!(admin_request(&proxy, &request("DELETE", "/log-level", &[LOCAL])).status, 405);
}

#[test]
fn the_access_log_supports_the_combined_format_and_truncated_addresses() {
    let origin = Origin::responding(OK);
    for (address, logged) in [("none", "-"), ("network", "203.0.113.0"), ("full", "203.0.113.9")] {
        let proxy = Proxy::start_with(&format!(
            "[listen]\ntrusted_proxies = ['127.0.0.1']\n[log]\naccess_format = 'combined'\nvisitor_address = '{address}'\n[[site]]\nupstream = '{}'\n",
            origin.url()
        ));
        let fields = [
            ("X-Forwarded-For", "203.0.113.9"),
            ("Referer", "https://a.test/b?token=1"),
            ("User-Agent", "x\"y\\z"),
            ("Cookie", "sid=marked"),
        ];
        proxy.get("/path?secret=1", &fields);
        let mut proxy = proxy;
        proxy.signal("TERM");
        proxy.exit_status();
        let line = proxy.remaining_access_log();
        let (before, after) = line.split_once(" - - [").unwrap();
        assert_eq!(before, logged);
        let (time, after) = after.split_once("] ").unwrap();
        assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
        assert_eq!(after, r#""GET /path HTTP/1.1" 200 2 "https://a.test/b" "x\"y\\z""#);
    }
}

#[test]
fn json_log_lines_include_the_address_if_configured() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "log.visitor_address = 'network'");
    proxy.get("/", &[]);
    assert_eq!(proxy.next_access_log_entry()["address"], "127.0.0.0");
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[]);
    assert_eq!(proxy.next_access_log_entry().get("address"), None);
}

/// A proxy that shares a port with earlier ones.
fn version(origin: &Origin, port: u16) -> Proxy {
    Proxy::start_at(
        &format!("127.0.0.1:{port}"),
        &format!("[listen]\nreuse_port = true\n[[site]]\nupstream = \"{}\"\n", origin.url()),
    )
}

#[test]
fn a_second_process_replaces_the_first_on_its_port_without_failed_requests() {
    let origin = Arc::new(Origin::responding(OK));
    let mut current = version(&origin, 0);
    let address = current.address;
    let done = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (done, served) = (Arc::clone(&done), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut kept: Option<RawClient> = None;
                while !done.load(SeqCst) {
                    // Half of them keep their connections until the proxy closes them.
                    let mut client = kept.take().unwrap_or_else(|| RawClient::connect(address));
                    client.send(&request("GET", "/", &[]));
                    let reply = client.reply("GET");
                    assert_eq!(reply.status, 200);
                    served.fetch_add(1, SeqCst);
                    let closes = reply.field("connection").is_some_and(|value| value == "close");
                    kept = Some(client).filter(|_| number % 2 == 0 && !closes);
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let next = version(&origin, address.port());
        let before = served.load(SeqCst);
        current.signal("TERM");
        assert!(current.exit_status().success());
        current = next;
        wait_until("100 more requests are served", || served.load(SeqCst) >= before + 100);
    }
    done.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().expect("no request has failed"));
}
