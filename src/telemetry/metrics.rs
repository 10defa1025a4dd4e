//! Metrics: one shard of counters per worker, summed when they are read.
//!
//! A worker writes only to its own shard, so a request needs no lock and touches no contended cache line. Labels
//! are closed sets: sites, categories, sources and kinds come from the config or from enums, never from requests.

mod config_counters;
mod counter;
mod encode;
mod histogram;
mod process;
mod receipts;
mod sites;
mod totals;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::telemetry::receipts::ReceiptCounters;
use crate::telemetry::reloads::ReloadCounters;
pub(crate) use config_counters::{ConfigCounters, SiteLabels};
use counter::{add, get, zeros};
use encode::{family, single};
pub(crate) use totals::Totals;

/// The kinds of request and connection errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The request was malformed, too large, or matched no site.
    BadRequest,
    /// The request has already passed through this proxy.
    Loop,
    /// The request body timed out.
    RequestTimeout,
    /// No connection to an upstream.
    UpstreamConnect,
    /// The upstream failed before its response.
    UpstreamFailed,
    /// The upstream timed out.
    UpstreamTimeout,
    /// The upstream failed in the middle of a response body.
    UpstreamBody,
    /// Rate limit of an address exceeded.
    TooManyRequests,
    /// Concurrency limit of the site reached.
    Overloaded,
    /// Internal error of consentry. The request was rejected.
    Internal,
    /// A message from Envoy could not be filtered, or its processing mode is not supported.
    ExtProc,
    /// A client connection broke, or its bytes were not HTTP.
    Connection,
    /// A TLS handshake with a client failed.
    Tls,
}

impl ErrorKind {
    const ALL: [Self; 13] = [
        Self::BadRequest,
        Self::Loop,
        Self::RequestTimeout,
        Self::UpstreamConnect,
        Self::UpstreamFailed,
        Self::UpstreamTimeout,
        Self::UpstreamBody,
        Self::TooManyRequests,
        Self::Overloaded,
        Self::Internal,
        Self::ExtProc,
        Self::Connection,
        Self::Tls,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Loop => "loop",
            Self::RequestTimeout => "request_timeout",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBody => "upstream_body",
            Self::TooManyRequests => "too_many_requests",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::ExtProc => "ext_proc",
            Self::Connection => "connection",
            Self::Tls => "tls",
        }
    }
}

/// All metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// The last generation is current. Older ones may still have in-flight requests.
    generations: Arc<Mutex<Vec<Arc<ConfigCounters>>>>,
    shards: Arc<[Arc<Shard>]>,
    receipts: Option<Arc<ReceiptCounters>>,
    reloads: Arc<ReloadCounters>,
    upstreams: Arc<ArcSwap<Vec<UpstreamGauge>>>,
}

/// Whether an upstream of a site is in rotation.
pub(crate) struct UpstreamGauge {
    /// The site's name.
    pub site: String,
    /// Its address.
    pub address: String,
    /// Whether the upstream is in rotation.
    pub is_up: Box<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for UpstreamGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamGauge").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The counters of one worker.
#[derive(Debug)]
pub(crate) struct Shard {
    errors: [AtomicU64; ErrorKind::ALL.len()],
    connections: AtomicU64,
    open_connections: AtomicI64,
    upstream_connections: AtomicU64,
    retries: AtomicU64,
}

impl Shard {
    fn new() -> Self {
        Self {
            errors: zeros(),
            connections: AtomicU64::new(0),
            open_connections: AtomicI64::new(0),
            upstream_connections: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    /// Counts an error.
    pub(crate) fn error(&self, kind: ErrorKind) {
        add(&self.errors, kind as usize, 1);
    }

    /// Counts an opened client connection.
    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.open_connections.fetch_add(1, Relaxed);
    }

    /// Counts a closed client connection.
    pub(crate) fn connection_closed(&self) {
        self.open_connections.fetch_sub(1, Relaxed);
    }

    /// Counts a new connection to an upstream.
    pub(crate) fn upstream_connected(&self) {
        self.upstream_connections.fetch_add(1, Relaxed);
    }

    /// Counts a retried request: its connection was dead, or an upstream refused connections.
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
}

impl Metrics {
    /// Creates counters for these sites, with one shard per worker.
    pub(crate) fn new(sites: Vec<SiteLabels>, workers: usize) -> Self {
        let shards = (0..workers).map(|_| Arc::new(Shard::new())).collect();
        let first = Arc::new(ConfigCounters::new(sites, workers));
        Self {
            generations: Arc::new(Mutex::new(vec![first])),
            shards,
            receipts: None,
            reloads: Arc::default(),
            upstreams: Arc::default(),
        }
    }

    /// The counters of the current config.
    pub(crate) fn generation(&self) -> Arc<ConfigCounters> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        // There is always one.
        let none = || Arc::new(ConfigCounters::new(Vec::new(), 0));
        generations.last().map_or_else(none, Arc::clone)
    }

