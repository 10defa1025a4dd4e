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
