//! Connections to upstreams, kept for the next request by the worker that opened them.
//!
//! A connection belongs to the runtime of its worker, so each worker has its own shelf: taking and
//! giving back never waits for another core.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::error::ProxyError;
use super::request_body::VisitorBody;
use super::socket::Socket;
use super::standing::Standing;
use crate::config::settings::{self, Limits, Timeouts};
use crate::telemetry::Shard;

/// When to ask a silent upstream whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How hands are shaken with an upstream.
#[derive(Debug, Clone)]
pub struct UpstreamHandshake {
    /// The settings of the handshake.
    pub config: Arc<ClientConfig>,
    /// The name that is asked for, and that the certificate has to have.
    pub name: ServerName<'static>,
}

/// An upstream with its idle connections.
pub struct Upstream {
    address: settings::Upstream,
    /// How hands are shaken, and the name that is asked for, where it speaks TLS.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    standing: Standing,
    shelves: Vec<Mutex<VecDeque<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<VisitorBody>,
    since: Instant,
}

/// A connection in use; given back when the response has ended well.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) sender: SendRequest<VisitorBody>,
    upstream: Arc<Upstream>,
    worker: usize,
    most_idle: usize,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Upstream {
    /// An upstream for this many workers.
    pub fn new(
        address: settings::Upstream,
        tls: Option<UpstreamHandshake>,
        workers: usize,
    ) -> Self {
        let tls = tls.map(|UpstreamHandshake { config, name }| (TlsConnector::from(config), name));
        Self {
            address,
            tls,
            standing: Standing::default(),
            shelves: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// The address, for messages.
    pub(super) fn address(&self) -> &settings::Upstream {
        &self.address
    }

    /// Whether it has refused connections, and is left alone for now.
    pub(super) fn is_out(&self) -> bool {
        self.standing.is_out()
    }

    fn shelf(&self, worker: usize) -> Option<std::sync::MutexGuard<'_, VecDeque<Idle>>> {
        self.shelves.get(worker).map(|shelf| shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The idle connection used last, if there is one that still stands.
    pub(super) fn take(self: &Arc<Self>, worker: usize, limits: &Limits) -> Option<Lease> {
        let mut shelf = self.shelf(worker)?;
        // One whose last response has only just ended may not be ready yet: it is left for later.
        let ready =
            shelf.iter().rposition(|idle| idle.sender.is_ready() && !idle.sender.is_closed())?;
        let Idle { sender, .. } = shelf.remove(ready)?;
        drop(shelf);
        Some(self.lease(sender, worker, limits))
    }

    /// Opens a connection.
    pub(super) async fn connect(
        self: &Arc<Self>,
        worker: usize,
        limits: &Limits,
        timeouts: &Timeouts,
        metrics: &Shard,
    ) -> Result<Lease, ProxyError> {
        let opened = tokio::time::timeout(timeouts.connect, self.open(limits)).await;
        let opened =
            opened.unwrap_or_else(|_| Err(ProxyError::ConnectTimeout(self.address.clone())));
        let sender = match opened {
            Ok(sender) => sender,
            Err(error) => {
                if let Some(pause) = self.standing.refused() {
                    tracing::warn!(upstream = %self.address, ?pause, "an upstream takes no connections, and is left alone where there are others");
                }
                return Err(error);
            }
        };
        if self.standing.works() {
            tracing::info!(upstream = %self.address, "an upstream takes connections again");
        }
        metrics.upstream_connected();
        Ok(self.lease(sender, worker, limits))
    }

    async fn open(&self, limits: &Limits) -> Result<SendRequest<VisitorBody>, ProxyError> {
        let failed = |error: io::Error| ProxyError::Connect(self.address.clone(), error);
        let (host, port) = match &self.address {
            settings::Upstream::Unix(path) => {
                return speak(UnixStream::connect(path).await.map_err(failed)?, limits).await;
            }
            settings::Upstream::Tcp { host, port, .. } => (host.as_str(), *port),
        };
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        SockRef::from(&stream)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
            .map_err(failed)?;
        let socket = Socket::new(stream);
        match &self.tls {
            None => speak(socket, limits).await,
            Some((connector, name)) => {
                let shaken = connector.connect(name.clone(), socket).await.map_err(failed)?;
                speak(shaken, limits).await
            }
        }
    }

    fn lease(
        self: &Arc<Self>,
        sender: SendRequest<VisitorBody>,
        worker: usize,
        limits: &Limits,
    ) -> Lease {
        let most_idle = limits.idle_upstream_connections;
        Lease { sender, upstream: Arc::clone(self), worker, most_idle }
    }

    /// Closes a worker's connections that were idle for too long or have died.
    pub(super) fn sweep(&self, worker: usize, longest: Duration) {
        let Some(mut shelf) = self.shelf(worker) else { return };
        shelf.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < longest);
    }
}

/// Begins to speak HTTP on a stream.
async fn speak<S>(stream: S, limits: &Limits) -> Result<SendRequest<VisitorBody>, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(limits.header_fields.max(256))
        .max_buf_size(limits.header_bytes.max(64 * 1024))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ProxyError::Upstream)?;
    // It ends with its last request, or when the upstream closes it. Its errors reach the
    // request that it serves; without one they concern nobody.
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

impl Lease {
    /// Puts the connection back for the next request.
    pub(super) fn give_back(self) {
        let Self { sender, upstream, worker, most_idle } = self;
        if sender.is_closed() {
            return;
        }
        if let Some(mut shelf) = upstream.shelf(worker) {
            if shelf.len() >= most_idle {
                shelf.pop_front();
            }
            if most_idle > 0 {
                shelf.push_back(Idle { sender, since: Instant::now() });
            }
        }
    }
}
