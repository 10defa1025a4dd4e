//! A real PostgreSQL server for a test.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A server in a temporary directory. Stopped on drop.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    options: String,
}

impl Postgres {
    /// Starts a server that listens on a socket in its directory, and optionally on TCP with TLS.
    pub fn start(tcp: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server does not run as root, and needs access to the directory.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let versions = std::fs::read_dir("/usr/lib/postgresql").map(|all| {
            let all = all.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
            all.filter(|programs| programs.join("initdb").exists()).max()
        });
        let programs = versions.ok().flatten();
        let programs = programs.expect("PostgreSQL is missing: `make test` installs it");
        let sockets = folder.path().display().to_string();
        let mut options =
            format!("-c unix_socket_directories={sockets} -c fsync=off -c listen_addresses=");
        let mut server = Self { folder, programs, options: String::new() };
        let data = server.path("data");
        server.run("initdb", &["-D", &data, "-A", "trust", "-U", "consentry", "--no-sync"]);
        if let Some(port) = tcp {
            server.certificate();
            options = format!("{options}127.0.0.1 -p {port} -c ssl=on");
        }
        server.options = options;
        server.start_server();
        server
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program as an unprivileged user, because PostgreSQL refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let root = std::fs::metadata("/proc/self")
            .map(|own| std::os::unix::fs::MetadataExt::uid(&own))
            .unwrap()
            == 0;
        let mut command = if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let output = command.args(arguments).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{program:?} {arguments:?}: {output:?}");
        output
    }

    /// Writes a self-signed certificate.
    fn certificate(&self) {
        let (key, certificate) = (self.path("data/server.key"), self.path("data/server.crt"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        // Overwrites the server's own files, to keep their owner.
        for (path, text) in
            [(&key, made.signing_key.serialize_pem()), (&certificate, made.cert.pem())]
        {
            std::fs::write(path, text).unwrap();
            let owned = self.folder.path().join("data/PG_VERSION");
            let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(owned).unwrap());
            std::os::unix::fs::chown(path, Some(owner), None).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        std::fs::write(self.path("ca.pem"), made.cert.pem()).unwrap();
    }

    pub fn start_server(&self) {
        let (data, log) = (self.path("data"), self.path("log"));
        // Its standard output would keep the test's pipe open.
        self.run("pg_ctl", &["-D", &data, "-l", &log, "-o", &self.options, "-w", "-s", "start"]);
    }

    pub fn stop_server(&self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-s", "stop"]);
    }

    /// Sends a signal to every process of the server. `STOP` makes it hang.
    pub fn signal(&self, name: &str) {
        let pid_file = std::fs::read_to_string(self.path("data/postmaster.pid")).unwrap();
        let server = pid_file.lines().next().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
        let children = children.unwrap();
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(server)
            .args(children.split_whitespace())
            .status();
        assert!(status.unwrap().success());
    }

    /// Locks the receipts table against all other sessions until the returned process is killed.
    pub fn lock_receipts(&self) -> Session {
        let folder = self.folder.path().display().to_string();
        let mut session = Command::new(self.programs.join("psql"))
            .args(["-h", &folder, "-U", "consentry", "-d", "postgres", "-Atq"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lock = "BEGIN; LOCK TABLE consent_receipts; SELECT 'locked';\n";
        session.stdin.as_mut().unwrap().write_all(lock.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(session.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "locked");
        Session(session)
    }

    /// The URL of the server's Unix socket.
    pub fn url(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://consentry@{folder}/postgres")
    }

    /// The result of an SQL query.
    pub fn query(&self, sql: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let output = self
            .run("psql", &["-h", &folder, "-U", "consentry", "-d", "postgres", "-At", "-c", sql]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A psql session with an open transaction. Killed on drop.
pub struct Session(Child);

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("runuser")
            .args(["-u", "postgres", "--"])
            .arg(self.programs.join("pg_ctl"))
            .args(["-D", &self.path("data"), "-m", "immediate", "-s", "stop"])
            .output();
    }
}
