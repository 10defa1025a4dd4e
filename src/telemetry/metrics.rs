//! Counters in one shard a worker, added up when they are read.
//!
//! A worker only touches its own shard: no lock and no contended cache line on the path of a
//! request. Labels are closed sets: sites, categories, sources and kinds come from the config or
//! from enums, never from the traffic.

mod family;
mod receipts;
mod totals;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::consent::{Categories, Reason};
use crate::filter::{Counts, Report};
use crate::telemetry::receipts::ReceiptCounters;
use family::{Family, gauge};
pub use totals::{SiteTotals, Totals};

/// Upper bounds of the duration buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What can become of a page that was to be changed.
pub const PAGE_OUTCOMES: [&str; 3] = ["banner", "guarded", "failed"];

/// What can go wrong with a request or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request was malformed, too large, or for no site.
    BadRequest,
    /// The visitor's body stopped coming.
    RequestTimeout,
    /// No connection to an upstream.
    UpstreamConnect,
    /// The upstream failed before its response.
    UpstreamFailed,
    /// The upstream was too slow.
    UpstreamTimeout,
    /// The upstream failed in the middle of a response's body.
    UpstreamBody,
    /// consentry's own fault; the request was refused.
    Internal,
    /// A visitor's connection broke or spoke no HTTP.
    Connection,
    /// A visitor's TLS handshake failed.
    Tls,
}

impl ErrorKind {
    const ALL: [Self; 9] = [
        Self::BadRequest,
        Self::RequestTimeout,
        Self::UpstreamConnect,
        Self::UpstreamFailed,
        Self::UpstreamTimeout,
        Self::UpstreamBody,
        Self::Internal,
        Self::Connection,
        Self::Tls,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::RequestTimeout => "request_timeout",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBody => "upstream_body",
            Self::Internal => "internal",
            Self::Connection => "connection",
            Self::Tls => "tls",
        }
    }
}

/// The names that a site's counters are shown with.
#[derive(Debug, Clone)]
pub struct SiteLabels {
    /// The site's name.
    pub name: String,
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// The site's categories.
    pub categories: Categories,
    /// The names of the site's consent sources, in order.
    pub sources: Vec<&'static str>,
}

/// All counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    sites: Arc<[SiteLabels]>,
    shards: Arc<[Arc<Shard>]>,
    receipts: Option<Arc<ReceiptCounters>>,
}

type ByCategory = [AtomicU64; Categories::MAX + 1];

/// The counters of one worker.
#[derive(Debug)]
pub struct Shard {
    sites: Vec<SiteCounters>,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    connections: AtomicU64,
    open_connections: AtomicI64,
    upstream_connections: AtomicU64,
    retries: AtomicU64,
}

#[derive(Debug)]
struct SiteCounters {
    status_classes: [AtomicU64; 6],
    duration_buckets: [AtomicU64; BUCKETS.len() + 1],
    duration_micros: AtomicU64,
    request_stripped: ByCategory,
    response_stripped: ByCategory,
    beacons: ByCategory,
    expired: AtomicU64,
    technologies: AtomicU64,
    pages: [AtomicU64; PAGE_OUTCOMES.len()],
    decisions: Vec<AtomicU64>,
    no_decisions: [AtomicU64; Reason::ALL.len()],
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

fn add(counters: &[AtomicU64], index: usize, number: u64) {
    if let Some(counter) = counters.get(index) {
        counter.fetch_add(number, Relaxed);
    }
}

impl Shard {
    fn new(sites: &[SiteLabels]) -> Self {
        let site = |labels: &SiteLabels| SiteCounters {
            status_classes: zeros(),
            duration_buckets: zeros(),
            duration_micros: AtomicU64::new(0),
            request_stripped: zeros(),
            response_stripped: zeros(),
            beacons: zeros(),
            expired: AtomicU64::new(0),
            technologies: AtomicU64::new(0),
            pages: zeros(),
            decisions: labels.sources.iter().map(|_| AtomicU64::new(0)).collect(),
            no_decisions: zeros(),
        };
        Self {
            sites: sites.iter().map(site).collect(),
            errors: zeros(),
            connections: AtomicU64::new(0),
            open_connections: AtomicI64::new(0),
            upstream_connections: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    /// Counts a request at its end; `site` is the position among the sites.
    pub fn request(&self, site: usize, status: u16, duration: Duration, report: Option<&Report>) {
        let Some(counters) = self.sites.get(site) else { return };
        add(&counters.status_classes, usize::from(status / 100), 1);
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        add(&counters.duration_buckets, bucket, 1);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        counters.duration_micros.fetch_add(micros, Relaxed);
        let Some(report) = report else { return };
        let add_all = |counters: &ByCategory, counts: &Counts| {
            counts.iter().for_each(|(index, count)| add(counters, index, u64::from(count)));
        };
        add_all(&counters.request_stripped, &report.request_stripped);
        add_all(&counters.response_stripped, &report.response_stripped);
        if report.expired > 0 {
            counters.expired.fetch_add(u64::from(report.expired), Relaxed);
        }
        if report.technologies_stripped > 0 {
            counters.technologies.fetch_add(u64::from(report.technologies_stripped), Relaxed);
        }
        if let Some(category) = report.beacon {
            let index = category.map_or(Categories::MAX, |category| category.index());
            add(&counters.beacons, index, 1);
        }
        match report.consent.source() {
            Some(source) => add(&counters.decisions, source, 1),
            None => add(&counters.no_decisions, report.consent.reason.index(), 1),
        }
    }

    /// Counts a page that was to be changed; `outcome` is a position among [`PAGE_OUTCOMES`].
    pub fn page(&self, site: usize, outcome: usize) {
        if let Some(counters) = self.sites.get(site) {
            add(&counters.pages, outcome, 1);
        }
    }

    /// Counts something that went wrong.
    pub fn error(&self, kind: ErrorKind) {
        add(&self.errors, kind as usize, 1);
    }

    /// Counts a visitor's connection as it opens.
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.open_connections.fetch_add(1, Relaxed);
    }

    /// Counts a visitor's connection as it closes.
    pub fn connection_closed(&self) {
        self.open_connections.fetch_sub(1, Relaxed);
    }

    /// Counts a new connection to an upstream.
    pub fn upstream_connected(&self) {
        self.upstream_connections.fetch_add(1, Relaxed);
    }

    /// Counts a request sent again because a pooled connection was dead.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
}

impl Metrics {
    /// Counters for these sites, in as many shards as there are workers.
    pub fn new(sites: Vec<SiteLabels>, workers: usize) -> Self {
        let shards = (0..workers).map(|_| Arc::new(Shard::new(&sites))).collect();
        Self { sites: sites.into(), shards, receipts: None }
    }

