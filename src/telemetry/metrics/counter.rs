//! Arrays of counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Returns `N` counters set to 0.
pub(super) fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

/// Adds to the counter at `index`.
pub(super) fn add(counters: &[AtomicU64], index: usize, number: u64) {
    if let Some(counter) = counters.get(index) {
        counter.fetch_add(number, Relaxed);
    }
}

/// The count at `index`.
pub(super) fn get(counters: &[AtomicU64], index: usize) -> u64 {
    counters.get(index).map_or(0, |counter| counter.load(Relaxed))
}
