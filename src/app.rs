//! Builds everything from a config, binds the sockets, runs, drains.
//!
//! [`build`] makes every long-lived thing once; [`Bound::run`] serves until it is told to stop.
//! Tests start from the same function on port 0.

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

use crate::admin::{Access, Admin, PrivateSocket};
#[cfg(feature = "ext-proc")]
use crate::config::settings::AdminAddress;
use crate::config::settings::{Log, LogFormat};
use crate::config::{Config, Overrides, WatchedFile};
use crate::consent::CookieKeys;
use crate::http::Via;
use crate::proxy::{Listener, Snapshot, Workers, watch_health};
use crate::receipts::Receipts;
use crate::telemetry::{
    AccessLog, LineForm, LogBatches, LogLevelControl, MAX_WAITING_BUFFERS, Metrics,
    ReceiptCounters, Spans,
};
use crate::tls::Tickets;
use reload::{Reloader, Source};
use snapshot::{Lasting, fixed, gauges, labels};
use sockets::Sockets;

/// The shortest and the longest time for moving receipts to the store at the end of a drain.
const RECEIPTS_CLOSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Where a proxy listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Where visitors connect without TLS; `None` when that is off.
    pub http: Option<SocketAddr>,
    /// Where they connect with TLS; `None` without it.
    pub https: Option<SocketAddr>,
    /// Where metrics and health are served; `None` when that is off, or at a path.
    pub admin: Option<SocketAddr>,
}

/// A proxy that is built and bound, and not yet running.
#[derive(Debug)]
pub struct Bound {
    /// Where Envoy connects, where it is Envoy that forwards.
    #[cfg(feature = "ext-proc")]
    ext_proc: Option<PrivateSocket>,
    /// What asks for certificates.
    #[cfg(feature = "acme")]
    asking: Option<acme::Asking>,
    listener: Option<Listener>,
    secure_listener: Option<Listener>,
    admin_socket: Option<PrivateSocket>,
    admin: Arc<Admin>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// What a new config is built with.
    lasting: Lasting,
    /// The files of the config in force.
    files: Vec<WatchedFile>,
    /// Where the config came from, to be read again.
    reload: Option<Source>,
    /// What this process does not heed of a config is taken away by it.
    adapt: fn(Config) -> Config,
    /// Writes what is left of the access log when it is dropped: after everything else.
    log: Option<WorkerGuard>,
}

/// Builds a proxy and binds its sockets.
///
/// # Errors
/// When an address cannot be listened on.
pub fn build(config: Config) -> anyhow::Result<Bound> {
    let sockets = Sockets::open(&config.listen)?;
    bound(config, sockets)
}

/// Builds the external processor for Envoy, and binds this address for it, and the private listener.
///
/// # Errors
/// When an address cannot be listened on.
#[cfg(feature = "ext-proc")]
pub fn build_ext_proc(config: Config, at: &AdminAddress) -> anyhow::Result<Bound> {
    for site in config.sites.iter().filter(|site| site.page.banner.is_some() || site.page.guard) {
        tracing::warn!(site = site.name, "Envoy sends headers only: banner and guard are disabled");
    }
    let config = envoy::only_heads(config);
    let sockets = Sockets::open(&config.listen)?;
    let ext_proc = sockets::private(at, config.listen.reuse_port)?;
    let bound = bound(config, sockets)?;
    Ok(Bound { ext_proc: Some(ext_proc), adapt: envoy::only_heads, ..bound })
}

