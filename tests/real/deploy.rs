//! What is in `deploy/`, checked by the real tools.

use std::process::Command;

use crate::nginx::program;

#[test]
fn the_systemd_unit_is_right_and_its_exposure_is_at_most_two() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/consentry.service");
    // In tenths; it fails above.
    let output = Command::new(program("systemd-analyze"))
        .args(["security", "--offline=true", "--threshold=20", "--no-pager", unit])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Overall exposure level"), "{text}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("Unknown"), "a key that systemd does not know: {said}");
}

const MANIFESTS: [&str; 2] = ["gateway.yaml", "sidecar.yaml"];

fn manifest(name: &str) -> String {
    format!("{}/deploy/kubernetes/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_manifests_are_right_by_the_schemas_of_kubernetes() {
    let validate =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/python/bin/kubernetes-validate");
    let output = Command::new(validate).arg("--strict").args(MANIFESTS.map(manifest)).output();
    let output = output.expect("kubernetes-validate is missing: `make test` installs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.matches(" passed ").count() == 9, "{text}");
}

#[test]
fn the_configs_in_the_manifests_are_right() {
    for name in MANIFESTS {
        let text = std::fs::read_to_string(manifest(name)).unwrap();
        let block = text.split("consentry.toml: |\n").nth(1).unwrap();
        let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let toml: String = lines.map(|line| format!("{}\n", line.trim_start())).collect();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("consentry.toml");
        std::fs::write(&config, &toml).unwrap();
        let (code, _, error) =
            crate::support::run(&["check", "--config", config.to_str().unwrap()], "");
        assert_eq!((code, error.as_str()), (0, ""), "{name}\n{toml}");
    }
}
