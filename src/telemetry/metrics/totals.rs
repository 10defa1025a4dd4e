//! Counter totals for the dashboard.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::config_counters::{ByCategory, ConfigCounters, SiteCounters};
use super::{ErrorKind, Metrics};
use crate::consent::{Categories, Reason};

/// Totals since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
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
pub struct SiteTotals {
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
    pub fn totals(&self) -> Totals {
        let errors = ErrorKind::ALL.into_iter().enumerate().map(|(index, kind)| {
            let of_kind = |errors: &[super::AtomicU64]| {
                errors.get(index).map_or(0, |count| count.load(Relaxed))
            };
            (kind.as_str(), self.sum(|shard| of_kind(&shard.errors)))
        });
        let open = self.shards.iter().map(|shard| shard.open_connections.load(Relaxed)).sum();
        let merged = self.merged();
        let sites = merged.sites.iter().enumerate();
        Totals {
            open_connections: open,
            upstream_connections: self.sum(|shard| shard.upstream_connections.load(Relaxed)),
            errors: errors.collect(),
            sites: sites.map(|(index, site)| (site.name.clone(), merged.totals(index))).collect(),
        }
    }
}

impl ConfigCounters {
    fn totals(&self, index: usize) -> SiteTotals {
        let site = self.sites.get(index);
        let all =
            |counters: &ByCategory| counters.iter().map(|count| count.load(Relaxed)).sum::<u64>();
        let mut stripped = BTreeMap::new();
        let categories = site.into_iter().flat_map(|site| site.categories.iter());
        let categories = categories.map(|(category, name)| (category.index(), name));
        for (category, name) in categories.chain([(Categories::MAX, "unclassified")]).skip(1) {
            let of = |counters: &ByCategory| {
                counters.get(category).map_or(0, |count| count.load(Relaxed))
            };
            let both =
                |site: &SiteCounters| of(&site.request_stripped) + of(&site.response_stripped);
            stripped.insert(name.to_owned(), self.site(index, both));
        }
        let mut consent = BTreeMap::new();
        let sources = site.map(|site| site.sources.as_slice()).unwrap_or_default();
        for (index, source) in sources.iter().enumerate() {
            let count = |site: &SiteCounters| {
                site.decisions.get(index).map_or(0, |count| count.load(Relaxed))
            };
            *consent.entry(*source).or_default() += self.site(index, count);
        }
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Decided) {
            let count = |site: &SiteCounters| {
                site.no_decisions.get(reason.index()).map_or(0, |count| count.load(Relaxed))
            };
            consent.insert(reason.as_str(), self.site(index, count));
        }
        SiteTotals {
            mode: site.map_or("enforce", |site| site.mode),
            requests: self.site(index, |site| {
                site.status_classes.iter().map(|count| count.load(Relaxed)).sum()
            }),
            stripped,
            beacons: self.site(index, |site| all(&site.beacons)),
            expired: self.site(index, |site| site.expired.load(Relaxed)),
            presumed: self
                .site(index, |site| site.presumed.iter().map(|count| count.load(Relaxed)).sum()),
            technologies: self.site(index, |site| site.technologies.load(Relaxed)),
            consent,
        }
    }
}
