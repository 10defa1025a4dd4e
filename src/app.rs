//! Application startup and shutdown: builds the proxy from a config, binds the sockets, serves, drains.
//!
//! [`build`] creates the long-lived state once. [`Bound::run`] serves until a stop signal. Tests call the same
//! functions with port 0.

#[cfg(feature = "acme")]
mod acme;
#[cfg(feature = "ext-proc")]
mod envoy;
mod reload;
mod snapshot;
mod sockets;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use futures_util::FutureExt;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::admin::{Admin, AdminAccess, ControlSocket};
#[cfg(feature = "ext-proc")]
use crate::config::settings::AdminAddress;
use crate::config::settings::{Log, LogFormat};
use crate::config::{Config, Overrides, WatchedFile};
use crate::consent::CookieKeys;
use crate::http::Via;
use crate::proxy::{Listener, Snapshot, WorkerPool, watch_health};
use crate::receipts::Receipts;
use crate::telemetry::{
    AccessLog, LineFormat, LogBatches, LogLevelControl, MAX_WAITING_BUFFERS, Metrics,
    ReceiptCounters, Spans,
};
use crate::tls::Tickets;
use reload::{ConfigSource, Reloader};
use snapshot::{ProcessState, gauges, labels, restart_only};
use sockets::Sockets;

/// Minimum and maximum time for moving receipts to the store at the end of a drain.
const RECEIPTS_CLOSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// The addresses that a proxy listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP without TLS. `None` if disabled.
    pub http: Option<SocketAddr>,
    /// HTTPS. `None` if disabled.
    pub https: Option<SocketAddr>,
    /// Metrics and health. `None` if disabled, or on a Unix socket.
    pub admin: Option<SocketAddr>,
}

/// A proxy that is built and bound but does not serve yet.
#[derive(Debug)]
pub struct Bound {
    /// The socket for Envoy, if this is an external processor.
    #[cfg(feature = "ext-proc")]
    ext_proc: Option<ControlSocket>,
    /// Orders the ACME certificate.
    #[cfg(feature = "acme")]
    acme_task: Option<acme::AcmeTask>,
    listener: Option<Listener>,
    secure_listener: Option<Listener>,
    admin_socket: Option<ControlSocket>,
    admin: Arc<Admin>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// State that survives config reloads.
    process_state: ProcessState,
    /// The files of the current config.
    files: Vec<WatchedFile>,
    /// The source of the config for reloads. `None` if reloads are disabled.
    reload: Option<ConfigSource>,
    /// Removes the settings that this process ignores.
    adapt: fn(Config) -> Config,
    /// Writes the remaining access log lines when dropped, which is after everything else.
    log: Option<WorkerGuard>,
}

/// Builds a proxy and binds its sockets.
///
/// # Errors
/// When an address cannot be bound.
pub fn build(config: Config) -> anyhow::Result<Bound> {
    let sockets = Sockets::open(&config.listen)?;
    bound(config, sockets)
}

/// Builds the external processor for Envoy, and binds its address and the admin listener.
///
/// # Errors
/// When an address cannot be bound.
#[cfg(feature = "ext-proc")]
pub(crate) fn build_ext_proc(config: Config, at: &AdminAddress) -> anyhow::Result<Bound> {
    for site in config.sites.iter().filter(|site| site.page.banner.is_some() || site.page.guard) {
        tracing::warn!(site = site.name, "Envoy sends headers only: banner and guard are disabled");
    }
    let config = envoy::strip_proxy_settings(config);
    let sockets = Sockets::open(&config.listen)?;
    let ext_proc = sockets::private(at, config.listen.reuse_port)?;
    let bound = bound(config, sockets)?;
    Ok(Bound { ext_proc: Some(ext_proc), adapt: envoy::strip_proxy_settings, ..bound })
}

