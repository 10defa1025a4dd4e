//! The per-site counters of one config. Each config starts a new generation.
//!
//! In-flight requests of an older config still count in its generation. Those counts are merged into the current
//! generation by the names of sites, categories and sources.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::counter::{add, zeros};
use super::histogram::{Histogram, WAITING, WORKING};
use crate::catalogue::Presumption;
use crate::consent::{Categories, Reason};
use crate::filter::{Counts, Report};

/// Outcomes of rewriting a page.
pub(crate) const PAGE_OUTCOMES: [&str; 3] = ["banner", "guarded", "failed"];

/// The label values of a site's counters.
#[derive(Debug, Clone)]
pub(crate) struct SiteLabels {
    /// The site's name.
    pub name: String,
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// The site's categories.
    pub categories: Categories,
    /// The names of the site's consent sources, in order.
    pub sources: Vec<&'static str>,
}

impl SiteLabels {
    /// The indices and names of the categories, the one for unknown names included.
    pub(super) fn known_categories(&self) -> impl Iterator<Item = (usize, &str)> {
        let categories = self.categories.iter().map(|(category, name)| (category.index(), name));
        categories.chain([(Categories::MAX, "unclassified")])
    }
}

pub(super) type ByCategory = [AtomicU64; Categories::MAX + 1];

/// The per-site counters of one config.
#[derive(Debug)]
pub(crate) struct ConfigCounters {
    pub(super) sites: Vec<SiteLabels>,
    /// By worker, then by site. Each worker writes only its own counters.
    workers: Vec<Vec<SiteCounters>>,
}

#[derive(Debug)]
pub(super) struct SiteCounters {
    pub(super) status_classes: [AtomicU64; 6],
    /// Duration of the whole request.
    pub(super) duration: Histogram,
    /// Time until the upstream's response head.
    pub(super) upstream: Histogram,
    /// Time spent in the proxy until the response head was sent.
    pub(super) own: Histogram,
    pub(super) request_stripped: ByCategory,
    pub(super) response_stripped: ByCategory,
    pub(super) parameters_stripped: ByCategory,
    pub(super) beacons: ByCategory,
    pub(super) expired: AtomicU64,
    pub(super) technologies: AtomicU64,
    /// By [`Presumption::index`].
    pub(super) presumed: [AtomicU64; Presumption::ALL.len()],
    pub(super) pages: [AtomicU64; PAGE_OUTCOMES.len()],
    pub(super) decisions: Vec<AtomicU64>,
    pub(super) no_decisions: [AtomicU64; Reason::ALL.len()],
}

impl SiteCounters {
    fn new(labels: &SiteLabels) -> Self {
        Self {
            status_classes: zeros(),
            duration: Histogram::new(&WAITING),
            upstream: Histogram::new(&WAITING),
            own: Histogram::new(&WORKING),
            request_stripped: zeros(),
            response_stripped: zeros(),
            parameters_stripped: zeros(),
            beacons: zeros(),
            expired: AtomicU64::new(0),
            technologies: AtomicU64::new(0),
            presumed: zeros(),
            pages: zeros(),
            decisions: labels.sources.iter().map(|_| AtomicU64::new(0)).collect(),
            no_decisions: zeros(),
        }
    }

