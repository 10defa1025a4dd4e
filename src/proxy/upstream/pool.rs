//! Upstream connection pool, per worker.
//!
//! A connection belongs to the runtime of its worker. Each worker has its own pool, so that taking
//! and releasing a connection never waits for another core.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::uri;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::config::settings::{Limits, Scheme, Timeouts, Upstream as Address, WeightedUpstream};
use crate::proxy::deadline::ReusableTimer;
use crate::proxy::downstream::client_stream::ClientStream;
use crate::proxy::request::error::ProxyError;
use crate::proxy::socket_io::SocketIo;
use crate::proxy::upstream::client::{self, Http2Connection, StreamPermit, UpstreamClient};
use crate::proxy::upstream::http1_connection::Http1Upstream;
use crate::proxy::upstream::upstream_health::UpstreamHealth;
use crate::telemetry::Shard;
use crate::tls::UpstreamTls;

/// TCP keepalive time for upstream connections.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Settings for the TLS handshake with an upstream.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamHandshake {
    /// The rustls config.
    pub config: Arc<ClientConfig>,
    /// The rustls config for HTTP/1.1 only, such as for requests that switch protocols.
    pub http1: Arc<ClientConfig>,
    /// The name for SNI and certificate verification.
    pub name: ServerName<'static>,
    /// The settings that the configs were made from.
    pub settings: UpstreamTls,
}

/// An upstream: its settings, and state that survives a config reload.
pub(crate) struct UpstreamPool {
    address: Address,
    weight: usize,
    /// Values in the affinity cookie: the first is written, all are accepted.
    tags: Vec<String>,
    tls: Option<UpstreamHandshake>,
    /// Health and load of the server at the address.
    server: Arc<ServerState>,
    /// Connections made with these TLS settings.
    pool: Arc<Pool>,
}

/// Health and load of the server at an address, independent of the settings.
#[derive(Debug, Default)]
struct ServerState {
    health: UpstreamHealth,
    /// Requests in flight, if counted.
    in_flight: AtomicUsize,
}

/// Connections to an upstream.
#[derive(Debug)]
struct Pool {
    /// The upstream has rejected HTTP/2 with HTTP_1_1_REQUIRED.
    requires_http1: AtomicBool,
    workers: Vec<Mutex<WorkerConnections>>,
}

/// The connections of one worker.
#[derive(Debug, Default)]
struct WorkerConnections {
    idle: VecDeque<Idle>,
    shared: Vec<(Http2Connection, Instant)>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Http1Upstream>,
    timer: ReusableTimer,
    since: Instant,
}

/// A connection in use, released to the pool after a complete response.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    pub(crate) sender: UpstreamClient,
    pub(crate) timer: ReusableTimer,
    upstream: Arc<UpstreamPool>,
    worker: u32,
    max_idle: u32,
    /// The owner of a private connection; `None` for pooled ones. The connection is authenticated
    /// by a login, so no other client may use it.
    owner: Option<Arc<PrivateConnections>>,
    /// The stream of a shared connection, held until the response has ended.
    _stream: Option<StreamPermit>,
    _counted: Option<InFlightGuard>,
}

/// The requirements of a request for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRequirements {
    /// Any connection.
    Any,
    /// HTTP/1.1, the only version here that can switch protocols.
    Upgrade,
    /// A connection without other clients, because the request authenticates it. HTTP/1.1 is
    /// preferred.
    Private,
}

/// Private upstream connections of one client connection, authenticated by a login.
///
/// They are closed together with the client connection.
#[derive(Debug, Default)]
pub(crate) struct PrivateConnections(Mutex<Vec<PrivateConnection>>);

#[derive(Debug)]
struct PrivateConnection {
    upstream: Arc<UpstreamPool>,
    sender: UpstreamClient,
    timer: ReusableTimer,
    since: Instant,
}

/// Maximum private connections of a client connection, with one per upstream.
const MAX_PRIVATE: usize = 8;

