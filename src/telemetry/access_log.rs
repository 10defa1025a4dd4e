//! One line a request: site, method, path without query, status, duration, counts. Never a value.
//!
//! Lines are handed to a thread of their own, so that a slow reader of the log never holds up a
//! request; when the reader stays behind, lines are dropped, and the log says how many.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing_appender::non_blocking::NonBlocking;

use crate::consent::Categories;
use crate::filter::{Counts, Report};

/// Where the lines go and how they look.
#[derive(Debug, Clone)]
pub struct AccessLog {
    writer: NonBlocking,
    json: bool,
}

/// What is known of a request at its end.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The site's name; `-` when none was found.
    pub site: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The status that the visitor got.
    pub status: u16,
    /// From the head of the request to the last octet of the response.
    pub duration: Duration,
    /// Octets of the response's body.
    pub bytes: u64,
    /// The id that error pages show.
    pub request_id: &'a str,
    /// `enforce` or `observe`.
    pub mode: &'a str,
    /// What the filter did, with the site's categories and the name of the consent source.
    pub report: Option<(&'a Report, &'a Categories, Option<&'a str>)>,
    /// Whether the whole response was delivered.
    pub complete: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    site: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    duration_ms: f64,
    bytes: u64,
    request_id: &'a str,
    mode: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripped_request: Option<CategoryCounts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripped_response: Option<CategoryCounts<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    expired: u16,
    #[serde(skip_serializing_if = "is_zero")]
    technologies_stripped: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    beacon: Option<&'a str>,
    #[serde(skip_serializing_if = "is_true")]
    complete: bool,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

fn is_true(flag: &bool) -> bool {
    *flag
}

struct CategoryCounts<'a>(&'a Counts, &'a Categories);

impl<'a> CategoryCounts<'a> {
    fn of(counts: &'a Counts, categories: &'a Categories) -> Option<Self> {
        (!counts.is_zero()).then_some(Self(counts, categories))
    }

    fn named(&self) -> impl Iterator<Item = (&'a str, u16)> {
        let Self(counts, categories) = *self;
        counts.iter().map(move |(index, count)| {
            let name = categories.iter().nth(index).map_or("unclassified", |(_, name)| name);
            (name, count)
        })
    }
}

impl Serialize for CategoryCounts<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.named())
    }
}

impl AccessLog {
    /// A log that writes to `writer`, as JSON or as text for people.
    pub fn new(writer: NonBlocking, json: bool) -> Self {
        Self { writer, json }
    }

    /// Writes the line of one request.
    pub fn write(&self, entry: &Entry<'_>) {
        let time = OffsetDateTime::now_utc();
        let time =
            time.replace_nanosecond(time.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(time);
        let time = time.format(&Rfc3339).unwrap_or_default();
        let report = entry.report;
        let line = Line {
            time: &time,
            site: entry.site,
            method: entry.method,
            path: entry.path,
            status: entry.status,
            duration_ms: (entry.duration.as_secs_f64() * 1e6).round() / 1e3,
            bytes: entry.bytes,
            request_id: entry.request_id,
            mode: entry.mode,
            consent: report.map(|(report, _, source)| {
                source.unwrap_or_else(|| report.consent.reason.as_str())
            }),
            stripped_request: report
                .and_then(|(report, names, _)| CategoryCounts::of(&report.request_stripped, names)),
            stripped_response: report.and_then(|(report, names, _)| {
                CategoryCounts::of(&report.response_stripped, names)
            }),
            expired: report.map_or(0, |(report, ..)| report.expired),
            technologies_stripped: report.map_or(0, |(report, ..)| report.technologies_stripped),
            beacon: report.and_then(|(report, names, _)| {
                let beacon = report.beacon?;
                Some(beacon.map_or("unclassified", |category| names.name(category)))
            }),
            complete: entry.complete,
        };
        let mut text = if self.json {
            serde_json::to_string(&line).unwrap_or_default()
        } else {
            line.readable()
        };
        text.push('\n');
        // A full queue drops the line and counts it; a request must not fail for it.
        let _ = self.writer.clone().write_all(text.as_bytes());
    }
}

impl Line<'_> {
    fn readable(&self) -> String {
        let mut text = format!(
            "{} {} {} {} {} {:.1}ms {}B",
            self.time,
            self.site,
            self.method,
            self.path.escape_debug(),
            self.status,
            self.duration_ms,
            self.bytes
        );
        let mut add = |name: &str, value: &str| {
            let _ = write!(text, " {name}={value}");
        };
        if let Some(consent) = self.consent {
            add("consent", consent);
        }
        for (name, counts) in
            [("request", &self.stripped_request), ("response", &self.stripped_response)]
        {
            if let Some(counts) = counts {
                let counts: Vec<String> =
                    counts.named().map(|(name, count)| format!("{name}:{count}")).collect();
                add(&format!("stripped_{name}"), &counts.join(","));
            }
        }
        if self.expired > 0 {
            add("expired", &self.expired.to_string());
        }
        if let Some(beacon) = self.beacon {
            add("beacon", beacon);
        }
        if self.mode != "enforce" {
            add("mode", self.mode);
        }
        if !self.complete {
            add("complete", "false");
        }
        text
    }
}
