//! Test helpers of this module.

use std::time::{Duration, Instant};

/// Time limit for an expected event.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Waits until `holds` returns true.
pub(super) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < TIMEOUT, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
