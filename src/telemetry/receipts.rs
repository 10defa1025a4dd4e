//! What becomes of receipts, counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What becomes of receipts.
#[derive(Debug, Default)]
pub struct ReceiptCounters {
    stored: AtomicU64,
    spooled: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    down: AtomicBool,
}

impl ReceiptCounters {
    /// Counts receipts written to the store.
    pub fn stored(&self, count: u64) {
        self.stored.fetch_add(count, Relaxed);
    }

    /// Counts receipts written to the spool.
    pub fn spooled(&self, count: u64) {
        self.spooled.fetch_add(count, Relaxed);
    }

    /// Counts receipts that could not be written.
    pub fn lost(&self, count: u64) {
        self.lost.fetch_add(count, Relaxed);
    }

    /// Says how many wait in the spool.
    pub fn set_waiting(&self, count: u64) {
        self.waiting.store(count, Relaxed);
    }

    /// Says whether the store is down.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Relaxed);
    }

    /// Why receipts are not as they should be; `None` while they are.
    pub fn degraded(&self) -> Option<String> {
        let waiting = self.waiting.load(Relaxed);
        match (self.down.load(Relaxed), waiting) {
            (true, _) => {
                Some(format!("the store of receipts is down, {waiting} wait in the spool"))
            }
            (false, 1..) => Some(format!("{waiting} receipts wait in the spool")),
            (false, 0) => None,
        }
    }

    /// Stored, spooled, lost, and waiting now.
    pub(super) fn counts(&self) -> ([(&'static str, u64); 3], u64) {
        let counts = [
            ("stored", self.stored.load(Relaxed)),
            ("spooled", self.spooled.load(Relaxed)),
            ("lost", self.lost.load(Relaxed)),
        ];
        (counts, self.waiting.load(Relaxed))
    }
}
