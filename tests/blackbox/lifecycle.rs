//! Startup, drain and exit.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc;

use crate::support::{Origin, Proxy, RawClient, TIMEOUT, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An origin that responds on a signal.
fn blocking_origin() -> (Origin, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        let _ = wait.lock().unwrap().recv_timeout(TIMEOUT);
        stream.write_all(OK.as_bytes()).is_ok()
    });
    (origin, go)
}

#[test]
fn a_drain_finishes_requests_in_flight_refuses_new_ones_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let (origin, go) = blocking_origin();
        let mut proxy = Proxy::start(&origin, "");
        let mut idle = proxy.connect();
        idle.send(b"");
        let mut busy = proxy.connect();
        busy.send(&request("GET", "/", &[]));
        origin.next_request();
        proxy.signal(signal);
        // The idle connection is closed immediately: the drain has started.
        assert_eq!(idle.closed(), b"");
        assert_eq!(proxy.admin("/readyz").0, 503);
        assert_eq!(proxy.admin("/livez").0, 200);
        assert!(
            std::net::TcpStream::connect(proxy.address).is_err(),
            "no new connection is accepted"
        );
        go.send(()).unwrap();
        let reply = busy.reply("GET");
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
        assert_eq!(reply.field("connection").as_deref(), Some("close"));
        assert!(proxy.exit_status().success());
        assert_eq!(proxy.next_access_log_entry()["status"], 200, "the last line is written");
    }
}

#[test]
fn readiness_fails_before_the_listener_closes_and_late_requests_are_served() {
    let origin = Origin::responding(OK);
    let mut proxy = Proxy::start(&origin, "timeouts.drain_delay = '1h'");
    proxy.signal("TERM");
    proxy.expect_log("draining after the delay");
    assert_eq!(proxy.admin("/readyz").0, 503);
    assert_eq!(proxy.get("/", &[]).status, 200);
    // A second signal takes effect immediately.
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    // The drain follows the delay without a further signal.
    let mut proxy = Proxy::start(&origin, "timeouts.drain_delay = '50ms'");
    proxy.signal("TERM");
    proxy.expect_log("draining after the delay");
    assert!(proxy.exit_status().success());
}

#[test]
fn health_reports_readiness_by_exit_code() {
    let origin = Origin::responding(OK);
    let mut proxy = Proxy::start(&origin, "timeouts.drain_delay = '1h'");
    let admin = proxy.admin.to_string();
    let health = |more: &[&str]| {
        let mut all = vec!["health", "--admin", &admin];
        all.extend(more);
        run(&all, "")
    };
    assert_eq!(health(&[]), (0, "ready\n".to_owned(), String::new()));
    proxy.signal("TERM");
    proxy.expect_log("draining after the delay");
    let (code, _, error) = health(&[]);
    assert!(code == 1 && error.contains("503"), "{error}");
    assert_eq!(health(&["--live"]).0, 0);
    proxy.signal("KILL");
    proxy.exit_status();
    assert_eq!(health(&[]).0, 1);
}

#[test]
fn a_drain_ends_at_its_timeout() {
    let (origin, _never) = blocking_origin();
    let mut proxy = Proxy::start(&origin, "timeouts.drain = '100ms'");
    let mut busy = proxy.connect();
    busy.send(&request("GET", "/", &[]));
    origin.next_request();
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    assert_eq!(busy.closed(), b"");
}

#[test]
fn a_second_signal_exits_immediately() {
    let (origin, _never) = blocking_origin();
    let mut proxy = Proxy::start(&origin, "");
    let idle = proxy.connect();
    let mut busy = proxy.connect();
    busy.send(&request("GET", "/", &[]));
    origin.next_request();
    proxy.signal("TERM");
    idle.closed();
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
}

#[test]
fn a_port_in_use_is_reported_with_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, admin) in [(address.as_str(), "off"), ("127.0.0.1:0", address.as_str())] {
        let (code, _, error) = run(
            &["run", "--upstream", "http://127.0.0.1:1", "--listen", listen, "--admin", admin],
            "",
        );
        assert_eq!(code, 1);
        assert_eq!(
            error.trim_end(),
            format!("error: {address} is already in use by another program")
        );
    }
}

#[test]
fn an_invalid_config_exits_with_2_and_reports_all_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "mode = 'off'\n[[site]]\nupstream = 'ftp://x'\nupstrem = 1\n[[cookie]]\nname = 'a'\ncategory = 'analytic'\n").unwrap();
    let path = path.to_str().unwrap();
    for command in [&["check", "--config", path][..], &["run", "--config", path]] {
        let (code, out, error) = run(command, "");
        assert_eq!((code, out.as_str()), (2, ""));
        for (line, key) in [
            (1, "mode"),
            (3, "site[0].upstream"),
            (4, "site[0].upstrem"),
            (7, "cookie[0].category"),
        ] {
            assert!(error.contains(&format!("bad.toml:{line}: {key}: ")), "{key} in\n{error}");
        }
        assert!(
            error.contains("did you mean `analytics`?")
                && error.contains("did you mean `upstream`?"),
            "{error}"
        );
    }
}

#[test]
fn two_workers_share_the_connections() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "workers = 2");
    let mut clients: Vec<RawClient> = (0..10).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(&request("GET", "/", &[]));
        assert_eq!(client.reply("GET").status, 200);
    }
    proxy.expect_metric("consentry_open_connections", 10.0);
    proxy.expect_metric("consentry_connections_total", 10.0);
}

/// Starts a proxy with this listener as the socket `http` of systemd (sd_listen_fds(3)).
fn with_socket(listener: &std::net::TcpListener, config: &std::path::Path) -> std::process::Child {
    let script = "LISTEN_FDS=1 LISTEN_FDNAMES=http LISTEN_PID=$$ exec \"$@\" 3<&0 0< /dev/null";
    std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(crate::support::binary().get_program())
        .args(["run", "--config"])
        .arg(config)
        .stdin(std::os::fd::OwnedFd::from(listener.try_clone().unwrap()))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn systemd_socket_activation_keeps_connections_across_restarts() {
    let origin = Origin::responding(OK);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    let toml = format!("listen.admin = 'off'\n[[site]]\nupstream = '{}'\n", origin.url());
    std::fs::write(&config, toml).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        // No process accepts the connection yet.
        let mut client = RawClient::connect(listener.local_addr().unwrap());
        client.send(&request("GET", "/", &[("Connection", "close")]));
        let mut child = with_socket(&listener, &config);
        let status = client.reply("GET").status;
        std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(status, 200);
    }
}

#[test]
fn systemd_is_notified_of_readiness_and_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut child = crate::support::binary()
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--upstream",
            "http://127.0.0.1:1",
        ])
        .env("NOTIFY_SOCKET", &path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let message = || {
        let mut bytes = [0; 128];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    assert_eq!(message(), "READY=1");
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(message(), "STOPPING=1");
    assert!(child.wait().unwrap().success());
}
