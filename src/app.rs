//! Builds everything from a config, binds the sockets, runs, drains.
//!
//! [`build`] makes every long-lived thing once; [`Bound::run`] serves until it is told to stop.
//! Tests start from the same function on port 0.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::admin::Admin;
use crate::centre::Centre;
use crate::config::Config;
use crate::config::settings::{LogFormat, Mode};
use crate::filter::Filter;
use crate::page::Pages;
use crate::proxy::{Listener, Site, SiteTable, Snapshot, Upstream, Workers};
use crate::receipts::Receipts;
use crate::telemetry::{AccessLog, Metrics, ReceiptCounters, SiteLabels};
use crate::tls::{Certificates, server_config};

/// Where a proxy listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Where visitors connect without TLS; `None` when that is off.
    pub http: Option<SocketAddr>,
    /// Where they connect with TLS; `None` without it.
    pub https: Option<SocketAddr>,
    /// Where metrics and health are served; `None` when that is off.
    pub admin: Option<SocketAddr>,
}

/// A proxy that is built and bound, and not yet running.
#[derive(Debug)]
pub struct Bound {
    listener: Option<Listener>,
    secure_listener: Option<Listener>,
    admin_listener: Option<Listener>,
    admin: Arc<Admin>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Metrics,
    /// Writes what is left of the access log when it is dropped: after everything else.
    log: Option<WorkerGuard>,
}

/// Builds a proxy and binds its sockets.
///
/// # Errors
/// When an address cannot be listened on.
pub fn build(config: Config) -> anyhow::Result<Bound> {
    let workers = config.workers.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
    });
    let listener = config.listen.http.map(Listener::bind).transpose()?;
    let secure_listener = config.listen.https.map(Listener::bind).transpose()?;
    let tls = config.tls.as_ref().map(|tls| {
        let certificates = Certificates::new(&tls.identities);
        server_config(certificates, tls.clients.as_ref(), tls.only_tls_1_3)
    });
    let tls = tls.transpose().context("TLS cannot be set up")?;
    let admin_listener = config.listen.admin.map(Listener::bind).transpose()?;

    let (access_log, log) = if config.log.access {
        let json = is_json(config.log.format, io::stdout().is_terminal());
        let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(io::stdout());
        (Some(AccessLog::new(writer, json)), Some(guard))
    } else {
        (None, None)
    };
    let receipt_counters = config.receipts.as_ref().map(|_| Arc::new(ReceiptCounters::default()));
    let receipts = config.receipts.as_ref().zip(receipt_counters.clone());
    let receipts =
        receipts.map(|(settings, counters)| Receipts::start(settings, counters)).transpose()?;
    let mut labels = Vec::new();
    let mut inventories = Vec::new();
    let mut sites = Vec::new();
    for (index, site) in config.sites.into_iter().enumerate() {
        labels.push(SiteLabels {
            name: site.name.clone(),
            mode: site.filter.mode.as_str(),
            categories: site.filter.reader.categories.clone(),
            sources: site.filter.reader.sources.iter().map(|source| source.name()).collect(),
        });
        let filter = Arc::new(Filter::new(site.filter));
        inventories.push((site.name.clone(), Arc::clone(&filter)));
        let page = &site.page;
        let centre =
            Centre::new(&site.name, site.centre, page, Arc::clone(&filter), receipts.clone());
        // While observing nothing is changed, pages neither.
        let page = Pages::new(page).filter(|_| filter.settings().mode == Mode::Enforce);
        let upstreams = site.upstreams.into_iter();
        let upstreams =
            upstreams.map(|address| Arc::new(Upstream::new(address, workers))).collect();
        sites.push((
            site.hosts,
            Arc::new(Site::new(index, site.name, filter, (centre, page), upstreams)),
        ));
    }
    let metrics = Metrics::new(labels, workers).with_receipts(receipt_counters);
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot {
        sites: SiteTable::new(sites),
        counters: metrics.generation(),
        timeouts: config.timeouts,
        limits: config.limits,
        trusted_proxies: config.listen.trusted_proxies,
        tls,
        redirect: config.tls.and_then(|tls| tls.redirect),
        access_log,
    }));
    let admin = Arc::new(Admin::new(metrics.clone(), inventories));
    Ok(Bound { listener, secure_listener, admin_listener, admin, snapshot, metrics, log })
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
    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Addresses {
        let address = |listener: &Option<Listener>| listener.as_ref().map(Listener::address);
        Addresses {
            http: address(&self.listener),
            https: address(&self.secure_listener),
            admin: address(&self.admin_listener),
        }
    }

    /// Serves until SIGTERM or SIGINT, then lets what is under way end. A second signal ends at
    /// once.
    ///
    /// # Errors
    /// When threads, sockets or signals cannot be had.
    pub fn run(mut self) -> anyhow::Result<()> {
        let _log = self.log.take();
        // Before anything else: a signal that comes early must not be lost.
        let runtime = runtime()?;
        let mut stop = {
            let _inside = runtime.enter();
            StopSignals::new()?
        };
        runtime.block_on(async move {
            let workers = self.serve(stop.next()).await?;
            tokio::select! {
                () = workers.drain() => tracing::info!("drained, bye"),
                () = stop.next() => tracing::warn!("stopped at once by a second signal"),
            }
            Ok(())
        })
    }

    /// Serves until `stop` ends, then lets what is under way end.
    ///
    /// # Errors
    /// When threads or sockets cannot be had.
    pub fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let _log = self.log.take();
        runtime()?.block_on(async move {
            self.serve(stop).await?.drain().await;
            Ok(())
        })
    }

    /// Accepts visitors until `stop` ends; what they began goes on in the workers. Metrics and
    /// health are served for as long as the runtime lives.
    async fn serve(self, stop: impl Future<Output = ()>) -> anyhow::Result<Workers> {
        let Addresses { http, https, admin } = self.addresses();
        let workers =
            Workers::start(&self.snapshot, &self.metrics).context("workers cannot be started")?;
        if let Some(listener) = self.admin_listener {
            let served = Arc::clone(&self.admin).serve(listener.into_socket());
            tokio::spawn(async move {
                let Err(error) = served.await;
                tracing::error!(%error, "the admin listener has failed");
            });
        }
        let [http, https, admin] = [http, https, admin].map(|at| at.map(tracing::field::display));
        tracing::info!(http, https, admin, version = env!("CARGO_PKG_VERSION"), "serving");
        self.admin.set_ready(true);
        let accepting = futures_util::future::try_join(
            accept(self.listener, &workers, false),
            accept(self.secure_listener, &workers, true),
        );
        tokio::select! {
            failed = accepting => failed.map(|_| ()).context("the listener has failed")?,
            () = stop => {}
        }
        self.admin.set_ready(false);
        tracing::info!("draining: no new connections, requests under way are finished");
        Ok(workers)
    }
}

/// Accepts connections for ever; where there is no listener, waits for ever.
async fn accept(listener: Option<Listener>, workers: &Workers, secure: bool) -> io::Result<()> {
    match listener {
        Some(listener) => listener.run(workers, secure).await,
        None => std::future::pending().await,
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
