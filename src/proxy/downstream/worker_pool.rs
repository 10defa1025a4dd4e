//! Worker threads, each with a current-thread runtime.
//!
//! A connection stays with its worker, and so do the upstream connections that its requests open.
//!
//! Previous step: `listener`, which hands each accepted socket to the worker with the fewest
//! connections. Next: `connection`.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::proxy::downstream::client_stream::ClientStream;
use crate::proxy::downstream::connection;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::proxy_protocol::{self, ProxyProtocolHeader};
use crate::proxy::downstream::tls;
use crate::proxy::downstream::worker::{OpenGuard, Worker};
use crate::proxy::site_router::Snapshot;
use crate::proxy::socket_io::SocketIo;
use crate::telemetry::{self, ErrorKind, Metrics};

/// After the start of a drain, idle clients have this long to send their next request.
const LINGER: Duration = Duration::from_secs(1);
/// Minimum and maximum tick of a worker's clock.
const TICKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The running workers.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    handles: Vec<WorkerHandle>,
}

#[derive(Debug)]
struct WorkerHandle {
    worker: Arc<Worker>,
    sender: UnboundedSender<AcceptedConnection>,
    ended: oneshot::Receiver<()>,
}

impl WorkerPool {
    /// Starts one worker per metrics shard.
    ///
    /// # Errors
    /// If a thread or its runtime cannot be created.
    pub(crate) fn start(snapshot: &Arc<ArcSwap<Snapshot>>, metrics: &Metrics) -> io::Result<Self> {
        let mut handles = Vec::new();
        for (id, shard) in metrics.shards().enumerate() {
            let worker = Arc::new(Worker::new(id, Arc::clone(snapshot), shard));
            let (sender, incoming) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .on_thread_park(telemetry::flush_access_log)
                .build()?;
            let task = WorkerThread::new(Arc::clone(&worker)).run(incoming);
            thread::Builder::new().name(format!("worker-{id}")).spawn(move || {
                telemetry::wait_for_flush();
                runtime.block_on(task);
                telemetry::flush_access_log();
                // Name resolution runs on helper threads. The shutdown does not wait for them.
                runtime.shutdown_background();
                let _ = end.send(());
            })?;
            handles.push(WorkerHandle { worker, sender, ended });
        }
        Ok(Self { handles })
    }

    /// Whether the connection limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        let most = self.handles.first().and_then(|handle| handle.worker.most_connections());
        let open = || self.handles.iter().map(|handle| handle.worker.open()).sum::<usize>();
        most.is_some_and(|most| open() >= most)
    }

    /// Hands a connection to the worker with the fewest connections.
    pub(crate) fn dispatch(&self, stream: TcpStream, address: SocketAddr, secure: bool) {
        let fewest = self.handles.iter().min_by_key(|handle| handle.worker.open());
        if let Some(WorkerHandle { worker, sender, .. }) = fewest
            && sender
                .send(AcceptedConnection { stream, address, secure, open: worker.opened() })
                .is_err()
        {
            tracing::error!(worker = worker.id(), "worker died, connection dropped");
        }
    }

    /// Waits for requests in flight, at most for the configured drain timeout.
    pub(crate) async fn drain(self) {
        let ends: Vec<_> = self
            .handles
            .into_iter()
            .map(|WorkerHandle { sender, ended, .. }| {
                drop(sender);
                ended
            })
            .collect();
        for end in ends {
            // An error means that the worker has died, so it has ended too.
            let _ = end.await;
        }
    }
}

/// An accepted connection that is handed to a worker, already counted as open.
#[derive(Debug)]
struct AcceptedConnection {
    stream: TcpStream,
    address: SocketAddr,
    /// The listener uses TLS.
    secure: bool,
    open: OpenGuard,
}

/// A connection whose client is identified.
struct IdentifiedConnection {
    stream: tokio::net::TcpStream,
    address: SocketAddr,
    /// The listener uses TLS.
    secure: bool,
    /// The client uses TLS, either to consentry or to the load balancer.
    client_tls: bool,
}

/// A worker thread: its connections and its sweeper.
#[derive(Debug)]
struct WorkerThread {
    worker: Arc<Worker>,
    connections: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    /// No new connections are expected. Set before the open connections are drained.
    draining: AtomicBool,
}