    /// Adds the counts of a site whose categories and sources may differ.
    fn merge(&self, own: &SiteLabels, other: &Self, others: &SiteLabels) {
        let same = |to: &[AtomicU64], from: &[AtomicU64]| {
            from.iter().enumerate().for_each(|(index, count)| add(to, index, count.load(Relaxed)));
        };
        same(&self.status_classes, &other.status_classes);
        self.duration.absorb(&other.duration);
        self.upstream.absorb(&other.upstream);
        self.own.absorb(&other.own);
        same(&self.presumed, &other.presumed);
        same(&self.pages, &other.pages);
        same(&self.no_decisions, &other.no_decisions);
        for (to, from) in
            [(&self.expired, &other.expired), (&self.technologies, &other.technologies)]
        {
            to.fetch_add(from.load(Relaxed), Relaxed);
        }
        for (to, from) in [
            (&self.request_stripped, &other.request_stripped),
            (&self.response_stripped, &other.response_stripped),
            (&self.parameters_stripped, &other.parameters_stripped),
            (&self.beacons, &other.beacons),
        ] {
            let named = others.categories.iter().map(|(category, name)| {
                (category.index(), own.categories.find(name).map(|category| category.index()))
            });
            for (index, own_index) in named.chain([(Categories::MAX, Some(Categories::MAX))]) {
                let count = from.get(index).map_or(0, |count| count.load(Relaxed));
                if let Some(own_index) = own_index {
                    add(to, own_index, count);
                }
            }
        }
        for (source, count) in others.sources.iter().zip(&other.decisions) {
            if let Some(index) = own.sources.iter().position(|own| own == source) {
                add(&self.decisions, index, count.load(Relaxed));
            }
        }
    }
}

impl ConfigCounters {
    /// Creates counters for these sites and this number of workers.
    pub(super) fn new(sites: Vec<SiteLabels>, workers: usize) -> Self {
        let each = || sites.iter().map(SiteCounters::new).collect();
        Self { workers: (0..workers).map(|_| each()).collect(), sites }
    }

    fn of(&self, worker: usize, site: usize) -> Option<&SiteCounters> {
        self.workers.get(worker)?.get(site)
    }

    /// Adds the counts of another generation to the first worker's, matching sites by name. Sites that no longer
    /// exist are skipped.
    pub(super) fn absorb(&self, other: &Self) {
        for (index, labels) in self.sites.iter().enumerate() {
            let found = other.sites.iter().position(|other_site| other_site.name == labels.name);
            let Some((found, own)) = found.zip(self.of(0, index)) else { continue };
            let Some(other_site) = other.sites.get(found) else { continue };
            for counters in other.workers.iter().filter_map(|worker| worker.get(found)) {
                own.merge(labels, counters, other_site);
            }
        }
    }

    /// The sites and the first worker's counters, which are all counts after [`absorb`](Self::absorb).
    pub(super) fn rows(&self) -> impl Iterator<Item = (&SiteLabels, &SiteCounters)> {
        self.sites.iter().zip(self.workers.iter().take(1).flatten())
    }

