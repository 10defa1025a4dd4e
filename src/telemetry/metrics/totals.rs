//! Counter totals for the dashboard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::config_counters::{SiteCounters, SiteLabels};
use super::counter::get;
use super::{ErrorKind, Metrics};
use crate::consent::Reason;

/// Totals since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    /// Open client connections.
    pub open_connections: i64,
    /// Connections opened to upstreams.
    pub upstream_connections: u64,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Totals by site name.
    pub sites: BTreeMap<String, SiteTotals>,
}

/// Totals of one site since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SiteTotals {
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// Requests answered.
    pub requests: u64,
    /// Cookies stripped in both directions, by category.
    pub stripped: BTreeMap<String, u64>,
    /// Beacons answered instead of the origin.
    pub beacons: u64,
    /// `Set-Cookie` lines added to delete a cookie.
    pub expired: u64,
    /// Header fields of other tracking technologies stripped.
    pub technologies: u64,
    /// Cookies without a rule that passed as presumed necessary.
    pub presumed: u64,
    /// Requests by consent source, or by the reason why there is no decision.
    pub consent: BTreeMap<&'static str, u64>,
}

impl Metrics {
    /// Sums the counters of all workers.
    pub(crate) fn totals(&self) -> Totals {
        let errors = ErrorKind::ALL
            .into_iter()
            .map(|kind| (kind.as_str(), self.sum(|shard| get(&shard.errors, kind as usize))));
        let open = self.shards.iter().map(|shard| shard.open_connections.load(Relaxed)).sum();
        let merged = self.merged();
        let sites = merged.rows();
        Totals {
            open_connections: open,
            upstream_connections: self.sum(|shard| shard.upstream_connections.load(Relaxed)),
            errors: errors.collect(),
            sites: sites.map(|(site, counts)| (site.name.clone(), counts.totals(site))).collect(),
        }
    }
}

impl SiteCounters {
    fn totals(&self, site: &SiteLabels) -> SiteTotals {
        let all = |counters: &[AtomicU64]| counters.iter().map(|count| count.load(Relaxed)).sum();
        let stripped = site.known_categories().skip(1).map(|(index, name)| {
            let both = get(&self.request_stripped, index) + get(&self.response_stripped, index);
            (name.to_owned(), both)
        });
        let mut consent = BTreeMap::new();
        for (index, source) in site.sources.iter().enumerate() {
            *consent.entry(*source).or_default() += get(&self.decisions, index);
        }
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Decided) {
            consent.insert(reason.as_str(), get(&self.no_decisions, reason.index()));
        }
        SiteTotals {
            mode: site.mode,
            requests: all(&self.status_classes),
            stripped: stripped.collect(),
            beacons: all(&self.beacons),
            expired: self.expired.load(Relaxed),
            technologies: self.technologies.load(Relaxed),
            presumed: all(&self.presumed),
            consent,
        }
    }
}
