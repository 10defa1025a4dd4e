//! Counters side by side.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// That many counters at 0.
pub(super) fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

/// Adds to one of them.
pub(super) fn add(counters: &[AtomicU64], index: usize, number: u64) {
    if let Some(counter) = counters.get(index) {
        counter.fetch_add(number, Relaxed);
    }
}
