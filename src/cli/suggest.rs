//! `suggest`: prints rules for unclassified cookies and beacons, to be edited.

use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::admin_client::AdminSites;
use super::error::CliError;
use super::inventory::attributes;
use crate::config::toml_writer::{RuleToml, write_rule};

/// Print rules for unclassified cookies and beacons, each with a reason
///
/// Prints TOML for the config or a `catalogue` file. Review each rule before use: only the site's
/// owner knows the purpose of a cookie.
#[derive(Debug, clap::Args)]
pub(super) struct SuggestArgs {
    #[command(flatten)]
    admin: AdminSites,
}

impl SuggestArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let sites = self.admin.inventory()?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut written: Vec<RuleToml> = Vec::new();
        for (site, seen) in &sites {
            for (kind, beacon) in [("cookies", false), ("held_back", false), ("beacons", true)] {
                let items = seen[kind].as_array().map(Vec::as_slice).unwrap_or_default();
                let unknown = items.iter().filter(|item| item["category"].is_null());
                for rule in unknown.filter_map(|item| rule(item, beacon, site)) {
                    // Two sites may share a cookie, and the rules of the config apply to all sites.
                    if !written.iter().any(|existing| {
                        existing.name == rule.name
                            && existing.beacon == beacon
                            && existing.conditions == rule.conditions
                    }) {
                        written.push(rule);
                    }
                }
            }
        }
        writeln!(
            out,
            "# {} rules for unclassified items. Review each before you use it.",
            written.len()
        )?;
        for rule in &written {
            out.write_all(write_rule(rule).as_bytes())?;
        }
        Ok(out.flush()?)
    }
}

fn rule(item: &Value, beacon: bool, site: &str) -> Option<RuleToml> {
    let name = item["name"].as_str()?;
    // A name that is not valid text is escaped here, and no rule can match it.
    if name.contains('\\') {
        return None;
    }
    let reason = item.pointer("/suggestion/reason")?.as_str()?;
    let number = |at: &str| item.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let before = number("/undecided/passed") + number("/undecided/stripped");
    let mut seen = format!("seen on {site}");
    if let Some(kind) = item["kind"].as_str() {
        seen = format!("{seen}: {kind} blocked by the guard {} times", number("/times"));
    } else if !beacon {
        seen = format!(
            "{seen}: set by the origin {} times, sent by visitors {} times",
            number("/set"),
            number("/sent")
        );
    }
    if before > 0 {
        seen = format!("{seen}, {before} times before consent");
    }
    let mut comment = vec![format!("{name}: {reason}")];
    let attributes = attributes(&item["attributes"]);
    comment.push(if attributes.is_empty() { seen } else { format!("{seen}; {attributes}") });
    let category = item.pointer("/suggestion/category")?.as_str()?;
    let http_only = item.pointer("/attributes/http_only") == Some(&Value::Bool(true));
    Some(RuleToml {
        beacon,
        name: name.to_owned(),
        conditions: conditions(item),
        category: category.to_owned(),
        comment,
        // A pattern could match other cookies too, so the rule requires the observed attribute.
        http_only: http_only && category == "necessary" && name.contains('*'),
        ..RuleToml::default()
    })
}

/// The conditions of a beacon's rule, other than the path. Only a detected POST has a method.
fn conditions(item: &Value) -> Vec<(&'static str, String)> {
    let Some(method) = item["method"].as_str() else { return Vec::new() };
    // No condition matches a missing content type. The mode excludes forms and requests of scripts
    // that read the response.
    let kind = match item["content_type"].as_str() {
        Some(content_type) => ("content_type", content_type),
        None => ("fetch_mode", "no-cors"),
    };
    [("method", method), kind].map(|(key, text)| (key, text.to_owned())).into()
}
