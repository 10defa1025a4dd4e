//! `classify`: looks up the category of cookies and query parameters.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::args::{LookupArgs, lines};
use super::error::CliError;
use crate::catalogue::{ParameterRule, PurposeKind, Requires, UrlQuery};
use crate::config::settings::FilterSettings;

/// Look up the categories of cookies or query parameters
///
/// Prints one line per name: name, category, vendor and matching rule, separated by tabs.
#[derive(Debug, clap::Args)]
pub(super) struct ClassifyArgs {
    #[command(flatten)]
    lookup: LookupArgs,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Look up query parameters instead of cookies, as in the page load of `/`; `NAME=VALUE` includes a value
    #[arg(long)]
    parameter: bool,
    /// Names; default: one per line from standard input
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Serialize)]
struct Classified<'a> {
    name: &'a str,
    /// `None` for an unclassified cookie.
    category: Option<&'a str>,
    vendor: Option<&'a str>,
    rule: Option<&'a str>,
    /// The name of the kind of purpose.
    kind: Option<&'static str>,
    purpose: Option<&'a str>,
    lifetime: Option<&'a str>,
    requires: Option<&'a Requires>,
}

impl ClassifyArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let filter = self.lookup.filter(None)?;
        let settings = filter.settings();
        let mut out = BufWriter::new(io::stdout().lock());
        for name in lines(self.names) {
            let name = name?;
            match self.parameter {
                true => write_parameter(settings, &name, self.json, &mut out)?,
                false => write(settings, &name, self.json, &mut out)?,
            }
        }
        Ok(out.flush()?)
    }
}

fn write(
    settings: &FilterSettings,
    name: &[u8],
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let rule = settings.policy.catalogue.cookie(name);
    let text = String::from_utf8_lossy(name);
    let entry = rule.map(|rule| &rule.entry);
    let classified = Classified {
        name: &text,
        category: entry.map(|entry| settings.reader.categories.name(entry.category)),
        vendor: entry.and_then(|entry| entry.vendor.as_deref()),
        rule: rule.map(|rule| rule.pattern.as_str()),
        kind: entry.and_then(|entry| entry.kind).map(PurposeKind::name),
        purpose: entry.and_then(|entry| entry.purpose.as_ref()).map(|purpose| purpose.text("en")),
        lifetime: entry.and_then(|entry| entry.lifetime.as_deref()),
        requires: rule.and_then(|rule| rule.requires.as_deref()),
    };
    print(&classified, json, out)
}

/// Prints the rule of a query parameter.
fn write_parameter(
    settings: &FilterSettings,
    name: &[u8],
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let text = String::from_utf8_lossy(name);
    // A parameter without a value has no rule.
    let query = if text.contains('=') { text.to_string() } else { format!("{text}=1") };
    let url = UrlQuery::new(None, "/", &query, true);
    let rule = settings.policy.catalogue.url_parameter(&query, &url);
    let entry = rule.map(|rule| &rule.entry);
    let classified = Classified {
        name: text.split('=').next().unwrap_or_default(),
        category: entry.map(|entry| settings.reader.categories.name(entry.category)),
        vendor: entry.and_then(|entry| entry.vendor.as_deref()),
        rule: rule.map(ParameterRule::name),
        kind: None,
        purpose: None,
        lifetime: None,
        requires: None,
    };
    print(&classified, json, out)
}

fn print(classified: &Classified<'_>, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, classified)?;
        return writeln!(out);
    }
    let Classified { name, category, vendor, rule, .. } = classified;
    let category = category.unwrap_or("unclassified");
    writeln!(out, "{name}\t{category}\t{}\t{}", vendor.unwrap_or("-"), rule.unwrap_or("-"))
}
