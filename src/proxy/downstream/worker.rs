//! What the connections of one worker share: the config in force, counters, a coarse clock.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::proxy::downstream::activity::Clock;
use crate::proxy::site_table::Snapshot;
use crate::proxy::upstream::retry_budget::RetryBudget;
use crate::telemetry::Shard;

/// One worker: what its connections share.
#[derive(Debug)]
pub(crate) struct Worker {
    id: usize,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Shard>,
    clock: Clock,
    requests: AtomicU64,
    retries: RetryBudget,
    /// What tells the request ids of this worker and this run from all others.
    seed: u32,
    /// Connections and tunnels that are not at their end.
    open: AtomicUsize,
    closed: Notify,
}

impl Worker {
    pub(crate) fn new(id: usize, snapshot: Arc<ArcSwap<Snapshot>>, metrics: Arc<Shard>) -> Self {
        let seed = RandomState::new().hash_one(id) & u64::from(u32::MAX);
        Self {
            id,
            snapshot,
            metrics,
            clock: Clock::default(),
            requests: AtomicU64::new(0),
            retries: RetryBudget::new(Instant::now()),
            seed: u32::try_from(seed).unwrap_or_default(),
            open: AtomicUsize::new(0),
            closed: Notify::new(),
        }
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn metrics(&self) -> &Shard {
        &self.metrics
    }

    /// The clock, in steps whose length the sweeper settles.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The config in force. A request takes it once and keeps it to its end.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }

    /// Whether a request may be sent again; if so, it is counted.
    pub(crate) fn may_retry(&self, snapshot: &Snapshot) -> bool {
        let requests = self.requests.load(Relaxed);
        let may = self.retries.take(Instant::now(), requests, &snapshot.limits.retries);
        if may {
            self.metrics.retried();
        }
        may
    }

    /// The id of a request in logs and on error pages.
    pub(crate) fn request_id(&self, number: u64) -> String {
        format!("{:08x}{number:08x}", self.seed)
    }

    /// Counts a connection or a tunnel until the guard is dropped.
    pub(crate) fn opened(self: &Arc<Self>) -> OpenGuard {
        self.open.fetch_add(1, Relaxed);
        OpenGuard(Arc::clone(self))
    }

    /// How many connections all workers may have open, by the config in force.
    pub(crate) fn most_connections(&self) -> Option<usize> {
        self.snapshot.load().limits.connections
    }

    /// How many connections and tunnels are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Waits until none is.
    pub(crate) async fn all_closed(&self) {
        while self.open() > 0 {
            self.closed.notified().await;
        }
    }
}

/// Something open; its end is noticed by whoever waits for the drain.
#[derive(Debug)]
pub(crate) struct OpenGuard(Arc<Worker>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.closed.notify_one();
    }
}