impl PrivateConnections {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<PrivateConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the private connection to one of these upstreams, unless it was idle for too long.
    pub(crate) fn take(
        self: &Arc<Self>,
        upstreams: &[Arc<UpstreamPool>],
        worker: usize,
        (limits, timeouts): (&Limits, &Timeouts),
    ) -> Option<PooledConnection> {
        let mut all = self.all();
        let is_of = |server: &PrivateConnection| {
            upstreams.iter().any(|upstream| upstream.shares_pool(&server.upstream))
        };
        let index = all.iter().position(is_of)?;
        let PrivateConnection { upstream, sender, timer, since } = all.swap_remove(index);
        let fresh = since.elapsed() < timeouts.upstream_idle;
        let connection = fresh.then(|| upstream.pooled(sender, None, worker, limits))?;
        Some(PooledConnection { timer, owner: Some(Arc::clone(self)), ..connection })
    }

    fn insert(&self, connection: PrivateConnection) {
        let mut all = self.all();
        all.retain(|server| !server.upstream.shares_pool(&connection.upstream));
        if all.len() < MAX_PRIVATE {
            all.push(connection);
        }
    }
}

/// Counts a request in flight until its response has ended.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<ServerState>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for UpstreamPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamPool").field("address", &self.address).finish_non_exhaustive()
    }
}

impl UpstreamPool {
    /// Creates an upstream for this many workers, with `tags` for the affinity cookie.
    ///
    /// Health and load of `before`, the previous upstream at this address, are kept. Its
    /// connections are kept if the TLS settings are equal.
    pub(crate) fn new(
        upstream: &WeightedUpstream,
        tags: Vec<String>,
        tls: Option<UpstreamHandshake>,
        workers: usize,
        before: Option<&Self>,
    ) -> Self {
        let server = before.map(|before| Arc::clone(&before.server)).unwrap_or_default();
        let before = before.filter(|before| match (&before.tls, &tls) {
            (None, None) => true,
            (Some(before), Some(tls)) => before.settings == tls.settings,
            _ => false,
        });
        let pool = || {
            let workers = (0..workers).map(|_| Mutex::default()).collect();
            Arc::new(Pool { requires_http1: AtomicBool::new(false), workers })
        };
        Self {
            address: upstream.address.clone(),
            weight: usize::try_from(upstream.weight).unwrap_or(1).max(1),
            tags,
            // Keeps the TLS session cache.
            tls: before.map_or(tls, |before| before.tls.clone()),
            server,
            pool: before.map_or_else(pool, |before| Arc::clone(&before.pool)),
        }
    }

