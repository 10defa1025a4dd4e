//! `consent`: shows the consent in a `Cookie` header.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::args::{LookupArgs, lines, time};
use super::error::CliError;
use crate::clock::unix_now;
use crate::consent::{ConsentReader, Signals, consent_mode};
use crate::cookie::Cookies;

/// Show the consent in a Cookie header
///
/// Prints one JSON object per line: `decided`, the consent source, the granted categories and the
/// reason.
#[derive(Debug, clap::Args)]
pub(super) struct ConsentArgs {
    #[command(flatten)]
    lookup: LookupArgs,
    /// Read only this consent source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Current time for age checks: Unix seconds, a date or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    at: Option<i64>,
    /// Also print the states of Google Consent Mode v2
    #[arg(long)]
    json: bool,
    /// Simulate a browser that sends `Sec-GPC: 1`
    #[arg(long)]
    gpc: bool,
    /// Simulate a browser that sends `DNT: 1`
    #[arg(long)]
    dnt: bool,
    /// Simulate a trusted proxy that reports this region
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Value of a Cookie header; default: one per line from standard input
    #[arg(value_name = "COOKIE-HEADER")]
    header: Option<String>,
}

#[derive(Serialize)]
struct ConsentLine<'a> {
    decided: bool,
    source: Option<&'a str>,
    granted: Vec<&'a str>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_mode: Option<BTreeMap<&'static str, &'static str>>,
}

/// The facts about a visitor other than the cookies.
struct RequestFacts<'a> {
    signals: Signals,
    region: Option<&'a [u8]>,
    now: i64,
}

impl ConsentArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let filter = self.lookup.filter(self.source.map(|source| vec![source]))?;
        let reader = &filter.settings().reader;
        let facts = RequestFacts {
            signals: Signals { gpc: self.gpc, dnt: self.dnt },
            region: self.region.as_deref().map(str::as_bytes),
            now: self.at.unwrap_or_else(unix_now),
        };
        let mut out = BufWriter::new(io::stdout().lock());
        for header in lines(self.header.into_iter().collect()) {
            write(reader, &header?, &facts, self.json, &mut out)?;
        }
        Ok(out.flush()?)
    }
}

fn write(
    reader: &ConsentReader,
    header: &[u8],
    facts: &RequestFacts<'_>,
    modes: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    // The whole header line, as copied from a browser or from curl, is accepted too.
    let value = match header.get(..7) {
        Some(name) if name.eq_ignore_ascii_case(b"cookie:") => header.get(7..).unwrap_or_default(),
        _ => header,
    };
    let RequestFacts { signals, region, now } = *facts;
    let consent = reader.read(&Cookies::new([value]), signals, region, now);
    let line = ConsentLine {
        decided: consent.is_decided(),
        source: reader.source_name(&consent),
        granted: reader.categories.names_of(consent.granted),
        reason: reader.explain(&consent, signals),
        consent_mode: modes.then(|| consent_mode(consent.granted).collect()),
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}
