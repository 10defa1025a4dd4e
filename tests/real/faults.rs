//! Fault-injection tests: failing peers and resources, their effect on clients, and the recovery time.
//! docs/reliability.md has the table.
//!
//! They create network namespaces and cgroups, drop packets and mount small disks, so they need root, as in CI.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::nginx::{Nginx, folder, free_port, program};
use crate::support::{Origin, Proxy, RawClient, TIMEOUT, consent_cookie, request, wait_until};

/// Any free port.
const ANY_PORT: &str = "127.0.0.1:0";
const OK: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";

fn run(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A packet filter rule for one port, removed on drop.
struct PacketFilter(String);

impl PacketFilter {
    fn new(port: u16, verdict: &str) -> Self {
        let table = format!("consentry_test_{port}");
        let this = Self(table);
        let table = &this.0;
        let nft = program("nft").display().to_string();
        run(&format!(
            "{nft} add table inet {table} && {nft} 'add chain inet {table} out {{ type filter hook output priority 0; }}' && \
             {nft} 'add rule inet {table} out tcp dport {port} {verdict}'"
        ));
        this
    }
}

impl Drop for PacketFilter {
    fn drop(&mut self) {
        let _ = Command::new(program("nft")).args(["delete", "table", "inet", &self.0]).status();
    }
}

/// Another host: a network namespace behind a virtual Ethernet cable. Removed on drop.
struct Host(String);

impl Host {
    const ADDRESS: [u8; 4] = [10, 213, 77, 2];

    fn start() -> Self {
        let name = format!("ct{}", std::process::id());
        let ip = program("ip").display().to_string();
        let this = Self(name);
        let name = &this.0;
        run(&format!(
            "{ip} netns add {name} && {ip} link add {name} type veth peer name eth0 netns {name} && \
             {ip} addr add 10.213.77.1/30 dev {name} && {ip} link set {name} up && \
             {ip} -n {name} addr add 10.213.77.2/30 dev eth0 && {ip} -n {name} link set eth0 up && {ip} -n {name} link set lo up"
        ));
        this
    }

    /// A command that runs a program in the namespace.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program("ip"));
        command.args(["netns", "exec", &self.0]).arg(program(name));
        command
    }

    /// Makes the host drop all incoming packets, or accept them again.
    fn drop_packets(&self, enabled: bool) {
        let rules = match enabled {
            true => {
                "add table inet hole; add chain inet hole in { type filter hook input priority 0; policy drop; }"
            }
            false => "delete table inet hole",
        };
        assert!(self.command("nft").arg(rules).status().unwrap().success());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new(program("ip")).args(["netns", "delete", &self.0]).status();
    }
}

/// Sends requests until one gets 200.
fn wait_for_recovery(proxy: &Proxy) {
    proxy.wait_until("recovery", || proxy.get("/", &[]).status == 200);
}

/// Sets a flag when it is dropped, so that threads of a failed test end too.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn an_unreachable_origin_gives_504_in_time_and_recovers() {
    let host = Host::start();
    let folder = folder();
    let address = SocketAddr::from((Host::ADDRESS, 8080));
    let http = "server { listen {port}; location / { return 200 ok; } }";
    let nginx = Nginx::start_at(address, host.command("nginx"), folder.path(), http);
    let toml =
        "workers = 1\ntimeouts = { first_byte = '1s', connect = '1s' }\n[[site]]\nupstream = ";
    let proxy = Proxy::start_with(&format!("{toml}'{}'", nginx.url()));
    assert_eq!(proxy.get("/", &[]).status, 200);
    host.drop_packets(true);
    for what in ["on the connection that stood", "on a new one"] {
        assert_eq!(proxy.get("/", &[]).status, 504, "{what}");
    }
    host.drop_packets(false);
    wait_for_recovery(&proxy);
}