    /// Whether both upstreams are the same server with the same TLS settings.
    fn shares_pool(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool)
    }

    /// The health state.
    pub(crate) fn health(&self) -> &UpstreamHealth {
        &self.server.health
    }

    /// The address.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The load balancing weight.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// The value for a new affinity cookie.
    pub(crate) fn id(&self) -> &str {
        self.tags.first().map_or("", String::as_str)
    }

    /// Whether a value of the affinity cookie belongs to this upstream.
    pub(crate) fn has_tag(&self, value: &[u8]) -> bool {
        self.tags.iter().any(|tag| tag.as_bytes() == value)
    }

    /// Whether the upstream is ejected or unhealthy.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.server.health.is_unavailable()
    }

    /// The number of requests in flight, if counted.
    pub(crate) fn in_flight(&self) -> usize {
        self.server.in_flight.load(Relaxed)
    }

    /// Counts a request until its response has ended.
    pub(crate) fn count(self: &Arc<Self>) -> InFlightGuard {
        self.server.in_flight.fetch_add(1, Relaxed);
        InFlightGuard(Arc::clone(&self.server))
    }

    fn connections(&self, worker: usize) -> Option<std::sync::MutexGuard<'_, WorkerConnections>> {
        self.pool
            .workers
            .get(worker)
            .map(|connections| connections.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a pooled connection: a stream of a shared connection, or the most recently used idle
    /// one.
    pub(crate) fn take(
        self: &Arc<Self>,
        worker: usize,
        limits: &Limits,
        need: ConnectionRequirements,
    ) -> Option<PooledConnection> {
        let mut connections = self.connections(worker)?;
        let is_exclusive =
            need == ConnectionRequirements::Private || self.tls.is_some() && self.wants_http1(need);
        if !is_exclusive && !connections.shared.is_empty() {
            let free = |(shared, _): &(Http2Connection, Instant)| {
                Some((shared.clone(), shared.reserve_stream()?))
            };
            let (shared, stream) = connections.shared.iter().find_map(free)?;
            drop(connections);
            return Some(self.pooled(
                UpstreamClient::Http2(shared, None),
                Some(stream),
                worker,
                limits,
            ));
        }
        let Idle { connection, timer, .. } = loop {
            let mut idle = connections.idle.pop_back()?;
            if idle.connection.is_ready() {
                break idle;
            }
        };
        drop(connections);
        let connection = self.pooled(UpstreamClient::Http1(connection), None, worker, limits);
        Some(PooledConnection { timer, ..connection })
    }

    /// Whether a request prefers HTTP/1.1.
    fn wants_http1(&self, need: ConnectionRequirements) -> bool {
        need != ConnectionRequirements::Any || self.pool.requires_http1.load(Relaxed)
    }

    /// Records that the upstream rejects HTTP/2 (RFC 9113 section 7, HTTP_1_1_REQUIRED). Returns
    /// whether HTTP/1.1 can be used instead.
    pub(crate) fn require_http1(&self) -> bool {
        if self.tls.is_some() && !self.pool.requires_http1.swap(true, Relaxed) {
            tracing::info!(upstream = %self.address, "upstream requires HTTP/1.1");
        }
        self.tls.is_some()
    }

    /// Opens a connection.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        worker: usize,
        (limits, timeouts): (&Limits, &Timeouts),
        need: ConnectionRequirements,
        metrics: &Shard,
    ) -> Result<PooledConnection, ProxyError> {
        let sender = match self.open_with_timeout(limits, timeouts.connect, need).await {
            Ok(sender) => sender,
            Err(error) => {
                // A failure caused by the request's need for HTTP/1.1 must not eject the upstream:
                // it may support only HTTP/2, and clients select their needs.
                let chosen = need != ConnectionRequirements::Any && self.tls.is_some();
                if !chosen && let Some(pause) = self.server.health.record_failure() {
                    tracing::warn!(upstream = %self.address, ?pause, "upstream refused connection, ejected");
                }
                return Err(error);
            }
        };
        if self.server.health.record_success() {
            tracing::info!(upstream = %self.address, "upstream accepts connections again");
        }
        metrics.upstream_connected();
        let stream = match &sender {
            UpstreamClient::Http1(_) => None,
            UpstreamClient::Http2(shared, _) => {
                if need != ConnectionRequirements::Private
                    && let Some(mut connections) = self.connections(worker)
                {
                    connections.shared.push((shared.clone(), Instant::now()));
                }
                shared.reserve_stream()
            }
        };
        Ok(self.pooled(sender, stream, worker, limits))
    }

    /// Opens a connection, with a timeout.
    pub(crate) async fn open_with_timeout(
        &self,
        limits: &Limits,
        longest: Duration,
        need: ConnectionRequirements,
    ) -> Result<UpstreamClient, ProxyError> {
        let opened = tokio::time::timeout(longest, self.open(limits, need)).await;
        opened.unwrap_or_else(|_| Err(ProxyError::ConnectTimeout(self.address.clone())))
    }

    async fn open(
        &self,
        limits: &Limits,
        need: ConnectionRequirements,
    ) -> Result<UpstreamClient, ProxyError> {
        let failed = |error: io::Error| ProxyError::Connect(self.address.clone(), error);
        let (scheme, host, port) = match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                return Ok(http1(SocketIo::Unix(stream), limits));
            }
            Address::Tcp { scheme, host, port } => (*scheme, host.as_str(), *port),
        };
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        SockRef::from(&stream)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
            .map_err(failed)?;
        let socket = ClientStream::new(stream);
        let Some(UpstreamHandshake { config, http1: only_http1, name, .. }) = &self.tls else {
            return match scheme {
                Scheme::H2c => {
                    client::http2(SocketIo::Tcp(socket), uri::Scheme::HTTP, limits).await
                }
                Scheme::Http | Scheme::Https => Ok(http1(SocketIo::Tcp(socket), limits)),
            };
        };
        let config = if self.wants_http1(need) { only_http1 } else { config };
        let connector = TlsConnector::from(Arc::clone(config));
        let tls_stream = connector.connect(name.clone(), socket).await.map_err(failed)?;
        let is_http2 = tls_stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let socket = SocketIo::Tls(Box::new(tls_stream.into()));
        match is_http2 {
            true => client::http2(socket, uri::Scheme::HTTPS, limits).await,
            false => Ok(http1(socket, limits)),
        }
    }

    fn pooled(
        self: &Arc<Self>,
        sender: UpstreamClient,
        stream: Option<StreamPermit>,
        worker: usize,
        limits: &Limits,
    ) -> PooledConnection {
        PooledConnection {
            sender,
            timer: ReusableTimer::default(),
            upstream: Arc::clone(self),
            worker: u32::try_from(worker).unwrap_or(u32::MAX),
            max_idle: u32::try_from(limits.idle_upstream_connections).unwrap_or(u32::MAX),
            owner: None,
            _stream: stream,
            _counted: None,
        }
    }

    /// Closes a worker's connections that are dead or were idle for too long.
    pub(crate) fn sweep(&self, worker: usize, longest: Duration) {
        let Some(mut connections) = self.connections(worker) else { return };
        connections
            .idle
            .retain_mut(|idle| idle.connection.is_ready() && idle.since.elapsed() < longest);
        connections.shared.retain_mut(|(shared, used)| {
            if !shared.is_idle() {
                *used = Instant::now();
            }
            !shared.is_closed() && used.elapsed() < longest
        });
    }
}