fn bound(config: Config, sockets: Sockets) -> anyhow::Result<Bound> {
    let workers = config.workers.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
    });
    let Sockets { http: listener, https: secure_listener, admin: admin_socket } = sockets;

    let (access_log, log) = if config.log.access {
        let Log { format, access_format, visitor_address, .. } = config.log;
        let form = LineForm::of(access_format, is_json(format, io::stdout().is_terminal()));
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(MAX_WAITING_BUFFERS)
            .finish(LogBatches::new(io::stdout()));
        (Some(AccessLog::new(writer, form, visitor_address)), Some(guard))
    } else {
        (None, None)
    };
    let receipt_counters = config.receipts.as_ref().map(|_| Arc::new(ReceiptCounters::default()));
    let receipts = config.receipts.as_ref().zip(receipt_counters.clone());
    let receipts =
        receipts.map(|(settings, counters)| Receipts::start(settings, counters)).transpose()?;
    let metrics = Metrics::new(labels(&config), workers).with_receipts(receipt_counters);
    let access = Access::of(&config.listen);
    let fixed = fixed(&config);
    #[cfg(feature = "acme")]
    let (asked_for, asking) = {
        let acme = config.tls.as_ref().and_then(|tls| tls.acme.as_ref());
        acme.map(acme::prepare).transpose()?.unzip()
    };
    #[cfg(not(feature = "acme"))]
    let asked_for = None;
    let spans = Spans::from_environment().context("the variables of OpenTelemetry")?;
    let via = Via::new(RandomState::new().hash_one(std::process::id()));
    let affinity_keys = CookieKeys::random()?;
    let lasting = Lasting {
        workers,
        metrics,
        receipts,
        access_log,
        spans,
        asked_for,
        via,
        tickets: Tickets::default(),
        affinity_keys,
        fixed,
    };
    let files = config.files.clone();
    let (snapshot, filters) = lasting.snapshot(config, lasting.metrics.generation(), None)?;
    lasting.metrics.show_upstreams(gauges(&snapshot));
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let admin = Arc::new(Admin::new(lasting.metrics.clone(), filters, access));
    let reload = None;
    Ok(Bound {
        #[cfg(feature = "ext-proc")]
        ext_proc: None,
        #[cfg(feature = "acme")]
        asking,
        listener,
        secure_listener,
        admin_socket,
        admin,
        snapshot,
        lasting,
        files,
        reload,
        adapt: std::convert::identity,
        log,
    })
}

/// Whether a log is written as JSON, when its format does not say.
pub(crate) fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

impl Bound {
    /// Reads the config again on SIGHUP, and when one of its files changes. What is under way keeps the config
    /// that it began with.
    pub fn reloading(self, path: PathBuf, overrides: Overrides) -> Self {
        Self { reload: Some(Source { path, overrides, adapt: self.adapt }), ..self }
    }

