//! What becomes of receipts, counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What becomes of receipts.
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

    /// Counts receipts that are neither in the store nor in the spool: the choice was refused.
    pub fn refused(&self, count: u64) {
        self.refused.fetch_add(count, Relaxed);
    }

    /// Says how many wait in the spool.
    pub fn set_waiting(&self, count: u64) {
        self.waiting.store(count, Relaxed);
    }

    /// Sets whether the store is down, and returns whether it was before.
    pub fn set_down(&self, down: bool) -> bool {
        self.down.swap(down, Relaxed)
    }

    /// Sets whether the spool rejects receipts.
    pub fn set_spool_down(&self, down: bool) {
        self.spool_down.store(down, Relaxed);
    }

    /// Why receipts are not as they should be; `None` while they are.
    pub fn degraded(&self) -> Option<String> {
        let waiting = self.waiting.load(Relaxed);
        let store = match (self.down.load(Relaxed), waiting) {
            (true, _) => {
                Some(format!("receipt store unavailable, {waiting} receipts in the spool"))
            }
            (false, 1..) => Some(format!("{waiting} receipts wait in the spool")),
            (false, 0) => None,
        };
        let spool = self.spool_down.load(Relaxed).then(|| "the spool rejects receipts".to_owned());
        let reasons: Vec<String> = store.into_iter().chain(spool).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Stored, spooled, refused, and waiting now.
    pub(crate) fn counts(&self) -> ([(&'static str, u64); 3], u64) {
        let counts = [
            ("stored", self.stored.load(Relaxed)),
            ("spooled", self.spooled.load(Relaxed)),
            ("refused", self.refused.load(Relaxed)),
        ];
        (counts, self.waiting.load(Relaxed))
    }
}
