//! The dashboard: one HTML page, and the figures that it polls.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::inventory;
use crate::clock::unix_now;
use crate::filter::Filter;
use crate::telemetry::{Metrics, Totals};

/// The page, its style and its script. Nothing is loaded from other hosts.
pub(super) const PAGE: &str = include_str!("dashboard/page.html");
pub(super) const STYLE: &str = include_str!("dashboard/style.css");
pub(super) const SCRIPT: &str = include_str!("dashboard/script.js");
/// Content security policy of the page: connections to this listener only.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Seconds between two samples.
pub(super) const SAMPLE_SECONDS: u64 = 5;
/// One hour of samples.
const MAX_SAMPLES: usize = 720;

/// Samples of the last hour.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: Mutex<VecDeque<Sample>>,
}

/// The counters of one moment, for the plot and the alarms.
#[derive(Debug)]
struct Sample {
    time: i64,
    upstream_errors: u64,
    /// By site in the order of names: requests, and cookies stripped by category.
    sites: Vec<(u64, Vec<u64>)>,
}

impl Sample {
    fn of(totals: &Totals) -> Self {
        let upstream = totals.errors.iter().filter(|(kind, _)| kind.starts_with("upstream"));
        Self {
            time: unix_now(),
            upstream_errors: upstream.map(|(_, count)| count).sum(),
            sites: totals
                .sites
                .values()
                .map(|site| (site.requests, site.stripped.values().copied().collect()))
                .collect(),
        }
    }
}

impl History {
    /// Adds a sample of the current totals.
    pub(super) fn sample(&self, metrics: &Metrics) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(Sample::of(&metrics.totals()));
    }

    /// The figures of one site, by its index among the sites. They contain names only, never a cookie value.
    pub(super) fn figures(
        &self,
        metrics: &Metrics,
        sites: &[(String, Arc<Filter>)],
        place: usize,
    ) -> Value {
        let totals = metrics.totals();
        let newest = Sample::of(&totals);
        let names: Vec<&String> = totals.sites.keys().collect();
        let name = names.get(place).or(names.first()).copied();
        let now = name.and_then(|name| totals.sites.get(name));
        let seen = sites.iter().find(|(other, _)| Some(other) == name);
        let seen = seen.map(|(_, filter)| inventory::of_site(filter));
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        // In columns, to keep the response small: a page requests an hour of samples every few seconds.
        let all = || samples.iter().chain([&newest]);
        let of_site = |sample: &Sample| sample.sites.get(place).map(|(requests, _)| *requests);
        let categories = now.into_iter().flat_map(|site| site.stripped.keys()).enumerate();
        let stripped: BTreeMap<&str, Vec<u64>> = categories
            .map(|(column, category)| {
                let of = |sample: &Sample| {
                    sample.sites.get(place).and_then(|(_, stripped)| stripped.get(column).copied())
                };
                (category.as_str(), all().map(|sample| of(sample).unwrap_or_default()).collect())
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "sites": names,
            "now": now,
            "open_connections": totals.open_connections,
            "upstream_connections": totals.upstream_connections,
            "errors": totals.errors,
            "history": {
                "times": all().map(|sample| sample.time).collect::<Vec<_>>(),
                "requests": all().map(of_site).collect::<Vec<_>>(),
                "upstream_errors": all().map(|sample| sample.upstream_errors).collect::<Vec<_>>(),
                "stripped": stripped,
            },
            "inventory": seen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_covers_one_hour() {
        let (history, metrics) = (History::default(), Metrics::new(Vec::new(), 1));
        (0..800).for_each(|_| history.sample(&metrics));
        let figures = history.figures(&metrics, &[], 0);
        let times = figures["history"]["times"].as_array().map(Vec::len);
        assert_eq!(times, Some(720 + 1), "and the present");
    }
}