/// Creates an HTTP/1.1 connection.
fn http1(socket: SocketIo, limits: &Limits) -> UpstreamClient {
    UpstreamClient::Http1(Box::new(Http1Upstream::new(socket, limits)))
}

impl PooledConnection {
    /// The upstream of the connection.
    pub(crate) fn upstream(&self) -> &Arc<UpstreamPool> {
        &self.upstream
    }

    /// Attaches the guard that counts the request in flight.
    pub(crate) fn counted(self, counted: Option<InFlightGuard>) -> Self {
        Self { _counted: counted, ..self }
    }

    /// Reserves an HTTP/1.1 connection for `owner`. Without an owner the connection is closed after
    /// this exchange.
    ///
    /// A shared HTTP/2 connection is unchanged: no login is sent on it.
    pub(crate) fn make_private(&mut self, owner: Option<&Arc<PrivateConnections>>) {
        if matches!(self.sender, UpstreamClient::Http1(_)) {
            self.reserve_for(owner);
        }
    }

    /// Reserves a connection, which no other client uses, for its owner.
    pub(crate) fn reserve_for(&mut self, owner: Option<&Arc<PrivateConnections>>) {
        // A temporary owner is dropped after the exchange, and so is the connection.
        self.owner = Some(owner.map(Arc::clone).unwrap_or_default());
    }

    /// Releases the connection for the next request.
    pub(crate) fn release(self) {
        if matches!(&self.sender, UpstreamClient::Http1(connection) if !connection.is_reusable()) {
            return;
        }
        let Self { sender, timer, upstream, worker, max_idle, owner, .. } = self;
        let since = Instant::now();
        if let Some(owner) = owner {
            return owner.insert(PrivateConnection { upstream, sender, timer, since });
        }
        // A shared connection is already in the pool.
        let UpstreamClient::Http1(connection) = sender else { return };
        let max_idle = usize::try_from(max_idle).unwrap_or(usize::MAX);
        if let Ok(worker) = usize::try_from(worker)
            && let Some(mut connections) = upstream.connections(worker)
        {
            if connections.idle.len() >= max_idle {
                connections.idle.pop_front();
            }
            if max_idle > 0 {
                connections.idle.push_back(Idle { connection, timer, since });
            }
        }
    }
}