#[test]
fn with_one_reset_in_twenty_packets_nearly_all_responses_arrive_complete() {
    let origin = Origin::responding(OK);
    // The retry budget of each worker covers the resets.
    let proxy = Proxy::start(&origin, "workers = 1\n[retries]\npercent = 50");
    let _resets =
        PacketFilter::new(origin.address.port(), "numgen random mod 100 < 5 reject with tcp reset");
    let mut answered = 0;
    for _ in 0..400 {
        let reply = proxy.get("/", &[]);
        assert!(matches!(reply.status, 200 | 502), "{}", reply.status);
        assert!(reply.complete && reply.set_cookies().is_empty());
        answered += usize::from(reply.status == 200);
    }
    assert!(answered > 340, "{answered} of 400");
}

#[test]
fn a_changed_dns_name_applies_to_the_next_connection() {
    let folder = folder();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 origin.test\n").unwrap();
    let port = free_port();
    for address in ["127.0.0.1", "127.0.0.2"] {
        let listener = TcpListener::bind((address, port)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n";
                let _ = stream.write_all(format!("{head}{address}").as_bytes());
            }
        });
    }
    let mounted = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let proxy = start_with_wrapper(
        &consentry(),
        &["unshare", "-m", "sh", "-c", &mounted, "sh"],
        ANY_PORT,
        &format!("http://origin.test:{port}"),
        Stdio::null(),
    );
    assert_eq!(proxy.get("/", &[]).text(), "127.0.0.1");
    // In place: the mount refers to the file, not to its name.
    std::fs::write(&hosts, "127.0.0.2 origin.test\n").unwrap();
    assert_eq!(proxy.get("/", &[]).text(), "127.0.0.2");
}

/// A proxy of this binary in front of the upstream, run by the command `wrapper`.
fn start_with_wrapper(
    program: &Path,
    wrapper: &[&str],
    listen: &str,
    upstream: &str,
    stdout: Stdio,
) -> Proxy {
    let folder = folder();
    let config = folder.path().join("consentry.toml");
    let text = "workers = 1\ntimeouts.upstream_idle = '1s'\n[[site]]\nupstream = ";
    std::fs::write(&config, format!("{text}'{upstream}'")).unwrap();
    let whole = [wrapper, &[program.to_str().unwrap()]].concat();
    let mut command = Command::new(whole[0]);
    command.args(&whole[1..]).args([
        "run",
        "--listen",
        listen,
        "--admin",
        "127.0.0.1:0",
        "--config",
    ]);
    Proxy::spawn(command.arg(&config).stdout(stdout), &config, folder)
}

fn consentry() -> PathBuf {
    crate::support::binary().get_program().into()
}

#[test]
fn a_full_disk_loses_access_log_lines_but_no_requests() {
    let origin = Origin::responding(OK);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let proxy = start_with_wrapper(&consentry(), &[], ANY_PORT, &origin.url(), full.into());
    for _ in 0..100 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
}

#[test]
fn on_a_full_disk_each_choice_has_a_receipt_or_is_rejected() {
    struct Disk(tempfile::TempDir);
    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
        }
    }
    let disk = Disk(tempfile::tempdir().unwrap());
    let path = disk.0.path().display().to_string();
    run(&format!("mount -t tmpfs -o size=1m tmpfs {path}"));
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(
        &origin,
        &format!("[receipts]\nurl = 'sqlite:{path}/receipts.db'\nspool = '{path}/spool'\n"),
    );
    let choose = || {
        let form = "choice=save&allow=analytics&lang=en";
        let length = form.len().to_string();
        let mut client = proxy.connect();
        client.send(&request(
            "POST",
            "/.consentry/",
            &[
                ("Content-Length", &length),
                ("Sec-Fetch-Site", "same-origin"),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ],
        ));
        client.send(form.as_bytes());
        let reply = client.reply("POST");
        let confirmed = !reply.set_cookies().is_empty();
        assert_eq!(reply.status, if confirmed { 303 } else { 503 });
        confirmed
    };
    let mut confirmed = 0.0;
    let mut choose = || {
        let is_confirmed = choose();
        confirmed += f64::from(u8::from(is_confirmed));
        is_confirmed
    };
    choose();
    let filler = format!("{path}/filler");
    let _ = Command::new("dd").args(["if=/dev/zero", &format!("of={filler}"), "bs=4k"]).output();
    for _ in 0..200 {
        choose();
    }
    let is_degraded = || proxy.admin("/readyz").1.contains("degraded");
    proxy.wait_until("the full disk is reported", || {
        choose();
        is_degraded()
    });
    std::fs::remove_file(&filler).unwrap();
    proxy.wait_until("the store works again", || !is_degraded());
    assert!(choose());
    proxy.expect_metric("consentry_receipts_waiting", 0.0);
    proxy.expect_metric("consentry_receipts_total{result=\"stored\"}", confirmed);
}