    /// Creates the counters of a new config. [`Metrics::put_in_force`] makes them current.
    pub(crate) fn next_generation(&self, sites: Vec<SiteLabels>) -> Arc<ConfigCounters> {
        Arc::new(ConfigCounters::new(sites, self.shards.len()))
    }

    /// Makes these counters current. The counts of a site continue under the same name.
    pub(crate) fn put_in_force(&self, next: Arc<ConfigCounters>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.push(next);
    }

    /// Sets the upstreams to export.
    pub(crate) fn show_upstreams(&self, upstreams: Vec<UpstreamGauge>) {
        self.upstreams.store(Arc::new(upstreams));
    }

    /// All counts so far, for the current sites.
    fn merged(&self) -> ConfigCounters {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = generations.pop() else { return ConfigCounters::new(Vec::new(), 1) };
        // Generations without in-flight requests are merged for good.
        generations.retain(|old| {
            let held = Arc::strong_count(old) > 1;
            if !held {
                current.absorb(old);
            }
            held
        });
        let merged = ConfigCounters::new(current.sites.clone(), 1);
        merged.absorb(&current);
        generations.iter().for_each(|old| merged.absorb(old));
        generations.push(current);
        merged
    }

    /// Adds the receipt counters, if receipts are enabled.
    pub(crate) fn with_receipts(self, receipts: Option<Arc<ReceiptCounters>>) -> Self {
        Self { receipts, ..self }
    }

    /// Why the service is degraded. `None` if it is not.
    pub(crate) fn degraded(&self) -> Option<String> {
        let reload = "config reload failed, previous config in force";
        let reload = self.reloads.last_failed().then(|| reload.to_owned());
        let receipts = self.receipts.as_ref().and_then(|receipts| receipts.degraded());
        let reasons: Vec<String> = reload.into_iter().chain(receipts).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The config reload counters.
    pub(crate) fn reloads(&self) -> &ReloadCounters {
        &self.reloads
    }

    /// The shards, one per worker.
    pub(crate) fn shards(&self) -> impl Iterator<Item = Arc<Shard>> + '_ {
        self.shards.iter().cloned()
    }

    /// Renders all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub(crate) fn render(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }

    fn sum(&self, pick: impl Fn(&Shard) -> u64) -> u64 {
        self.shards.iter().map(|shard| pick(shard)).sum()
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        let build = ([("version", env!("CARGO_PKG_VERSION"))], ConstGauge::new(1_i64));
        family(encoder, "consentry_build_info", "Version of the running process", [build])?;
        self.merged().encode(encoder)?;

        let errors = ErrorKind::ALL.map(|kind| {
            let count = self.sum(|shard| get(&shard.errors, kind as usize));
            ([("kind", kind.as_str())], ConstCounter::new(count))
        });
        family(encoder, "consentry_errors", "Failed requests and connections, by kind", errors)?;
        let totals: [(&str, &str, fn(&Shard) -> &AtomicU64); 3] = [
            ("consentry_connections", "Client connections accepted", |shard| &shard.connections),
            ("consentry_upstream_connections", "Upstream connections opened", |shard| {
                &shard.upstream_connections
            }),
            ("consentry_upstream_retries", "Requests retried after a failed connection", |shard| {
                &shard.retries
            }),
        ];
        for (name, help, pick) in totals {
            let value = self.sum(|shard| pick(shard).load(Relaxed));
            single(encoder, name, help, &ConstCounter::new(value))?;
        }
        let help = "Config reloads, by result; a failed reload keeps the previous config";
        let counts = self.reloads.counts();
        let counts = counts.map(|(result, count)| ([("result", result)], ConstCounter::new(count)));
        family(encoder, "consentry_config_reloads", help, counts)?;
        let help = "1 if the last config reload succeeded";
        let in_force = ConstGauge::new(i64::from(!self.reloads.last_failed()));
        single(encoder, "consentry_config_last_reload_successful", help, &in_force)?;
        if let Some(receipts) = &self.receipts {
            receipts::encode(receipts, encoder)?;
        }
        let help = "1 if the upstream is in rotation, 0 while it is ejected or unhealthy";
        let upstreams = self.upstreams.load();
        let up = upstreams.iter().map(|upstream| {
            let labels =
                [("site", upstream.site.as_str()), ("upstream", upstream.address.as_str())];
            (labels, ConstGauge::new(i64::from((upstream.is_up)())))
        });
        family(encoder, "consentry_upstream_up", help, up)?;
        process::encode(encoder)?;
        let open: i64 = self.shards.iter().map(|shard| shard.open_connections.load(Relaxed)).sum();
        let open = ConstGauge::new(open);
        single(encoder, "consentry_open_connections", "Open client connections", &open)
    }
}
