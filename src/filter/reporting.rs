//! Endpoints of browser reports (W3C Reporting API, Network Error Logging).

use http::header::HeaderName;
use serde_json::Value;
use url::Url;

use super::edits::Edits;
use crate::cookie::registrable_domain;
use crate::http::{Fields, split_outside_quotes, split_value};

const REPORT_TO: HeaderName = HeaderName::from_static("report-to");

/// Removes the `Report-To` groups that `NEL` names. Groups for other reports stay. Returns whether
/// a group was removed.
pub(super) fn strip_nel_groups(fields: &impl Fields, nel: &HeaderName, edits: &mut Edits) {
    let groups: Vec<String> = fields
        .values(nel)
        .filter_map(|value| serde_json::from_slice(value).ok())
        .filter_map(|value: Value| text(&value, "report_to").map(str::to_owned))
        .collect();
    let is_named = |entry: &Value| {
        let group = text(entry, "group").unwrap_or("default");
        groups.iter().any(|name| name == group)
    };
    if !groups.is_empty() {
        strip_groups(fields, is_named, Some(edits));
    }
}

/// Removes the endpoints of other sites from `Report-To` or `Reporting-Endpoints`. Returns whether
/// there were any.
pub(super) fn strip_foreign(
    fields: &impl Fields,
    name: &HeaderName,
    host: &str,
    edits: Option<&mut Edits>,
) -> bool {
    if *name == REPORT_TO {
        return strip_groups(fields, |group| has_foreign_endpoint(group, host), edits);
    }
    let members: Vec<&[u8]> = fields.values(name).flat_map(split_outside_quotes).collect();
    let is_own = |member: &&&[u8]| quoted_url(member).is_some_and(|url| is_own(&url, host));
    let own: Vec<&[u8]> = members.iter().filter(is_own).copied().collect();
    if own.len() == members.len() {
        return false;
    }
    if let Some(edits) = edits {
        replace(edits, name, own.join(&b", "[..]));
    }
    true
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn has_foreign_endpoint(group: &Value, host: &str) -> bool {
    let endpoints = group.get("endpoints").and_then(Value::as_array);
    endpoints
        .into_iter()
        .flatten()
        .any(|endpoint| text(endpoint, "url").is_some_and(|url| !is_own(url, host)))
}

/// Removes groups of `Report-To`. Removes all groups if they cannot be parsed: a browser may parse
/// them.
fn strip_groups(
    fields: &impl Fields,
    unwanted: impl Fn(&Value) -> bool,
    edits: Option<&mut Edits>,
) -> bool {
    // JSON objects separated by commas, which is a JSON array without brackets. Earlier edits are
    // taken into account.
    let lines = match &edits {
        Some(edits) => edits.values(fields, &REPORT_TO),
        None => fields.values(&REPORT_TO).collect(),
    };
    if lines.is_empty() {
        return false;
    }
    let list = [b"[", lines.join(&b',').as_slice(), b"]"].concat();
    let groups: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
    let kept: Vec<String> =
        groups.iter().filter(|group| !unwanted(group)).map(Value::to_string).collect();
    if kept.len() == groups.len() && !groups.is_empty() {
        return false;
    }
    if let Some(edits) = edits {
        replace(edits, &REPORT_TO, kept.join(", ").into_bytes());
    }
    true
}

/// The URL of a dictionary member, `name="url"` (RFC 9651 section 3.3.3). `None` if the value is
/// not a string.
fn quoted_url(member: &[u8]) -> Option<String> {
    let (_, value) = std::str::from_utf8(member).ok()?.split_once('=')?;
    let (url, _) = split_value(value).filter(|_| value.starts_with('"'))?;
    Some(url)
}

/// Whether a URL belongs to the visited site: the same host or the same registrable domain. An
/// invalid URL counts as own, because browsers ignore it.
fn is_own(url: &str, host: &str) -> bool {
    let Ok(visited) = Url::parse(&format!("https://{host}/")) else { return false };
    let Ok(url) = visited.join(url) else { return true };
    let (Some(reported), Some(visited)) = (url.host_str(), visited.host_str()) else {
        return false;
    };
    reported == visited
        || registrable_domain(visited)
            .is_some_and(|domain| registrable_domain(reported) == Some(domain))
}

/// Sets a field to this value. An empty value removes the field.
pub(super) fn replace(edits: &mut Edits, name: &HeaderName, value: Vec<u8>) {
    if value.is_empty() {
        edits.remove(name.clone());
    } else {
        edits.set(name.clone(), value);
    }
}
