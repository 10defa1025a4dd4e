//! The external processor for Envoy on threads of its own: a stream is short, and any thread may take it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer;
use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::admin::PrivateSocket;
use crate::config::Config;
use crate::config::settings::{Balance, Listen, Site};
use crate::ext_proc::Processor;
use crate::proxy::Snapshot;
use crate::telemetry::Metrics;

/// A config without what is Envoy's affair, or that of the `run` beside it: who listens for visitors, who asks
/// upstreams whether they are well, who keeps receipts.
pub(super) fn only_heads(config: Config) -> Config {
    let listen = Listen { http: None, https: None, ..config.listen };
    let without_health = |site: Site| {
        let balance = Balance { health: None, ..site.balance };
        Site { balance, ..site }
    };
    let sites = config.sites.into_iter().map(without_health).collect();
    Config { listen, tls: None, receipts: None, sites, ..config }
}

/// The running processor.
pub(super) struct EnvoyEngine {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl EnvoyEngine {
    /// Serves Envoy's streams from a bound socket.
    pub(super) fn start(
        socket: PrivateSocket,
        snapshot: &Arc<ArcSwap<Snapshot>>,
        metrics: &Metrics,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .context("the runtime cannot be started")?;
        let processor = Processor::new(Arc::clone(snapshot), metrics);
        let server = Server::builder().add_service(ExternalProcessorServer::new(processor));
        let (stop, stopped) = oneshot::channel();
        let stopped = stopped.map(|_| ());
        let unwatched = "the socket cannot be watched";
        let served = {
            let _inside = runtime.enter();
            match socket {
                PrivateSocket::Tcp(socket) => {
                    let socket = tokio::net::TcpListener::from_std(socket).context(unwatched)?;
                    let incoming = TcpIncoming::from(socket);
                    tokio::spawn(server.serve_with_incoming_shutdown(incoming, stopped))
                }
                PrivateSocket::Unix(socket, _) => {
                    let socket = tokio::net::UnixListener::from_std(socket).context(unwatched)?;
                    let incoming = UnixListenerStream::new(socket);
                    tokio::spawn(server.serve_with_incoming_shutdown(incoming, stopped))
                }
            }
        };
        Ok(Self { runtime, stop, served })
    }

    /// Takes no more streams, and lets those under way end.
    pub(super) async fn drain(self, longest: Duration) {
        let Self { runtime, stop, served } = self;
        let _ = stop.send(());
        if tokio::time::timeout(longest, served).await.is_err() {
            tracing::warn!("the drain timeout has passed, streams are cut");
        }
        runtime.shutdown_background();
    }
}
