//! State shared by the connections of one worker: current config, metrics and a coarse clock.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::proxy::downstream::activity::Clock;
use crate::proxy::site_router::Snapshot;
use crate::proxy::upstream::retry_budget::RetryBudget;
use crate::telemetry::Shard;

/// State shared by the connections of one worker.
#[derive(Debug)]
pub(crate) struct Worker {
    id: usize,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Shard>,
    clock: Clock,
    requests: AtomicU64,
    retries: RetryBudget,
    /// Makes request IDs unique across workers and runs.
    seed: u32,
    /// Connections and tunnels that are still open.
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

    /// The coarse clock. The sweeper sets the length of a tick.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The current config. A request loads it once and keeps it until the request ends.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }

    /// Whether the retry budget allows a retry. An allowed retry is counted.
    pub(crate) fn may_retry(&self, snapshot: &Snapshot) -> bool {
        let requests = self.requests.load(Relaxed);
        let may = self.retries.take(Instant::now(), requests, &snapshot.limits.retries);
        if may {
            self.metrics.retried();
        }
        may
    }

    /// The ID of a request in logs and on error pages.
    pub(crate) fn request_id(&self, number: u64) -> String {
        format!("{:08x}{number:08x}", self.seed)
    }

    /// Counts a connection or tunnel until the guard is dropped.
    pub(crate) fn opened(self: &Arc<Self>) -> OpenGuard {
        self.open.fetch_add(1, Relaxed);
        OpenGuard(Arc::clone(self))
    }

    /// The connection limit across all workers, from the current config.
    pub(crate) fn most_connections(&self) -> Option<usize> {
        self.snapshot.load().limits.connections
    }

    /// The number of open connections and tunnels.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Waits until all connections and tunnels are closed.
    pub(crate) async fn all_closed(&self) {
        while self.open() > 0 {
            self.closed.notified().await;
        }
    }
}

/// Guard for an open connection or tunnel. Dropping the guard wakes a task that waits for the
/// drain.
#[derive(Debug)]
pub(crate) struct OpenGuard(Arc<Worker>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.closed.notify_one();
    }
}
