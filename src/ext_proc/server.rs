//! The gRPC server: each worker thread has a current-thread runtime, and a connection stays on its worker.
//!
//! Next step: `service`. The server also answers health checks (grpc.health.v1).

use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Service;

use super::context::EnvoyConnection;
use super::mode::ResponseWatch;
use super::service::Processor;
use crate::proxy::CoalescingStream;

/// Maximum concurrent streams of a connection. Envoy opens one per in-flight request of a thread.
const MAX_STREAMS: u32 = 4096;
/// Keep-alive of idle connections: interval of the pings, and time limit for the reply.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A TCP connection, with the peer's address.
    Tcp(TcpStream, IpAddr),
    /// A Unix socket connection.
    Unix(UnixStream),
}

/// The running server.
#[derive(Debug)]
pub(crate) struct Server {
    workers: Vec<ProcessorWorker>,
    health: HealthReporter,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct ProcessorWorker {
    sockets: mpsc::UnboundedSender<Socket>,
    open: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

#[derive(Clone)]
struct Services {
    processor: Processors,
    health: Healths,
}

type Processors = ExternalProcessorServer<Processor>;
type Healths = HealthServer<HealthService>;

impl Server {
    /// Starts this many worker threads.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be started.
    pub(crate) async fn start(processor: Processor, threads: usize) -> io::Result<Self> {
        let health = HealthReporter::new();
        health.set_serving::<Processors>().await;
        let services = Services {
            processor: Processors::new(processor),
            health: Healths::new(HealthService::from_health_reporter(health.clone())),
        };
        let (stop, stopped) = watch::channel(false);
        let mut workers = Vec::new();
        for number in 0..threads.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (sockets, accepted) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let open = Arc::new(AtomicUsize::new(0));
            let serve_connections =
                serve_connections(accepted, services.clone(), Arc::clone(&open), stopped.clone());
            thread::Builder::new().name(format!("ext-proc-{number}")).spawn(move || {
                runtime.block_on(serve_connections);
                runtime.shutdown_background();
                let _ = end.send(());
            })?;
            workers.push(ProcessorWorker { sockets, open, ended });
        }
        Ok(Self { workers, health, stop })
    }

    /// Passes a connection to the worker with the fewest connections.
    pub(crate) fn dispatch(&self, socket: Socket) {
        let fewest = self.workers.iter().min_by_key(|worker| worker.open.load(Relaxed));
        let Some(worker) = fewest else { return };
        worker.open.fetch_add(1, Relaxed);
        if worker.sockets.send(socket).is_err() {
            tracing::error!("ext_proc worker ended, connection dropped");
        }
    }

    /// Fails health checks and continues to serve.
    pub(crate) async fn not_serving(&self) {
        for service in ["", Processors::NAME] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
    }

    /// Accepts no new streams (GOAWAY), and waits at most `longest` for those in flight.
    pub(crate) async fn drain(mut self, longest: Duration) {
        // Ends the health watches, which would keep their connections open.
        for service in ["", Processors::NAME] {
            self.health.clear_service_status(service).await;
        }
        let _ = self.stop.send(true);
        let all = async {
            for worker in &mut self.workers {
                let _ = (&mut worker.ended).await;
            }
        };
        if tokio::time::timeout(longest, all).await.is_err() {
            tracing::warn!("drain timeout reached, streams in flight are reset");
        }
    }
}

/// Serves the connections of one worker until the server stops and the connections have ended.
async fn serve_connections(
    mut accepted: mpsc::UnboundedReceiver<Socket>,
    services: Services,
    open: Arc<AtomicUsize>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let of_connections = stopped.clone();
    loop {
        tokio::select! {
            socket = accepted.recv() => {
                let Some(socket) = socket else { break };
                let stopped = of_connections.clone();
                connections.spawn(connection(socket, services.clone(), stopped));
            }
            Some(_) = connections.join_next() => {
                open.fetch_sub(1, Relaxed);
            }
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(socket: Socket, services: Services, stopped: watch::Receiver<bool>) {
    let served = match socket {
        Socket::Tcp(stream, address) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => serve(stream, Some(address), services, stopped).await,
            Err(error) => Err(error.into()),
        },
        Socket::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => serve(stream, None, services, stopped).await,
            Err(error) => Err(error.into()),
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection from Envoy failed");
    }
}

async fn serve<S>(
    stream: S,
    address: Option<IpAddr>,
    services: Services,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(EnvoyConnection { address, responses: ResponseWatch::new() });
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let Services { mut processor, mut health } = services.clone();
        request.extensions_mut().insert(Arc::clone(&peer));
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
        // The processor answers unknown methods with UNIMPLEMENTED.
        match service == Some(Healths::NAME) {
            true => health.call(request),
            false => processor.call(request),
        }
    });
    let stream = CoalescingStream::new(stream);
    let (every, timeout) = KEEP_ALIVE;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(every)
        .keep_alive_timeout(timeout)
        .serve_connection(TokioIo::new(stream.clone()), service);
    let mut connection = pin!(connection);
    let mut stop = pin!(stopped.wait_for(|stopped| *stopped));
    let mut stopping = false;
    std::future::poll_fn(|context| {
        if !stopping && stop.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(context).map_err(Into::into);
        match stream.poll_flush_buffered(context) {
            Poll::Ready(Err(error)) if ended.is_pending() => Poll::Ready(Err(error.into())),
            Poll::Ready(_) | Poll::Pending => ended,
        }
    })
    .await
}
