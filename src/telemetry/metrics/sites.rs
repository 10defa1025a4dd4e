//! Encoding of the per-site metrics.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::config_counters::{ByCategory, ConfigCounters, SiteCounters};
use super::family::Family;
use super::histogram::{BUCKETS, Histogram, WAITING};
use crate::catalogue::Presumption;
use crate::consent::{Categories, Reason};

impl ConfigCounters {
    pub(super) fn category_counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        directions: &[(Option<&str>, fn(&SiteCounters) -> &ByCategory)],
    ) -> Result<(), fmt::Error> {
        let mut family = Family::new(encoder, name, help)?;
        for (index, site) in self.sites.iter().enumerate() {
            let named = site.categories.iter().map(|(category, name)| (category.index(), name));
            for (category, category_name) in named.chain([(Categories::MAX, "unclassified")]) {
                for (direction, pick) in directions {
                    let value = self.site(index, |site| {
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

    /// Writes the number of cookies that passed as presumed necessary, by evidence.
    pub(super) fn presumed(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Unclassified cookies that passed as presumed strictly necessary, in both directions, by evidence";
        let mut family = Family::new(encoder, "consentry_cookies_presumed", help)?;
        for (index, site) in self.sites.iter().enumerate() {
            for evidence in Presumption::ALL {
                let value = self.site(index, |site| {
                    site.presumed.get(evidence.index()).map_or(0, |count| count.load(Relaxed))
                });
                let evidence = ("evidence", evidence.as_str());
                family.counter(&[("site", &site.name), evidence, ("mode", site.mode)], value)?;
            }
        }
        Ok(())
    }

    pub(super) fn per_site(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        pick: impl Fn(&SiteCounters) -> u64,
    ) -> Result<(), fmt::Error> {
        let mut family = Family::new(encoder, name, help)?;
        for (index, site) in self.sites.iter().enumerate() {
            let value = self.site(index, &pick);
            family.counter(&[("site", &site.name), ("mode", site.mode)], value)?;
        }
        Ok(())
    }

    /// Writes a histogram with one series per site.
    pub(super) fn histogram(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        pick: fn(&SiteCounters) -> &Histogram,
    ) -> Result<(), fmt::Error> {
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (index, site) in self.sites.iter().enumerate() {
            let sum = Histogram::new(self.bounds(index, pick));
            self.each(index, |site| sum.absorb(pick(site)));
            let bounds = sum.bounds.iter().copied().chain([f64::INFINITY]);
            let counts = sum.buckets.iter().map(|counter| counter.load(Relaxed));
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            #[expect(
                clippy::cast_precision_loss,
                reason = "a sum of microseconds stays far below 2^53"
            )]
            let seconds = sum.micros.load(Relaxed) as f64 / 1e6;
            family
                .encode_family(&[("site", &site.name)])?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }

    pub(super) fn bounds(
        &self,
        index: usize,
        pick: fn(&SiteCounters) -> &Histogram,
    ) -> &'static [f64; BUCKETS] {
        let mut bounds = &WAITING;
        self.each(index, |site| bounds = pick(site).bounds);
        bounds
    }

    pub(super) fn decisions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help =
            "Requests by the source of the visitor's decision, or by the reason for its absence";
        let mut family = Family::new(encoder, "consentry_consent_decisions", help)?;
        for (index, site) in self.sites.iter().enumerate() {
            for (source, name) in site.sources.iter().enumerate() {
                let value = self.site(index, |site| {
                    site.decisions.get(source).map_or(0, |counter| counter.load(Relaxed))
                });
                let labels =
                    [("site", site.name.as_str()), ("source", name), ("reason", "decided")];
                family.counter(&labels, value)?;
            }
            for reason in Reason::ALL.into_iter().skip(1) {
                let value = self.site(index, |site| {
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
