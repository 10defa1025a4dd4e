//! Worker threads: one current-thread runtime a core. A connection stays with its worker for
//! life, and so do the connections to upstreams that its requests open.
//!
//! Previous step: `listen`, which hands each accepted socket to the worker with the fewest. Next:
//! `connection`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, oneshot};

use super::connection::{self, Visitor};
use super::site::Snapshot;
use crate::telemetry::{Metrics, Shard};

/// The finest and the coarsest step of a worker's clock for timeouts.
const TICKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// One worker: what its connections share.
#[derive(Debug)]
pub struct Worker {
    id: usize,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Shard>,
    /// A clock as coarse as the timeouts allow: reading it costs a request nothing.
    tick: AtomicU64,
    requests: AtomicU64,
    /// What tells the request ids of this worker and this run from all others.
    seed: u32,
    visitors: Mutex<HashMap<u64, Arc<Visitor>>>,
    /// Connections and tunnels that are not at their end.
    open: AtomicUsize,
    closed: Notify,
}

impl Worker {
    fn new(id: usize, snapshot: Arc<ArcSwap<Snapshot>>, metrics: Arc<Shard>) -> Self {
        let seed = RandomState::new().hash_one(id) & u64::from(u32::MAX);
        Self {
            id,
            snapshot,
            metrics,
            tick: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            seed: u32::try_from(seed).unwrap_or_default(),
            visitors: Mutex::default(),
            open: AtomicUsize::new(0),
            closed: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> usize {
        self.id
    }

    pub(super) fn metrics(&self) -> &Shard {
        &self.metrics
    }

    pub(super) fn tick(&self) -> u64 {
        self.tick.load(Relaxed)
    }

    /// The config in force. A request takes it once and keeps it to its end.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(super) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }

    /// The id of a request in logs and on error pages.
    pub(super) fn request_id(&self, number: u64) -> String {
        format!("{:08x}{number:08x}", self.seed)
    }

    /// Counts a tunnel until the guard is dropped.
    pub(super) fn tunnel_opened(self: &Arc<Self>) -> OpenGuard {
        self.open.fetch_add(1, Relaxed);
        OpenGuard(Arc::clone(self))
    }

    fn visitors(&self) -> MutexGuard<'_, HashMap<u64, Arc<Visitor>>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a connection's task. It was counted as open when it was handed over.
    fn admit(self: &Arc<Self>, number: u64, stream: TcpStream, address: SocketAddr) {
        let open = OpenGuard(Arc::clone(self));
        let stream = match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a visitor's connection cannot be served"),
        };
        let snapshot = self.snapshot();
        let visitor = Arc::new(Visitor::new(Arc::clone(self), address, &snapshot));
        self.visitors().insert(number, Arc::clone(&visitor));
        self.metrics.connection_opened();
        tokio::spawn(async move {
            let worker = Arc::clone(&open.0);
            connection::serve(stream, visitor, snapshot).await;
            worker.visitors().remove(&number);
            worker.metrics.connection_closed();
            drop(open);
        });
    }

    /// Takes connections until there are no more to come, then lets those that are open end.
    async fn run(self: Arc<Self>, mut incoming: UnboundedReceiver<(TcpStream, SocketAddr)>) {
        let sweeper = tokio::spawn(Arc::clone(&self).sweep());
        let mut number = 0;
        while let Some((stream, address)) = incoming.recv().await {
            self.admit(number, stream, address);
            number += 1;
        }
        let longest = self.snapshot().timeouts.drain;
        if tokio::time::timeout(longest, self.drained()).await.is_err() {
            let left = self.open.load(Relaxed);
            tracing::warn!(worker = self.id, connections = left, "the drain timeout has passed, connections are cut");
        }
        sweeper.abort();
    }

    async fn drained(&self) {
        self.visitors().values().for_each(|visitor| visitor.finish());
        while self.open.load(Relaxed) > 0 {
            self.closed.notified().await;
        }
    }

    /// Moves the clock on and ends what has waited for too long.
    async fn sweep(self: Arc<Self>) {
        loop {
            let snapshot = self.snapshot();
            let timeouts = snapshot.timeouts;
            let (finest, coarsest) = TICKS;
            let shortest = timeouts.request_head.min(timeouts.idle).min(timeouts.upstream_idle);
            let step = (shortest / 4).clamp(finest, coarsest);
            tokio::time::sleep(step).await;
            let now = self.tick.fetch_add(1, Relaxed) + 1;
            let ticks = |time: Duration| {
                u64::try_from(time.as_nanos().div_ceil(step.as_nanos().max(1))).unwrap_or(u64::MAX)
            };
            let (head, idle) = (ticks(timeouts.request_head), ticks(timeouts.idle));
            self.visitors().values().for_each(|visitor| visitor.check(now, head, idle));
            for site in snapshot.sites.all() {
                site.sweep(self.id, timeouts.upstream_idle);
            }
        }
    }
}

/// Something open; its end is noticed by whoever waits for the drain.
#[derive(Debug)]
pub(super) struct OpenGuard(Arc<Worker>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.closed.notify_one();
    }
}

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    each: Vec<Handle>,
}

#[derive(Debug)]
struct Handle {
    worker: Arc<Worker>,
    sockets: UnboundedSender<(TcpStream, SocketAddr)>,
    ended: oneshot::Receiver<()>,
}

impl Workers {
    /// Starts as many workers as the metrics have shards.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub fn start(snapshot: &Arc<ArcSwap<Snapshot>>, metrics: &Metrics) -> io::Result<Self> {
        let mut each = Vec::new();
        for (id, shard) in metrics.shards().enumerate() {
            let worker = Arc::new(Worker::new(id, Arc::clone(snapshot), shard));
            let (sockets, incoming) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let task = Arc::clone(&worker).run(incoming);
            thread::Builder::new().name(format!("worker-{id}")).spawn(move || {
                runtime.block_on(task);
                // Resolving names runs on helper threads: nobody waits for those.
                runtime.shutdown_background();
                let _ = end.send(());
            })?;
            each.push(Handle { worker, sockets, ended });
        }
        Ok(Self { each })
    }

    /// Hands a connection to the worker that has the fewest.
    pub(super) fn hand_over(&self, stream: TcpStream, address: SocketAddr) {
        let fewest = self.each.iter().min_by_key(|handle| handle.worker.open.load(Relaxed));
        if let Some(handle) = fewest {
            handle.worker.open.fetch_add(1, Relaxed);
            if handle.sockets.send((stream, address)).is_err() {
                tracing::error!(worker = handle.worker.id, "a worker has died, its connection is dropped");
            }
        }
    }

    /// Lets what is under way end, for as long as the config allows.
    pub async fn drain(self) {
        let ends: Vec<_> = self
            .each
            .into_iter()
            .map(|Handle { sockets, ended, .. }| {
                drop(sockets);
                ended
            })
            .collect();
        for end in ends {
            // An error is a worker that has died: it has ended, too.
            let _ = end.await;
        }
    }
}
