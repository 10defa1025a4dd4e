//! The files in `deploy/`, checked by the real tools.

use std::process::{Command, Stdio};

use crate::nginx::{PeerProcess, free_port, program, wait_for_listener};
use crate::support::{Origin, RawClient, request};

#[test]
fn the_systemd_unit_is_valid_with_an_exposure_of_at_most_two() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/consentry.service");
    // In tenths. A higher exposure level fails.
    let output = Command::new(program("systemd-analyze"))
        .args(["security", "--offline=true", "--threshold=20", "--no-pager", unit])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Overall exposure level"), "{text}");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.contains("Unknown"), "a key that systemd does not know: {printed}");
}

#[test]
fn sockets_of_systemd_are_inherited_and_unknown_names_are_errors() {
    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    // Another port than the inherited socket, which takes precedence.
    let toml = format!(
        "[listen]\nhttp = '127.0.0.1:1'\nadmin = 'off'\n[[site]]\nupstream = '{}'\n",
        origin.url()
    );
    std::fs::write(&config, toml).unwrap();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let start = || {
        let mut command = Command::new(program("systemd-socket-activate"));
        command.args(["--listen", &address, "--fdname", "http"]);
        command.arg(env!("CARGO_BIN_EXE_consentry")).args(["run", "--config"]).arg(&config);
        PeerProcess::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
    };
    let _first = start();
    wait_for_listener(address.parse().unwrap());
    let mut client = RawClient::connect(address.parse().unwrap());
    client.send(&request("GET", "/", &[]));
    assert_eq!(client.reply("GET").set_cookies(), ["sid=1"]);

    // A socket name that consentry does not support.
    let output = Command::new(program("systemd-socket-activate"))
        .args(["--listen", &format!("127.0.0.1:{}", free_port()), "--fdname", "telnet", "--now"])
        .arg(env!("CARGO_BIN_EXE_consentry"))
        .args(["run", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{printed}");
}

/// The unpacked Debian package.
fn unpacked() -> tempfile::TempDir {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/target/consentry.deb");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("dpkg-deb").args(["-x", package]).arg(folder.path()).output();
    let output = output.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`make deb` makes it: {error}");
    folder
}

#[test]
fn the_debian_package_has_the_expected_files_and_a_valid_config() {
    let folder = unpacked();
    let path = |name: &str| folder.path().join(name);
    for name in [
        "usr/lib/systemd/system/consentry.service",
        "usr/lib/systemd/system/consentry.socket",
        "usr/share/bash-completion/completions/consentry",
        "usr/share/doc/consentry/copyright",
        "usr/share/doc/consentry/consentry.toml",
        "usr/share/man/man1/consentry.1.gz",
        "usr/share/man/man1/consentry-ext-proc.1.gz",
    ] {
        assert!(path(name).exists(), "{name}");
    }
    let run = |arguments: &[&str]| {
        let output = Command::new(path("usr/bin/consentry")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["--version"]).starts_with("consentry "));
    let config = path("etc/consentry/consentry.toml").display().to_string();
    assert!(run(&["check", "--config", &config]).starts_with("ok: listens on 0.0.0.0:8080"));
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/target/consentry.deb");
    let about = Command::new("dpkg-deb").args(["--info", package]).output().unwrap();
    let about = String::from_utf8(about.stdout).unwrap();
    // A static binary has no dependencies.
    let needs = about.lines().find_map(|line| line.trim().strip_prefix("Depends:"));
    assert!(needs.is_none_or(|needs| needs.trim().is_empty()), "{about}");
    for part in ["Package: consentry", "conffiles", "postinst", "prerm"] {
        assert!(about.contains(part), "no {part} in {about}");
    }
}

#[test]
fn man_renders_the_manual_without_warnings() {
    let folder = unpacked();
    let pages = folder.path().join("usr/share/man/man1");
    let mut count = 0;
    for page in std::fs::read_dir(pages).unwrap() {
        let output = Command::new(program("man"))
            .args(["--warnings", "-l"])
            .arg(page.unwrap().path())
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && error.is_empty(), "{error}");
        assert!(output.stdout.len() > 200);
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn the_schema_accepts_the_example_and_reports_errors_in_editors() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("consentry.schema.json");
    let (_, text, _) = crate::support::run(&["schema"], "");
    std::fs::write(&schema, text).unwrap();
    let taplo = |text: &str| {
        let file = folder.path().join("consentry.toml");
        std::fs::write(&file, text).unwrap();
        let program =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/node_modules/.bin/taplo");
        let schema = format!("file://{}", schema.display());
        let output = Command::new(program)
            .args(["check", "--schema", &schema])
            .arg(&file)
            .output()
            .expect("taplo is missing: `make test` installs it");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let example = include_str!("../../config/consentry.toml");
    let (right, printed) = taplo(example);
    assert!(right, "{printed}");
    for (wrong, place) in [
        ("colour = 1", "'colour' was unexpected"),
        ("mode = 'strict'", "consentry.toml:1:8"),
        ("[consent]\nnotice_date = 5", "consentry.toml:2:15"),
        ("[[site]]\nupstream = [{ url = 'http://a', weight = 'x' }]", "consentry.toml:2"),
    ] {
        let (right, printed) = taplo(wrong);
        assert!(!right && printed.contains(place), "{wrong}: {printed}");
    }
}
