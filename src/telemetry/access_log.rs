//! The access log: one line per request, with site, method, path without query, status, duration and counts. Never
//! a cookie value.
//!
//! A separate thread writes the lines, so that a slow reader of the log never delays a request. Lines are dropped
//! when the reader falls behind.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::Version;
use http::header::{REFERER, USER_AGENT};
use ipnet::IpNet;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing_appender::non_blocking::NonBlocking;

use super::line_buffer;
use crate::catalogue::Presumption;
use crate::config::settings::{AccessFormat, LoggedAddress};
use crate::consent::Categories;
use crate::filter::{Counts, Report};
use crate::http::Fields;

/// Maximum number of bytes logged from a header field.
const MAX_FIELD_BYTES: usize = 512;
const COMBINED_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// The access log writer and its format.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    writer: NonBlocking,
    form: LineFormat,
    address: LoggedAddress,
}

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// Human-readable text.
    Text,
    /// JSON.
    Json,
    /// The Combined Log Format of Apache httpd.
    Combined,
}

impl LineFormat {
    /// The format set in the config. `auto` is JSON if `json`, else text.
    pub(crate) fn of(format: AccessFormat, json: bool) -> Self {
        match format {
            AccessFormat::Combined => Self::Combined,
            AccessFormat::Auto if json => Self::Json,
            AccessFormat::Json => Self::Json,
            AccessFormat::Auto | AccessFormat::Text => Self::Text,
        }
    }
}

/// Request fields of the client for the log line. Kept only if the format contains them.
#[derive(Debug)]
pub(crate) struct ClientFields {
    /// The client address, truncated as configured.
    address: Option<String>,
    version: Version,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
}

/// The data of one finished request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessLogEntry<'a> {
    /// The site's name, or `-` if no site matched.
    pub site: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The status sent to the client.
    pub status: u16,
    /// From the request head to the last byte of the response.
    pub duration: Duration,
    /// Bytes in the response body.
    pub bytes: u64,
    /// The request ID, as shown on error pages.
    pub request_id: &'a str,
    /// `enforce` or `observe`.
    pub mode: &'a str,
    /// What the filter did, with the site's categories and the name of the consent source.
    pub report: Option<(&'a Report, &'a Categories, Option<&'a str>)>,
    /// Whether the whole response was delivered.
    pub complete: bool,
    /// Request fields of the client, if the format contains them.
    pub client_fields: Option<&'a ClientFields>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: &'a str,
    site: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    duration_ms: f64,
    bytes: u64,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    mode: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripped_request: Option<CategoryCounts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripped_response: Option<CategoryCounts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stripped_parameters: Option<CategoryCounts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presumed: Option<PresumedCounts>,
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

/// Cookies that passed as presumed necessary, by evidence.
struct PresumedCounts([u16; Presumption::ALL.len()]);

impl PresumedCounts {
    fn of(report: &Report) -> Option<Self> {
        let any = report.presumed.iter().any(|count| *count > 0);
        any.then_some(Self(report.presumed))
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, u16)> {
        let all = Presumption::ALL.iter().map(|evidence| evidence.as_str()).zip(self.0);
        all.filter(|(_, count)| *count > 0)
    }
}

impl Serialize for PresumedCounts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.named())
    }
}

impl AccessLog {
    /// Creates a log that writes to `writer` in this format. `address` sets how much of a client address is logged.
    pub(crate) fn new(writer: NonBlocking, form: LineFormat, address: LoggedAddress) -> Self {
        Self { writer, form, address }
    }

    /// Collects the request fields of the client for the log line. `None` if the format contains none of them.
    pub(crate) fn client_fields(
        &self,
        address: IpAddr,
        version: Version,
        fields: &impl Fields,
    ) -> Option<Box<ClientFields>> {
        let combined = self.form == LineFormat::Combined;
        if !combined && self.address == LoggedAddress::None {
            return None;
        }
        let field = |name| fields.value(name).filter(|_| combined).map(Box::from);
        let address = match self.address {
            LoggedAddress::None => None,
            LoggedAddress::Network => Some(network(address).to_string()),
            LoggedAddress::Full => Some(address.to_string()),
        };
        let (referer, user_agent) = (field(&REFERER), field(&USER_AGENT));
        Some(Box::new(ClientFields { address, version, referer, user_agent }))
    }

    /// Writes the line of one request.
    pub(crate) fn write(&self, entry: &AccessLogEntry<'_>) {
        let time = OffsetDateTime::now_utc();
        line_buffer::add(&self.writer, |out| match self.form {
            LineFormat::Combined => out.extend_from_slice(combined(entry, time).as_bytes()),
            form => line_buffer::with_millis(time, |time| {
                let line = JsonLine::of(entry, time);
                match form {
                    // Cannot fail: every key is a string, and the buffer accepts any bytes.
                    LineFormat::Json => drop(serde_json::to_writer(out, &line)),
                    LineFormat::Text | LineFormat::Combined => {
                        out.extend_from_slice(line.readable().as_bytes());
                    }
                }
            }),
        });
    }
}