fn bound(config: Config, sockets: Sockets) -> anyhow::Result<Bound> {
    let workers = config.workers.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
    });
    let Sockets { http: listener, https: secure_listener, admin: admin_socket } = sockets;

    let (access_log, log) = if config.log.access {
        let Log { format, access_format, visitor_address, .. } = config.log;
        let format = LineFormat::of(access_format, is_json(format, io::stdout().is_terminal()));
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(MAX_WAITING_BUFFERS)
            .finish(LogBatches::new(io::stdout()));
        (Some(AccessLog::new(writer, format, visitor_address)), Some(guard))
    } else {
        (None, None)
    };
    let receipt_counters = config.receipts.as_ref().map(|_| Arc::new(ReceiptCounters::default()));
    let receipts = config.receipts.as_ref().zip(receipt_counters.clone());
    let receipts =
        receipts.map(|(settings, counters)| Receipts::start(settings, counters)).transpose()?;
    let metrics = Metrics::new(labels(&config), workers).with_receipts(receipt_counters);
    let access = AdminAccess::of(&config.listen);
    let restart_only = restart_only(&config);
    #[cfg(feature = "acme")]
    let (acme_certificate, acme_task) = {
        let acme = config.tls.as_ref().and_then(|tls| tls.acme.as_ref());
        acme.map(acme::prepare).transpose()?.unzip()
    };
    #[cfg(not(feature = "acme"))]
    let acme_certificate = None;
    let spans = Spans::from_environment().context("invalid OpenTelemetry environment variables")?;
    let via = Via::new(RandomState::new().hash_one(std::process::id()));
    let affinity_keys = CookieKeys::random()?;
    let process_state = ProcessState {
        workers,
        metrics,
        receipts,
        access_log,
        spans,
        acme_certificate,
        via,
        tickets: Tickets::default(),
        affinity_keys,
        restart_only,
    };
    let files = config.files.clone();
    let (snapshot, filters) =
        process_state.snapshot(config, process_state.metrics.generation(), None)?;
    process_state.metrics.show_upstreams(gauges(&snapshot));
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let admin = Arc::new(Admin::new(process_state.metrics.clone(), filters, access));
    let reload = None;
    Ok(Bound {
        #[cfg(feature = "ext-proc")]
        ext_proc: None,
        #[cfg(feature = "acme")]
        acme_task,
        listener,
        secure_listener,
        admin_socket,
        admin,
        snapshot,
        process_state,
        files,
        reload,
        adapt: std::convert::identity,
        log,
    })
}

/// Whether a log is written as JSON. The format `auto` is text on a terminal, else JSON.
pub(crate) fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

impl Bound {
    /// Enables config reloads, on SIGHUP and when a config file changes. In-flight requests keep the config that
    /// they started with.
    pub fn reloading(self, path: PathBuf, overrides: Overrides) -> Self {
        Self { reload: Some(ConfigSource { path, overrides, adapt: self.adapt }), ..self }
    }

    /// Lets the admin listener change the log level.
    pub fn log_level(self, control: LogLevelControl) -> Self {
        self.admin.control_log(control);
        self
    }

    /// The bound addresses, with the ports that the system chose.
    pub fn addresses(&self) -> Addresses {
        let address = |listener: &Option<Listener>| listener.as_ref().map(Listener::address);
        Addresses {
            #[cfg(feature = "ext-proc")]
            http: address(&self.listener)
                .or_else(|| self.ext_proc.as_ref().and_then(ControlSocket::address)),
            #[cfg(not(feature = "ext-proc"))]
            http: address(&self.listener),
            https: address(&self.secure_listener),
            admin: self.admin_socket.as_ref().and_then(ControlSocket::address),
        }
    }

    /// Serves until SIGTERM or SIGINT, then waits for in-flight requests. A second signal stops immediately.
    ///
    /// # Errors
    /// When a thread, socket or signal handler cannot be set up.
    pub fn run(mut self) -> anyhow::Result<()> {
        let _log = self.log.take();
        let spans = self.process_state.spans.clone();
        // First of all, so that an early signal is not lost.
        let runtime = runtime()?;
        let mut stop = {
            let _inside = runtime.enter();
            StopSignals::new()?
        };
        let ended = runtime.block_on(async move {
            let (first_sender, first) = oneshot::channel();
            let (second_sender, second) = oneshot::channel();
            tokio::spawn(async move {
                stop.next().await;
                let _ = first_sender.send(());
                stop.next().await;
                let _ = second_sender.send(());
            });
            let served = async {
                // An error means that the task above was aborted, since it never ends by itself.
                let stopped = async { first.await.unwrap_or_default() };
                self.serve_and_drain(stopped).await?;
                tracing::info!("shutdown complete");
                Ok(())
            };
            tokio::select! {
                served = served => served,
                _ = second => {
                    tracing::warn!("second signal received: stopping immediately");
                    Ok(())
                }
            }
        });
        if let Some(spans) = spans {
            spans.finish();
        }
        ended
    }

