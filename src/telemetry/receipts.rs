//! Receipt counters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Receipt counters.
#[derive(Debug, Default)]
pub struct ReceiptCounters {
    stored: AtomicU64,
    spooled: AtomicU64,
    refused: AtomicU64,
    waiting: AtomicU64,
    down: AtomicBool,
    spool_down: AtomicBool,
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

    /// Counts receipts that reached neither the store nor the spool. Their decisions were rejected.
    pub fn refused(&self, count: u64) {
        self.refused.fetch_add(count, Relaxed);
    }

    /// Sets the number of receipts in the spool.
    pub fn set_waiting(&self, count: u64) {
        self.waiting.store(count, Relaxed);
    }

    /// Sets whether the store is unavailable, and returns the previous value.
    pub fn set_down(&self, down: bool) -> bool {
        self.down.swap(down, Relaxed)
    }

    /// Sets whether the spool rejects receipts.
    pub fn set_spool_down(&self, down: bool) {
        self.spool_down.store(down, Relaxed);
    }

    /// Why receipts are degraded. `None` if they are not.
    pub fn degraded(&self) -> Option<String> {
        let waiting = self.waiting.load(Relaxed);
        let store = match (self.down.load(Relaxed), waiting) {
            (true, _) => {
                Some(format!("receipt store unavailable, {waiting} receipts in the spool"))
            }
            (false, 1..) => Some(format!("{waiting} receipts in the spool")),
            (false, 0) => None,
        };
        let spool = self.spool_down.load(Relaxed).then(|| "the spool rejects receipts".to_owned());
        let reasons: Vec<String> = store.into_iter().chain(spool).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The counts of stored, spooled and refused receipts, and the number now in the spool.
    pub(crate) fn counts(&self) -> ([(&'static str, u64); 3], u64) {
        let counts = [
            ("stored", self.stored.load(Relaxed)),
            ("spooled", self.spooled.load(Relaxed)),
            ("refused", self.refused.load(Relaxed)),
        ];
        (counts, self.waiting.load(Relaxed))
    }
}