#[test]
fn check_reports_folders_on_a_read_only_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    run(&format!("mount -t tmpfs -o ro,size=1m tmpfs {path}"));
    let config = tempfile::NamedTempFile::new().unwrap();
    let toml = format!(
        "[receipts]\nurl = 'sqlite:{path}/receipts.db'\nspool = '{path}/spool'\n\
         [[site]]\nupstream = 'http://127.0.0.1:1'\n"
    );
    std::fs::write(config.path(), toml).unwrap();
    let arguments = ["check", "--config", config.path().to_str().unwrap()];
    let (_, _, error) = crate::support::run(&arguments, "");
    run(&format!("umount {path}"));
    for key in ["receipts.spool", "receipts.url"] {
        assert!(error.contains(&format!("warning: {key}: {path} is not writable")), "{error}");
    }
}

#[test]
fn without_file_descriptors_clients_wait_until_some_are_free() {
    let origin = Origin::responding(OK);
    let limit = ["prlimit", "--nofile=64:64"];
    let proxy = start_with_wrapper(&consentry(), &limit, ANY_PORT, &origin.url(), Stdio::null());
    assert_eq!(proxy.get("/", &[]).status, 200);
    let mut many: Vec<RawClient> = (0..100).map(|_| proxy.connect()).collect();
    // Accepted clients are served on the open upstream connection.
    many[0].send(&request("GET", "/", &[]));
    let first = many[0].reply("GET").status;
    assert!(matches!(first, 200 | 502), "{first}");
    drop(many);
    wait_for_recovery(&proxy);
}

#[test]
fn after_a_kill_under_load_a_restart_serves_immediately() {
    let origin = Origin::responding(OK);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let start = || start_with_wrapper(&consentry(), &[], &listen, &origin.url(), Stdio::null());
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut proxy = start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                    let mut answer = Vec::new();
                    let asked =
                        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                    if asked.is_ok()
                        && stream.read_to_end(&mut answer).is_ok()
                        && !answer.is_empty()
                    {
                        // Truncated or complete: it never contains a cookie without consent.
                        assert!(!answer.windows(3).any(|window| window == b"_ga"));
                        answered.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let _over = SetOnDrop(&over);
        wait_until("the load has begun", || answered.load(Relaxed) >= 200);
        for _ in 0..3 {
            proxy.signal("KILL");
            proxy.exit_status();
            proxy = start();
            assert_eq!(proxy.get("/", &[]).status, 200);
        }
    });
}

