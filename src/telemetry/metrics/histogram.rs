//! Duration histograms.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use super::counter::{add, zeros};

/// Number of bucket bounds.
const BUCKETS: usize = 14;

/// Upper bucket bounds in seconds, for times that include the network and an upstream.
pub(super) const WAITING: [f64; BUCKETS] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Upper bucket bounds in seconds, for time spent in the proxy.
pub(super) const WORKING: [f64; BUCKETS] = [
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25,
    1.0, 10.0,
];

/// A duration histogram.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64; BUCKETS],
    buckets: [AtomicU64; BUCKETS + 1],
    micros: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64; BUCKETS]) -> Self {
        Self { bounds, buckets: zeros(), micros: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound);
        add(&self.buckets, bucket.unwrap_or(BUCKETS), 1);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn absorb(&self, other: &Self) {
        for (to, from) in self.buckets.iter().zip(&other.buckets) {
            to.fetch_add(from.load(Relaxed), Relaxed);
        }
        self.micros.fetch_add(other.micros.load(Relaxed), Relaxed);
    }

    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|counter| counter.load(Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "microseconds stay far below 2^53")]
        let seconds = self.micros.load(Relaxed) as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }
}
