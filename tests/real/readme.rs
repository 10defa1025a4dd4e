//! The README's commands, run unchanged in an empty directory, except for the ports.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::nginx::{free_port, wait_for_listener};
use crate::support::Origin;

/// The `sh` blocks of a Markdown file.
fn blocks(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

struct RunningCommand(Child);

impl RunningCommand {
    fn interrupt(mut self) {
        let sent = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(self.0.wait().unwrap().success(), "it ends with 0 at Ctrl-C");
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell whose `consentry` command is the binary under test.
fn shell(script: &str, folder: &Path) -> Command {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_consentry"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    command
}

#[test]
fn the_printed_commands_of_the_demo_show_the_difference() {
    let [demo, test, ..] = &blocks("README.md")[..] else { panic!("the two commands come first") };
    assert_eq!(demo, "cargo run --release -- demo\n");
    assert_eq!(test, "make test\n");
    let mut command = Command::new("sh");
    // cargo sets these variables for tests. They would cause ring and its dependents to be recompiled.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(["-c", &format!("exec {demo}")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // The same command, with the flags of `make static`, which has just built the binary.
        .env("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let running = RunningCommand(child);
    let printed: Vec<String> =
        lines.by_ref().take_while(|line| !line.starts_with("Access log")).collect();
    let commands: Vec<&str> =
        printed.iter().filter_map(|line| line.trim().strip_prefix("curl ")).collect();
    assert_eq!(commands.len(), 3, "{printed:#?}");
    let names = |command: &str| -> Vec<String> {
        let output = shell(&format!("curl {command}"), &std::env::temp_dir()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| line["set-cookie: ".len()..].split('=').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(commands[0]),
        ["csrftoken", "NEXT_LOCALE", "_ga", "_fbp", "__atuvc", "demo_offer"]
    );
    assert_eq!(names(commands[1]), ["csrftoken"]);
    assert_eq!(names(commands[2]), ["csrftoken", "_ga"]);
    let proxy = commands[1].split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let browse = |arguments: &str| {
        let script = format!("curl -s -b jar -c jar {arguments}");
        String::from_utf8(shell(&script, folder.path()).output().unwrap().stdout).unwrap()
    };
    assert!(browse(proxy).contains("You are not logged in."));
    browse(&format!("-d '' {proxy}login"));
    for _ in 0..2 {
        let page = browse(proxy);
        assert!(
            page.contains("You are logged in.")
                && page.contains("<code>csrftoken, sessionid</code>"),
            "{page}"
        );
    }
    // With the suggested rules nothing is unclassified.
    let suggest =
        printed.iter().find_map(|line| line.trim().strip_prefix("consentry suggest ")).unwrap();
    let origin = commands[0].split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let script = format!(
        "consentry suggest {suggest} > c.toml
         printf '[[site]]\\nupstream = \"{}\"\\n' >> c.toml
         consentry check --config c.toml
         consentry inventory {suggest} --json | grep -c '\"category\": null'
         consentry classify --config c.toml demo_offer",
        origin.trim_end_matches('/')
    );
    let output = shell(&script, folder.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.starts_with("ok: "), "{text}");
    assert!(text.ends_with("demo_offer\tanalytics\t-\tdemo_offer\n"), "{text}");
    assert!(text.contains("\n1\n"), "one was unknown: {text}");
    // A terminal sends Ctrl-C to the process group of cargo. Without a terminal the demo gets the signal directly.
    let demo = Command::new("pgrep").args(["-P", &running.0.id().to_string()]).output().unwrap();
    match String::from_utf8(demo.stdout).unwrap().trim() {
        "" => running.interrupt(),
        child => {
            assert!(Command::new("kill").args(["-INT", child]).status().unwrap().success());
            let mut running = running;
            assert!(running.0.wait().unwrap().success(), "it ends with 0 at Ctrl-C");
        }
    }
}

#[test]
fn the_quick_start_works_as_documented() {
    let origin = Origin::setting_cookies(&["_ga=1", "PHPSESSID=1", "mystery=1"]);
    let (http, admin) = (free_port(), free_port());
    let local = |text: &str| {
        text.replace("127.0.0.1:3000", &origin.address.to_string())
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{http}"))
            .replace("127.0.0.1:9090", &format!("127.0.0.1:{admin}"))
    };
    let blocks = blocks("README.md");
    let [_, _, install, write, run, look, ask, explain] = &blocks[..] else {
        panic!("{} blocks", blocks.len())
    };
    // Installing would build again in another directory. Checking that it is possible is sufficient.
    assert_eq!(install, "cargo install --locked --path .\n");
    let folder = tempfile::tempdir().unwrap();
    let output_of = |script: &str| {
        let mut command = shell(&local(script), folder.path());
        let output = command.env("CONSENTRY_ADMIN", format!("127.0.0.1:{admin}")).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(output_of(write).starts_with("ok: "));
    assert!(run.ends_with("--mode observe\n"));
    let start = format!("exec {}", local(run));
    let mut command = shell(&start, folder.path());
    command
        .env("CONSENTRY_ADMIN", format!("127.0.0.1:{admin}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = RunningCommand(command.spawn().unwrap());
    wait_for_listener(([127, 0, 0, 1], http).into());
    let inventory = output_of(look);
    assert!(
        inventory.contains("category=\"analytics\",mode=\"observe\",direction=\"response\"} 1"),
        "{inventory}"
    );
    assert!(
        inventory.contains("mystery") && inventory.contains("shop_theme_dark\tfunctional"),
        "{inventory}"
    );
    let suggestions = output_of(ask);
    assert!(
        suggestions.to_lowercase().contains("set-cookie: mystery=1"),
        "observe changes nothing: {suggestions}"
    );
    assert!(suggestions.contains(r#""granted":["necessary","analytics"]"#), "{suggestions}");
    let explanation = output_of(explain);
    for line in [
        "parameter   strip   fbclid: ",
        "cookie      strip   _ga: ",
        "cookie      strip   shop_theme_dark: functional",
    ] {
        assert!(explanation.contains(line), "no {line} in {explanation}");
    }
    assert!(explanation.contains("rule `shop_theme_*` (consentry.toml:7)"), "{explanation}");
    running.interrupt();
}