    /// Counts a finished request. `site` is the index of the site.
    pub(crate) fn request(
        &self,
        worker: usize,
        site: usize,
        status: u16,
        duration: Duration,
        report: Option<&Report>,
    ) {
        let Some(counters) = self.of(worker, site) else { return };
        add(&counters.status_classes, usize::from(status / 100), 1);
        counters.duration.observe(duration);
        let Some(report) = report else { return };
        let add_all = |counters: &ByCategory, counts: &Counts| {
            counts.iter().for_each(|(index, count)| add(counters, index, u64::from(count)));
        };
        add_all(&counters.request_stripped, &report.request_stripped);
        add_all(&counters.response_stripped, &report.response_stripped);
        add_all(&counters.parameters_stripped, &report.parameters_stripped);
        if report.expired > 0 {
            counters.expired.fetch_add(u64::from(report.expired), Relaxed);
        }
        if report.technologies_stripped > 0 {
            counters.technologies.fetch_add(u64::from(report.technologies_stripped), Relaxed);
        }
        for (index, count) in report.presumed.iter().enumerate().filter(|(_, count)| **count > 0) {
            add(&counters.presumed, index, u64::from(*count));
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

    /// Records the time to the response head: in the upstream, if it was contacted, and in the proxy.
    pub(crate) fn head(
        &self,
        worker: usize,
        site: usize,
        upstream: Option<Duration>,
        own: Duration,
    ) {
        let Some(counters) = self.of(worker, site) else { return };
        counters.own.observe(own);
        if let Some(upstream) = upstream {
            counters.upstream.observe(upstream);
        }
    }

    /// Counts a page to be rewritten. `outcome` is an index into [`PAGE_OUTCOMES`].
    pub(crate) fn page(&self, worker: usize, site: usize, outcome: usize) {
        if let Some(counters) = self.of(worker, site) {
            add(&counters.pages, outcome, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(categories: [&str; 2], sources: [&'static str; 2]) -> SiteLabels {
        let mut built = Categories::default();
        categories.iter().for_each(|name| _ = built.add(name));
        SiteLabels {
            name: "shop".to_owned(),
            mode: "enforce",
            categories: built,
            sources: sources.to_vec(),
        }
    }

    #[test]
    fn every_count_continues_under_its_category_and_source_name() {
        let old = ConfigCounters::new(vec![site(["video", "maps"], ["klaro", "tcf"])], 2);
        let new = ConfigCounters::new(vec![site(["maps", "chat"], ["tcf", "osano"])], 2);
        let add_to =
            |generation: &ConfigCounters, worker, pick: &dyn Fn(&SiteCounters) -> &AtomicU64| {
                let counters = generation.of(worker, 0).expect("counters");
                pick(counters).fetch_add(1, Relaxed);
            };
        let (video, maps) = (5, 6);
        for worker in [0, 1] {
            add_to(&old, worker, &|counters| &counters.status_classes[2]);
            add_to(&old, worker, &|counters| &counters.expired);
            add_to(&old, worker, &|counters| &counters.technologies);
            add_to(&old, worker, &|counters| &counters.presumed[0]);
            add_to(&old, worker, &|counters| &counters.pages[1]);
            add_to(&old, worker, &|counters| &counters.no_decisions[1]);
            add_to(&old, worker, &|counters| &counters.decisions[1]);
            add_to(&old, worker, &|counters| &counters.decisions[0]);
            for index in [video, maps, Categories::MAX] {
                add_to(&old, worker, &|counters| &counters.request_stripped[index]);
                add_to(&old, worker, &|counters| &counters.response_stripped[index]);
                add_to(&old, worker, &|counters| &counters.beacons[index]);
            }
        }
        new.absorb(&old);
        let count = |pick: &dyn Fn(&SiteCounters) -> &AtomicU64| {
            let (_, counters) = new.rows().next().expect("a site");
            pick(counters).load(Relaxed)
        };
        assert_eq!(count(&|counters| &counters.status_classes[2]), 2);
        assert_eq!(count(&|counters| &counters.expired), 2);
        assert_eq!(count(&|counters| &counters.technologies), 2);
        assert_eq!(count(&|counters| &counters.presumed[0]), 2);
        assert_eq!(count(&|counters| &counters.pages[1]), 2);
        assert_eq!(count(&|counters| &counters.no_decisions[1]), 2);
        assert_eq!([0, 1].map(|index| count(&|counters| &counters.decisions[index])), [2, 0]);
        // `maps` now has the index that `video` had, and `chat` that of `maps`.
        for (index, expected) in [(5, 2), (6, 0), (Categories::MAX, 2)] {
            assert_eq!(count(&|counters| &counters.request_stripped[index]), expected, "{index}");
            assert_eq!(count(&|counters| &counters.response_stripped[index]), expected, "{index}");
            assert_eq!(count(&|counters| &counters.beacons[index]), expected, "{index}");
        }
    }

    #[test]
    fn counts_of_a_site_are_separate_and_end_with_it() {
        let named = |name: &str| SiteLabels {
            name: name.to_owned(),
            ..site(["video", "maps"], ["klaro", "tcf"])
        };
        let old = ConfigCounters::new(vec![named("one"), named("two")], 1);
        old.request(0, 1, 200, Duration::ZERO, None);
        let new = ConfigCounters::new(vec![named("two"), named("three")], 1);
        new.absorb(&old);
        let counts = new.rows().map(|(_, counters)| counters.status_classes[2].load(Relaxed));
        assert_eq!(counts.collect::<Vec<_>>(), [1, 0]);
    }
}