#[test]
fn a_million_requests_leak_neither_memory_nor_descriptors() {
    let folder = folder();
    std::fs::write(folder.path().join("page"), "x".repeat(1024)).unwrap();
    let nginx = Nginx::start(
        folder.path(),
        "keepalive_requests 1000000; server { listen 127.0.0.1:{port}; root {folder};\n\
         add_header Set-Cookie '_ga=1; Path=/'; add_header Set-Cookie 'sid=1; Path=/'; }",
    );
    // The shipped binary, built by `make deb`.
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/container/consentry"));
    let proxy = start_with_wrapper(shipped, &[], ANY_PORT, &nginx.url(), Stdio::null());
    let resident = || proxy.memory_kib("RssAnon:");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", proxy.id())).unwrap().count();
    let mut requests = 0;
    let mut load = |seconds: u32| {
        let output = Command::new(program("wrk"))
            .args(["-t1", "-c32", &format!("-d{seconds}s"), "-H", "Cookie: sid=1; _ga=2; _fbp=3"])
            .arg(format!("http://{}/page", proxy.address))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let count = printed.lines().find_map(|line| line.trim().split_once(" requests in"));
        let count: u64 = count.unwrap().0.parse().unwrap();
        assert!(count > 0, "{printed}");
        requests += count;
        assert!(!printed.contains("Non-2xx"), "{printed}");
        requests
    };
    assert_eq!(proxy.get("/page", &[]).status, 200);
    let open = descriptors();
    load(4);
    let before = resident();
    while load(5) < 1_000_000 {}
    let after = resident();
    assert!(after < before + 4 * 1024, "{before} and then {after} KiB");
    // The clients are gone, and nothing more is sent to the upstream.
    let what = format!("no more than {open} descriptors");
    wait_until(&what, || descriptors() <= open);
}

/// A cgroup with a memory limit in bytes, if the system provides one.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("consentry_test_{}", std::process::id());
        for (root, limit) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/unified", "memory.max"),
        ] {
            let group = Path::new(root).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let this = Self(group);
            if this.0.join(limit).exists()
                && std::fs::write(this.0.join(limit), bytes.to_string()).is_ok()
            {
                return Some(this);
            }
        }
        None
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_flood_of_large_requests_is_served_within_a_small_memory_limit() {
    let origin = Origin::responding(OK);
    // A cgroup, as in a container. Without one, a limit on the process's own data.
    let limited = MemoryCgroup::new(128 << 20);
    let (join, limit);
    let wrapper = match &limited {
        Some(group) => {
            join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
            vec!["sh", "-c", &join, "sh"]
        }
        None => {
            limit = format!("--data={}", 256 << 20);
            vec!["prlimit", &limit]
        }
    };
    let proxy = start_with_wrapper(&consentry(), &wrapper, ANY_PORT, &origin.url(), Stdio::null());
    let body = vec![b'x'; 8 << 20];
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = proxy.connect();
                let length = body.len().to_string();
                client.send(&request("POST", "/", &[("Content-Length", &length)]));
                client.send(&body);
                assert_eq!(client.reply("POST").status, 200);
            });
        }
    });
    assert_eq!(proxy.get("/", &[]).status, 200);
    // The cgroup cannot be removed before.
    drop(proxy);
}

#[test]
fn clock_jumps_change_the_age_of_decisions_but_no_timeout() {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let mut libraries = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|path| path.exists());
    let library = library.expect("libfaketime is missing: `make test` installs it");
    let clock = folder();
    let (file, next) = (clock.path().join("clock"), clock.path().join("next"));
    let jump = |offset: &str| {
        std::fs::write(&next, offset).unwrap();
        std::fs::rename(&next, &file).unwrap();
    };
    jump("+0");
    let origin = Origin::responding(OK);
    let environment = [
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let wrapper: Vec<&str> =
        std::iter::once("env").chain(environment.iter().map(String::as_str)).collect();
    let proxy = start_with_wrapper(&consentry(), &wrapper, ANY_PORT, &origin.url(), Stdio::null());
    let consent = consent_cookie("analytics");
    let cookie = format!("_ga=1; {consent}");
    // One connection throughout: a clock change does not make it idle for a year.
    let mut client = proxy.connect();
    for (offset, passes) in
        [("+0", true), ("+170d", true), ("+400d", false), ("-3650d", false), ("+0", true)]
    {
        jump(offset);
        client.send(&request("GET", "/", &[("Cookie", &cookie)]));
        assert_eq!(client.reply("GET").status, 200, "{offset}");
        let sent = origin.next_request().field("cookie").unwrap_or_default();
        assert_eq!(sent.contains("_ga"), passes, "{offset}: {sent}");
        assert_eq!(proxy.admin("/readyz").0, 200, "{offset}");
    }
}