    /// Lets the log's level be changed by the private listener.
    pub fn log_level(self, control: LogLevelControl) -> Self {
        self.admin.control_log(control);
        self
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Addresses {
        let address = |listener: &Option<Listener>| listener.as_ref().map(Listener::address);
        Addresses {
            #[cfg(feature = "ext-proc")]
            http: address(&self.listener)
                .or_else(|| self.ext_proc.as_ref().and_then(PrivateSocket::address)),
            #[cfg(not(feature = "ext-proc"))]
            http: address(&self.listener),
            https: address(&self.secure_listener),
            admin: self.admin_socket.as_ref().and_then(PrivateSocket::address),
        }
    }

    /// Serves until SIGTERM or SIGINT, then lets what is under way end. A second signal ends at
    /// once.
    ///
    /// # Errors
    /// When threads, sockets or signals cannot be had.
    pub fn run(mut self) -> anyhow::Result<()> {
        let _log = self.log.take();
        let spans = self.lasting.spans.clone();
        // Before anything else: a signal that comes early must not be lost.
        let runtime = runtime()?;
        let mut stop = {
            let _inside = runtime.enter();
            StopSignals::new()?
        };
        let ended = runtime.block_on(async move {
            let (told, first) = oneshot::channel();
            let (told_again, second) = oneshot::channel();
            tokio::spawn(async move {
                stop.next().await;
                let _ = told.send(());
                stop.next().await;
                let _ = told_again.send(());
            });
            let served = async {
                // An error is the end of the task above, which does not end by itself.
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

    /// Serves until `stop` ends, then lets what is under way end.
    ///
    /// # Errors
    /// When threads or sockets cannot be had.
    pub fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let _log = self.log.take();
        runtime()?.block_on(async move { self.serve_and_drain(stop).await })
    }

    async fn serve_and_drain(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let snapshot = Arc::clone(&self.snapshot);
        let receipts = self.lasting.receipts.clone();
        let engine = self.serve(stop).await?;
        let (began, within) = (Instant::now(), snapshot.load().timeouts.drain);
        engine.drain().await;
        if let Some(receipts) = receipts {
            // After the requests, since each of them may still record a receipt.
            let left = within.saturating_sub(began.elapsed());
            receipts.close(left.clamp(RECEIPTS_CLOSE.0, RECEIPTS_CLOSE.1)).await;
        }
        Ok(())
    }

    async fn engine(&mut self) -> anyhow::Result<Engine> {
        let metrics = &self.lasting.metrics;
        #[cfg(feature = "ext-proc")]
        if let Some(listener) = self.ext_proc.take() {
            let threads = self.lasting.workers;
            let engine = envoy::EnvoyEngine::start(listener, &self.snapshot, metrics, threads);
            let engine = engine.await?;
            return Ok(Engine::Envoy(engine, self.snapshot.load().timeouts.drain));
        }
        let workers = Workers::start(&self.snapshot, metrics);
        Ok(Engine::Proxy(workers.context("workers cannot be started")?))
    }

    /// Accepts visitors until `stop` ends; what they began goes on in the workers. Metrics and
    /// health are served for as long as the runtime lives.
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
        if let Some(asking) = self.asking.take() {
            tokio::spawn(asking.run());
        }
        tokio::spawn(watch_health(Arc::clone(&self.snapshot)));
        if let Some(source) = self.reload {
            let to = (Arc::clone(&self.snapshot), Arc::clone(&self.admin));
            let reloader = Reloader::new(source, self.lasting, to, self.files)?;
            tokio::spawn(reloader.run());
        }
        let [http, https] = [http, https].map(|at| at.map(tracing::field::display));
        tracing::info!(http, https, admin, version = env!("CARGO_PKG_VERSION"), "serving");
        self.admin.set_ready(true);
        tell_systemd(&[NotifyState::Ready]);
        let told = async {
            stop.await;
            // Balancers are told first, and are given the time to notice: who still comes is served.
            self.admin.set_ready(false);
            #[cfg(feature = "ext-proc")]
            if let Engine::Envoy(engine, _) = &engine {
                engine.not_serving().await;
            }
            tell_systemd(&[NotifyState::Stopping]);
            let delay = self.snapshot.load().timeouts.drain_delay;
            if !delay.is_zero() {
                tracing::info!(?delay, "readiness now fails, draining after the delay");
                tokio::time::sleep(delay).await;
            }
        };
        let told = told.shared();
        match &engine {
            Engine::Proxy(workers) => futures_util::future::try_join(
                accept(self.listener, workers, false, told.clone()),
                accept(self.secure_listener, workers, true, told),
            )
            .await
            .map(|_| ())
            .context("the listener has failed")?,
            #[cfg(feature = "ext-proc")]
            Engine::Envoy(engine, _) => tokio::select! {
                () = engine.accept() => {}
                () = told => {}
            },
        }
        tracing::info!("draining: no new connections are accepted, in-flight requests may finish");
        Ok(engine)
    }
}

/// What does the work.
enum Engine {
    /// The proxy.
    Proxy(Workers),
    /// The filter alone, and how long its drain may take.
    #[cfg(feature = "ext-proc")]
    Envoy(envoy::EnvoyEngine, Duration),
}

impl Engine {
    async fn drain(self) {
        match self {
            Self::Proxy(workers) => workers.drain().await,
            #[cfg(feature = "ext-proc")]
            Self::Envoy(engine, longest) => engine.drain(longest).await,
        }
    }
}

/// Tells systemd, where it started us and wants to know (sd_notify(3)).
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "sd_notify failed");
    }
}

/// Accepts connections until `stop` ends; where there is no listener, waits for that.
async fn accept(
    listener: Option<Listener>,
    workers: &Workers,
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
    builder.enable_all().build().context("the runtime cannot be started")
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("signals cannot be watched");
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