/// Formats a line in the Combined Log Format. The queries of the path and of `Referer` are omitted.
fn combined(entry: &AccessLogEntry<'_>, time: OffsetDateTime) -> String {
    let quoted = |value: Option<&[u8]>| {
        let text = value.unwrap_or(b"-");
        let text = text.get(..MAX_FIELD_BYTES).unwrap_or(text);
        // Escapes quotes, backslashes and control characters, which would end the field or the line.
        text.escape_ascii().to_string()
    };
    let client_fields = entry.client_fields;
    let referer = quoted(client_fields.and_then(|client_fields| client_fields.referer.as_deref()));
    format!(
        "{} - - [{}] \"{} {} {:?}\" {} {} \"{}\" \"{}\"",
        client_fields.and_then(|client_fields| client_fields.address.as_deref()).unwrap_or("-"),
        time.format(COMBINED_TIME).unwrap_or_default(),
        entry.method,
        entry.path.escape_debug(),
        client_fields.map_or(Version::HTTP_11, |client_fields| client_fields.version),
        entry.status,
        entry.bytes,
        referer.split(['?', '#']).next().unwrap_or_default(),
        quoted(client_fields.and_then(|client_fields| client_fields.user_agent.as_deref())),
    )
}

/// The network of an address (/24 or /48), which does not identify a visitor.
fn network(address: IpAddr) -> IpAddr {
    let bits = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, bits).map_or(address, |net| net.network())
}

/// Formats counts as `name:count`, separated by commas.
fn joined<'a>(counts: impl Iterator<Item = (&'a str, u16)>) -> String {
    counts.map(|(name, count)| format!("{name}:{count}")).collect::<Vec<_>>().join(",")
}

impl<'a> JsonLine<'a> {
    fn of(entry: &AccessLogEntry<'a>, time: &'a str) -> Self {
        let report = entry.report;
        Self {
            time,
            site: entry.site,
            method: entry.method,
            path: entry.path,
            status: entry.status,
            duration_ms: (entry.duration.as_secs_f64() * 1e6).round() / 1e3,
            bytes: entry.bytes,
            request_id: entry.request_id,
            address: entry.client_fields.and_then(|client_fields| client_fields.address.as_deref()),
            mode: entry.mode,
            consent: report.map(|(report, _, source)| {
                source.unwrap_or_else(|| report.consent.reason.as_str())
            }),
            stripped_request: report
                .and_then(|(report, names, _)| CategoryCounts::of(&report.request_stripped, names)),
            stripped_response: report.and_then(|(report, names, _)| {
                CategoryCounts::of(&report.response_stripped, names)
            }),
            stripped_parameters: report.and_then(|(report, names, _)| {
                CategoryCounts::of(&report.parameters_stripped, names)
            }),
            presumed: report.and_then(|(report, ..)| PresumedCounts::of(report)),
            expired: report.map_or(0, |(report, ..)| report.expired),
            technologies_stripped: report.map_or(0, |(report, ..)| report.technologies_stripped),
            beacon: report.and_then(|(report, names, _)| {
                let beacon = report.beacon?;
                Some(beacon.map_or("unclassified", |category| names.name(category)))
            }),
            complete: entry.complete,
        }
    }

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
        if let Some(address) = self.address {
            add("address", address);
        }
        if let Some(consent) = self.consent {
            add("consent", consent);
        }
        for (name, counts) in [
            ("request", &self.stripped_request),
            ("response", &self.stripped_response),
            ("parameters", &self.stripped_parameters),
        ] {
            if let Some(counts) = counts {
                add(&format!("stripped_{name}"), &joined(counts.named()));
            }
        }
        if let Some(presumed) = &self.presumed {
            add("presumed", &joined(presumed.named()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_fields_in_combined_lines_are_truncated_to_512_bytes() {
        let long = Some(vec![b'x'; 2000].into_boxed_slice());
        let client_fields = ClientFields {
            address: None,
            version: Version::HTTP_11,
            referer: long.clone(),
            user_agent: long,
        };
        let entry = AccessLogEntry {
            site: "shop",
            method: "GET",
            path: "/",
            status: 200,
            duration: Duration::ZERO,
            bytes: 0,
            request_id: "",
            mode: "enforce",
            report: None,
            complete: true,
            client_fields: Some(&client_fields),
        };
        let line = combined(&entry, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(line.matches('x').count(), 2 * 512, "{line}");
    }
}