    /// With what becomes of receipts, where they are kept.
    pub fn with_receipts(self, receipts: Option<Arc<ReceiptCounters>>) -> Self {
        Self { receipts, ..self }
    }

    /// Why the service is not as it should be, though it goes on; `None` while it is.
    pub fn degraded(&self) -> Option<String> {
        self.receipts.as_ref()?.degraded()
    }

    /// The shards, one for each worker.
    pub fn shards(&self) -> impl Iterator<Item = Arc<Shard>> + '_ {
        self.shards.iter().cloned()
    }

    /// Everything in the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }

    fn sum(&self, pick: impl Fn(&Shard) -> u64) -> u64 {
        self.shards.iter().map(|shard| pick(shard)).sum()
    }

    fn site_sum(&self, site: usize, pick: impl Fn(&SiteCounters) -> u64) -> u64 {
        self.sum(|shard| shard.sites.get(site).map_or(0, &pick))
    }

    fn category_counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        directions: &[(Option<&str>, fn(&SiteCounters) -> &ByCategory)],
    ) -> Result<(), fmt::Error> {
        let mut family = Family::new(encoder, name, help)?;
        for (index, site) in self.sites.iter().enumerate() {
            let known = site.categories.iter().map(|(category, name)| (category.index(), name));
            for (category, category_name) in known.chain([(Categories::MAX, "unclassified")]) {
                for (direction, pick) in directions {
                    let value = self.site_sum(index, |site| {
                        pick(site).get(category).map_or(0, |counter| counter.load(Relaxed))
                    });
                    let labels = [
                        ("site", site.name.as_str()),
                        ("category", category_name),
                        ("mode", site.mode),
                    ];
                    match direction {
                        Some(direction) => {
                            let [a, b, c] = labels;
                            family.counter(&[a, b, c, ("direction", direction)], value)?;
                        }
                        None => family.counter(&labels, value)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn per_site(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        pick: impl Fn(&SiteCounters) -> u64,
    ) -> Result<(), fmt::Error> {
        let mut family = Family::new(encoder, name, help)?;
        for (index, site) in self.sites.iter().enumerate() {
            let value = self.site_sum(index, &pick);
            family.counter(&[("site", &site.name), ("mode", site.mode)], value)?;
        }
        Ok(())
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        let build = ConstGauge::new(1_i64);
        encoder
            .encode_descriptor(
                "consentry_build_info",
                "The running version",
                None,
                build.metric_type(),
            )?
            .encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?
            .encode_gauge(&1_i64)?;

        let mut requests = Family::new(encoder, "consentry_requests", "Requests answered")?;
        for (index, site) in self.sites.iter().enumerate() {
            for (class, code) in
                ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].iter().enumerate().skip(1)
            {
                let value = self.site_sum(index, |site| {
                    site.status_classes.get(class).map_or(0, |counter| counter.load(Relaxed))
                });
                requests.counter(&[("site", &site.name), ("code", code)], value)?;
            }
        }
        self.durations(encoder)?;
        self.category_counters(
            encoder,
            "consentry_cookies_stripped",
            "Cookies stripped, or in observe mode cookies that enforce would strip",
            &[
                (Some("request"), |site| &site.request_stripped),
                (Some("response"), |site| &site.response_stripped),
            ],
        )?;
        self.category_counters(
            encoder,
            "consentry_beacons_blocked",
            "Beacons answered in the origin's stead, or in observe mode beacons that enforce would answer",
            &[(None, |site| &site.beacons)],
        )?;
        self.per_site(
            encoder,
            "consentry_cookies_expired",
            "Set-Cookie lines added that delete a cookie",
            |site| site.expired.load(Relaxed),
        )?;
        self.per_site(
            encoder,
            "consentry_technologies_stripped",
            "Response headers stripped that switch on other tracking technologies",
            |site| site.technologies.load(Relaxed),
        )?;
        self.decisions(encoder)?;
        let help = "Pages that were to be changed, by what became of them";
        let mut pages = Family::new(encoder, "consentry_pages", help)?;
        for (index, site) in self.sites.iter().enumerate() {
            for (outcome, name) in PAGE_OUTCOMES.iter().enumerate() {
                let value = self.site_sum(index, |site| {
                    site.pages.get(outcome).map_or(0, |counter| counter.load(Relaxed))
                });
                pages.counter(&[("site", &site.name), ("outcome", name)], value)?;
            }
        }

        let mut errors =
            Family::new(encoder, "consentry_errors", "Requests and connections that failed")?;
        for kind in ErrorKind::ALL {
            let value = self.sum(|shard| {
                shard.errors.get(kind as usize).map_or(0, |counter| counter.load(Relaxed))
            });
            errors.counter(&[("kind", kind.as_str())], value)?;
        }
        let totals: [(&str, &str, fn(&Shard) -> &AtomicU64); 3] = [
            ("consentry_connections", "Visitors' connections accepted", |shard| &shard.connections),
            ("consentry_upstream_connections", "Connections opened to upstreams", |shard| {
                &shard.upstream_connections
            }),
            (
                "consentry_upstream_retries",
                "Requests sent again because a pooled connection was dead",
                |shard| &shard.retries,
            ),
        ];
        for (name, help, pick) in totals {
            let value = self.sum(|shard| pick(shard).load(Relaxed));
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        if let Some(receipts) = &self.receipts {
            receipts::encode(receipts, encoder)?;
        }
        let open: i64 = self.shards.iter().map(|shard| shard.open_connections.load(Relaxed)).sum();
        gauge(encoder, "consentry_open_connections", "Visitors' connections open now", open)
    }
}

impl Metrics {
    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "consentry_request_duration",
            "From the head of a request to the last octet of its response",
            Some(&Unit::Seconds),
            prometheus_client::metrics::MetricType::Histogram,
        )?;
        for (index, site) in self.sites.iter().enumerate() {
            let mut buckets = Vec::with_capacity(BUCKETS.len() + 1);
            for (bucket, bound) in BUCKETS.iter().copied().chain([f64::INFINITY]).enumerate() {
                let count = self.site_sum(index, |site| {
                    site.duration_buckets.get(bucket).map_or(0, |counter| counter.load(Relaxed))
                });
                buckets.push((bound, count));
            }
            let count = buckets.iter().map(|(_, count)| count).sum();
            let micros = self.site_sum(index, |site| site.duration_micros.load(Relaxed));
            #[expect(
                clippy::cast_precision_loss,
                reason = "a sum of microseconds stays far below 2^53"
            )]
            let seconds = micros as f64 / 1e6;
            family
                .encode_family(&[("site", &site.name)])?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }

    fn decisions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help =
            "Requests by the source of the visitor's decision, or the reason for having none";
        let mut family = Family::new(encoder, "consentry_consent_decisions", help)?;
        for (index, site) in self.sites.iter().enumerate() {
            for (source, name) in site.sources.iter().enumerate() {
                let value = self.site_sum(index, |site| {
                    site.decisions.get(source).map_or(0, |counter| counter.load(Relaxed))
                });
                let labels =
                    [("site", site.name.as_str()), ("source", name), ("reason", "decided")];
                family.counter(&labels, value)?;
            }
            for reason in Reason::ALL.into_iter().skip(1) {
                let value = self.site_sum(index, |site| {
                    site.no_decisions.get(reason.index()).map_or(0, |counter| counter.load(Relaxed))
                });
                let labels =
                    [("site", site.name.as_str()), ("source", "none"), ("reason", reason.as_str())];
                family.counter(&labels, value)?;
            }
        }
        Ok(())
    }
}
