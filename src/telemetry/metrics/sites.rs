//! Encoding of the per-site metrics.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;

use super::config_counters::{ByCategory, ConfigCounters, PAGE_OUTCOMES, SiteCounters};
use super::counter::get;
use super::encode::family;
use super::histogram::Histogram;
use crate::catalogue::Presumption;
use crate::consent::Reason;

/// The classes of status codes.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl ConfigCounters {
    /// Writes the metrics of the sites.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let requests = self.rows().flat_map(|(site, counters)| {
            let name = site.name.as_str();
            CLASSES.into_iter().enumerate().map(move |(class, code)| {
                let count = get(&counters.status_classes, class + 1);
                ([("site", name), ("code", code)], ConstCounter::new(count))
            })
        });
        family(encoder, "consentry_requests", "Requests answered", requests)?;

        let help = "Seconds from the request header section to the last byte of the response";
        self.histogram(encoder, "consentry_request_duration", help, |site| &site.duration)?;
        let help = "Seconds from forwarding a request to the upstream's response headers, including connects and retries";
        self.histogram(encoder, "consentry_upstream_duration", help, |site| &site.upstream)?;
        let help = "Seconds from request headers to response headers, excluding the upstream";
        self.histogram(encoder, "consentry_own_duration", help, |site| &site.own)?;

        let stripped = self.rows().flat_map(|(site, counters)| {
            let name = site.name.as_str();
            site.known_categories().flat_map(move |(index, category)| {
                let labels = [("site", name), ("category", category), ("mode", site.mode)];
                let directions = [
                    ("request", &counters.request_stripped),
                    ("response", &counters.response_stripped),
                ];
                directions.map(|(direction, counts)| {
                    let [site, category, mode] = labels;
                    let labels = [site, category, mode, ("direction", direction)];
                    (labels, ConstCounter::new(get(counts, index)))
                })
            })
        });
        let help = "Cookies stripped; in observe mode, cookies that enforce mode would strip";
        family(encoder, "consentry_cookies_stripped", help, stripped)?;
        let help = "Beacons blocked; in observe mode, beacons that enforce mode would block";
        self.by_category(encoder, "consentry_beacons_blocked", help, |site| &site.beacons)?;
        let help =
            "Query parameters stripped; in observe mode, parameters that enforce mode would strip";
        let name = "consentry_url_parameters_stripped";
        self.by_category(encoder, name, help, |site| &site.parameters_stripped)?;

        let help = "Set-Cookie lines added that delete a cookie";
        self.count(encoder, "consentry_cookies_expired", help, |site| &site.expired)?;
        let help = "Header fields of other tracking technologies stripped, in both directions";
        self.count(encoder, "consentry_technologies_stripped", help, |site| &site.technologies)?;

        let presumed = self.rows().flat_map(|(site, counters)| {
            let name = site.name.as_str();
            Presumption::ALL.into_iter().map(move |presumption| {
                let evidence = ("evidence", presumption.as_str());
                let count = get(&counters.presumed, presumption.index());
                ([("site", name), evidence, ("mode", site.mode)], ConstCounter::new(count))
            })
        });
        let help = "Unclassified cookies that passed as presumed strictly necessary, in both directions, by evidence";
        family(encoder, "consentry_cookies_presumed", help, presumed)?;

        let decisions = self.rows().flat_map(|(site, counters)| {
            let name = site.name.as_str();
            let decided = site.sources.iter().enumerate().map(|(index, source)| {
                (*source, Reason::Decided.as_str(), get(&counters.decisions, index))
            });
            let undecided = Reason::ALL.into_iter().skip(1).map(|reason| {
                ("none", reason.as_str(), get(&counters.no_decisions, reason.index()))
            });
            decided.chain(undecided).map(move |(source, reason, count)| {
                ([("site", name), ("source", source), ("reason", reason)], ConstCounter::new(count))
            })
        });
        let help =
            "Requests by the source of the visitor's decision, or by the reason for its absence";
        family(encoder, "consentry_consent_decisions", help, decisions)?;

        let pages = self.rows().flat_map(|(site, counters)| {
            let name = site.name.as_str();
            PAGE_OUTCOMES.into_iter().enumerate().map(move |(index, outcome)| {
                let count = get(&counters.pages, index);
                ([("site", name), ("outcome", outcome)], ConstCounter::new(count))
            })
        });
        family(encoder, "consentry_pages", "Pages selected for rewriting, by outcome", pages)
    }

    /// Writes one counter per site and category.
    fn by_category(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        pick: fn(&SiteCounters) -> &ByCategory,
    ) -> Result<(), fmt::Error> {
        let counts = self.rows().flat_map(|(site, counters)| {
            let name = site.name.as_str();
            site.known_categories().map(move |(index, category)| {
                let labels = [("site", name), ("category", category), ("mode", site.mode)];
                (labels, ConstCounter::new(get(pick(counters), index)))
            })
        });
        family(encoder, name, help, counts)
    }

    /// Writes one counter per site.
    fn count(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        pick: fn(&SiteCounters) -> &AtomicU64,
    ) -> Result<(), fmt::Error> {
        let counts = self.rows().map(|(site, counters)| {
            let labels = [("site", site.name.as_str()), ("mode", site.mode)];
            (labels, ConstCounter::new(pick(counters).load(Relaxed)))
        });
        family(encoder, name, help, counts)
    }

    /// Writes one histogram per site.
    fn histogram(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        pick: fn(&SiteCounters) -> &Histogram,
    ) -> Result<(), fmt::Error> {
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (site, counters) in self.rows() {
            pick(counters).encode(family.encode_family(&[("site", site.name.as_str())])?)?;
        }
        Ok(())
    }
}
