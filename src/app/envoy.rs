//! The external processor for Envoy: accepts connections and passes them to worker threads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;

use crate::admin::ControlSocket;
use crate::config::Config;
use crate::config::settings::{Balance, Listen, SiteConfig};
use crate::ext_proc::{Processor, Server, Socket};
use crate::proxy::Snapshot;
use crate::telemetry::Metrics;

/// Pause after a failed accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Removes the settings that do not apply to the external processor. Envoy, or a `consentry run` beside it, listens
/// for clients, checks the health of upstreams, and stores receipts.
pub(super) fn strip_proxy_settings(config: Config) -> Config {
    let listen = Listen { http: None, https: None, ..config.listen };
    let without_health = |site: SiteConfig| {
        let balance = Balance { health: None, ..site.balance };
        SiteConfig { balance, ..site }
    };
    let sites = config.sites.into_iter().map(without_health).collect();
    Config { listen, tls: None, receipts: None, sites, ..config }
}

/// The running processor.
pub(super) struct EnvoyEngine {
    server: Server,
    socket: AcceptSocket,
}

enum AcceptSocket {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl EnvoyEngine {
    /// Serves Envoy's streams from a bound socket.
    pub(super) async fn start(
        socket: ControlSocket,
        snapshot: &Arc<ArcSwap<Snapshot>>,
        metrics: &Metrics,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let failed = "cannot register the socket";
        let socket = match socket {
            ControlSocket::Tcp(socket) => {
                AcceptSocket::Tcp(tokio::net::TcpListener::from_std(socket).context(failed)?)
            }
            ControlSocket::Unix(socket, _) => {
                AcceptSocket::Unix(tokio::net::UnixListener::from_std(socket).context(failed)?)
            }
        };
        let processor = Processor::new(Arc::clone(snapshot), metrics);
        let server = Server::start(processor, threads).await.context("cannot start the workers")?;
        Ok(Self { server, socket })
    }

    /// Accepts connections forever.
    pub(super) async fn accept(&self) {
        loop {
            match self.socket.accept().await {
                Ok(socket) => self.server.dispatch(socket),
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Fails health checks and continues to serve.
    pub(super) async fn not_serving(&self) {
        self.server.not_serving().await;
    }

    /// Accepts no more streams, and waits for those in flight.
    pub(super) async fn drain(self, longest: Duration) {
        let Self { server, socket } = self;
        drop(socket);
        server.drain(longest).await;
    }
}

impl AcceptSocket {
    /// Accepts the next connection, detached from this thread's runtime so that a worker can use it.
    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream.into_std()?, address.ip()))
            }
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}
