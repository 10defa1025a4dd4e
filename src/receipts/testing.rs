//! Test helpers of this module.

use std::time::{Duration, Instant};

/// Time limit for an expected event.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds` returns true.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
