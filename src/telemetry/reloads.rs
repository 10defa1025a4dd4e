//! Config reload counters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Config reload counters.
#[derive(Debug, Default)]
pub(crate) struct ReloadCounters {
    done: AtomicU64,
    failed: AtomicU64,
    last_failed: AtomicBool,
}

impl ReloadCounters {
    /// Counts a reload. `done` is whether the new config is active.
    pub(crate) fn count(&self, done: bool) {
        let counter = if done { &self.done } else { &self.failed };
        counter.fetch_add(1, Relaxed);
        self.last_failed.store(!done, Relaxed);
    }

    /// Whether the last reload failed, so that the active config is older than the files.
    pub(crate) fn last_failed(&self) -> bool {
        self.last_failed.load(Relaxed)
    }

    pub(super) fn counts(&self) -> [(&'static str, u64); 2] {
        [("done", self.done.load(Relaxed)), ("failed", self.failed.load(Relaxed))]
    }
}