    /// Serves until `stop` completes, then waits for in-flight requests.
    ///
    /// # Errors
    /// When a thread or socket cannot be set up.
    pub fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let _log = self.log.take();
        runtime()?.block_on(async move { self.serve_and_drain(stop).await })
    }

    async fn serve_and_drain(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let snapshot = Arc::clone(&self.snapshot);
        let receipts = self.process_state.receipts.clone();
        let engine = self.serve(stop).await?;
        let (started, within) = (Instant::now(), snapshot.load().timeouts.drain);
        engine.drain().await;
        if let Some(receipts) = receipts {
            // After the requests, since each of them may still record a receipt.
            let remaining = within.saturating_sub(started.elapsed());
            receipts.close(remaining.clamp(RECEIPTS_CLOSE.0, RECEIPTS_CLOSE.1)).await;
        }
        Ok(())
    }

    async fn engine(&mut self) -> anyhow::Result<Engine> {
        let metrics = &self.process_state.metrics;
        #[cfg(feature = "ext-proc")]
        if let Some(listener) = self.ext_proc.take() {
            let threads = self.process_state.workers;
            let engine = envoy::EnvoyEngine::start(listener, &self.snapshot, metrics, threads);
            let engine = engine.await?;
            return Ok(Engine::Envoy(engine, self.snapshot.load().timeouts.drain));
        }
        let workers = WorkerPool::start(&self.snapshot, metrics);
        Ok(Engine::Proxy(workers.context("cannot start the workers")?))
    }

    /// Accepts connections until `stop` completes. In-flight requests continue in the workers. Metrics and health
    /// are served as long as the runtime exists.
    async fn serve(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<Engine> {
        let Addresses { http, https, .. } = self.addresses();
        let admin = self.admin_socket.as_ref().map(ToString::to_string);
        let engine = self.engine().await?;
        if let Some(socket) = self.admin_socket {
            let served = Arc::clone(&self.admin).serve(socket);
            tokio::spawn(async move {
                let Err(error) = served.await;
                tracing::error!(%error, "admin listener failed");
            });
        }
        #[cfg(feature = "acme")]
        if let Some(acme_task) = self.acme_task.take() {
            tokio::spawn(acme_task.run());
        }
        tokio::spawn(watch_health(Arc::clone(&self.snapshot)));
        if let Some(source) = self.reload {
            let to = (Arc::clone(&self.snapshot), Arc::clone(&self.admin));
            let reloader = Reloader::new(source, self.process_state, to, self.files)?;
            tokio::spawn(reloader.run());
        }
        let [http, https] = [http, https].map(|at| at.map(tracing::field::display));
        tracing::info!(http, https, admin, version = env!("CARGO_PKG_VERSION"), "serving");
        self.admin.set_ready(true);
        notify_systemd(&[NotifyState::Ready]);
        let stopped = async {
            stop.await;
            // Load balancers get `drain_delay` to notice the failing health check. Connections are still accepted
            // meanwhile.
            self.admin.set_ready(false);
            #[cfg(feature = "ext-proc")]
            if let Engine::Envoy(engine, _) = &engine {
                engine.not_serving().await;
            }
            notify_systemd(&[NotifyState::Stopping]);
            let delay = self.snapshot.load().timeouts.drain_delay;
            if !delay.is_zero() {
                tracing::info!(?delay, "readiness now fails, draining after the delay");
                tokio::time::sleep(delay).await;
            }
        };
        let stopped = stopped.shared();
        match &engine {
            Engine::Proxy(workers) => futures_util::future::try_join(
                accept(self.listener, workers, false, stopped.clone()),
                accept(self.secure_listener, workers, true, stopped),
            )
            .await
            .map(|_| ())
            .context("listener failed")?,
            #[cfg(feature = "ext-proc")]
            Engine::Envoy(engine, _) => tokio::select! {
                () = engine.accept() => {}
                () = stopped => {}
            },
        }
        tracing::info!("draining: no new connections are accepted, in-flight requests may finish");
        Ok(engine)
    }
}

/// The part that processes requests.
enum Engine {
    /// The proxy.
    Proxy(WorkerPool),
    /// The filter as an external processor, and the maximum duration of its drain.
    #[cfg(feature = "ext-proc")]
    Envoy(envoy::EnvoyEngine, Duration),
}

impl Engine {
    async fn drain(self) {
        match self {
            Self::Proxy(workers) => workers.drain().await,
            #[cfg(feature = "ext-proc")]
            Self::Envoy(engine, timeout) => engine.drain(timeout).await,
        }
    }
}

/// Notifies systemd if it supervises this process (sd_notify(3)).
fn notify_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "sd_notify failed");
    }
}

/// Accepts connections until `stop` completes. Without a listener, only waits for `stop`.
async fn accept(
    listener: Option<Listener>,
    workers: &WorkerPool,
    secure: bool,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    match listener {
        Some(listener) => listener.run(workers, secure, stop).await,
        None => {
            stop.await;
            Ok(())
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start the runtime")
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("cannot watch signals");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