impl WorkerThread {
    fn new(worker: Arc<Worker>) -> Arc<Self> {
        Arc::new(Self { worker, connections: Mutex::default(), draining: AtomicBool::new(false) })
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConnectionState>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns connections until the listeners have stopped, then drains the open connections.
    async fn run(self: Arc<Self>, mut incoming: UnboundedReceiver<AcceptedConnection>) {
        let sweeper = tokio::spawn(Arc::clone(&self).sweep());
        let mut number = 0;
        while let Some(accepted) = incoming.recv().await {
            self.spawn_connection(number, accepted);
            number += 1;
        }
        self.draining.store(true, Relaxed);
        self.connections().values().for_each(|connection_state| connection_state.activity.drain());
        let longest = self.worker.snapshot().timeouts.drain;
        if tokio::time::timeout(longest, self.worker.all_closed()).await.is_err() {
            let connections = self.worker.open();
            tracing::warn!(
                worker = self.worker.id(),
                connections,
                "drain timeout reached, closing connections"
            );
        }
        sweeper.abort();
    }

    /// Spawns a connection's task.
    fn spawn_connection(self: &Arc<Self>, number: u64, accepted: AcceptedConnection) {
        let AcceptedConnection { stream, address, secure, open } = accepted;
        let stream = match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "cannot serve a client connection"),
        };
        let snapshot = self.worker.snapshot();
        let thread = Arc::clone(self);
        tokio::spawn(async move {
            let mut stream = stream;
            let client = match snapshot.proxy_protocol {
                true => Box::pin(thread.read_proxy_header(&mut stream, address, &snapshot)).await,
                false => Some((address, secure)),
            };
            if let Some((address, client_tls)) = client {
                let identified = IdentifiedConnection { stream, address, secure, client_tls };
                thread.serve(number, identified, snapshot).await;
            }
            drop(open);
        });
    }

    /// Reads the client's address from a PROXY protocol header; `None` if the header is invalid or
    /// the peer is not trusted.
    async fn read_proxy_header(
        &self,
        stream: &mut tokio::net::TcpStream,
        peer: SocketAddr,
        snapshot: &Snapshot,
    ) -> Option<(SocketAddr, bool)> {
        let trusts_all = snapshot.trusted_proxies.is_empty();
        let read = if trusts_all || snapshot.trusts(peer.ip()) {
            let longest = snapshot.timeouts.request_head;
            match tokio::time::timeout(longest, proxy_protocol::read(stream)).await {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(_) => Err("timeout while reading the PROXY protocol header".to_owned()),
            }
        } else {
            Err("the peer is not in listen.trusted_proxies".to_owned())
        };
        match read {
            Ok(ProxyProtocolHeader { client, secure }) => Some((client.unwrap_or(peer), secure)),
            Err(reason) => {
                self.worker.metrics().error(ErrorKind::Connection);
                tracing::debug!(%peer, reason, "connection rejected");
                None
            }
        }
    }

    /// Serves a connection until it ends.
    async fn serve(&self, number: u64, identified: IdentifiedConnection, snapshot: Arc<Snapshot>) {
        let IdentifiedConnection { stream, address, secure, client_tls } = identified;
        let worker = Arc::clone(&self.worker);
        let connection_state =
            Arc::new(ConnectionState::new(worker, address, secure || client_tls));
        self.connections().insert(number, Arc::clone(&connection_state));
        if self.draining.load(Relaxed) {
            // Accepted before the drain, but registered too late to be drained with the others.
            connection_state.activity.drain();
        }
        self.worker.metrics().connection_opened();
        let socket = ClientStream::new(stream);
        if secure {
            // Boxed, so that a connection without TLS does not reserve the memory.
            Box::pin(tls::serve(socket, connection_state, snapshot)).await;
        } else {
            // The connection may outlive this config by far.
            drop(snapshot);
            connection::serve(SocketIo::Tcp(socket), connection_state).await;
        }
        self.connections().remove(&number);
        self.worker.metrics().connection_closed();
    }

    /// Advances the clock and enforces the timeouts.
    async fn sweep(self: Arc<Self>) {
        let (finest, coarsest) = TICKS;
        loop {
            let snapshot = self.worker.snapshot();
            let timeouts = snapshot.timeouts;
            let shortest = timeouts.request_head.min(timeouts.idle).min(timeouts.upstream_idle);
            let step = (shortest / 4).clamp(finest, coarsest);
            tokio::time::sleep(step).await;
            let now = self.worker.clock().next_tick();
            let ticks = |time: Duration| {
                u64::try_from(time.as_nanos().div_ceil(step.as_nanos().max(1))).unwrap_or(u64::MAX)
            };
            let (head, idle) = (ticks(timeouts.request_head), ticks(timeouts.idle));
            let linger = ticks(LINGER);
            for connection_state in self.connections().values() {
                connection_state.activity.enforce_timeouts(now, head, idle, linger);
                if connection_state.activity.is_idle() {
                    connection_state.decision_cache.clear();
                }
            }
            for site in snapshot.sites.all() {
                site.sweep(self.worker.id(), timeouts.upstream_idle);
            }
        }
    }
}
