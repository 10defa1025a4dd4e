//! How reloads of the config went.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// How reloads of the config went.
#[derive(Debug, Default)]
pub struct ReloadCounters {
    done: AtomicU64,
    failed: AtomicU64,
    last_failed: AtomicBool,
}

impl ReloadCounters {
    /// Counts a reload: whether the new config is in force.
    pub fn count(&self, done: bool) {
        let counter = if done { &self.done } else { &self.failed };
        counter.fetch_add(1, Relaxed);
        self.last_failed.store(!done, Relaxed);
    }

    /// Whether the last one failed: an older config is in force than the files have.
    pub fn last_failed(&self) -> bool {
        self.last_failed.load(Relaxed)
    }

    pub(super) fn counts(&self) -> [(&'static str, u64); 2] {
        [("done", self.done.load(Relaxed)), ("failed", self.failed.load(Relaxed))]
    }
}
