//! Cookie Compliance by Hu-manity: `hu-consent`, JSON with numbered categories and the lifetime in days.

use serde_json::Value;

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, common_formats, decode};

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("1", Category::NECESSARY),
    ("2", Category::FUNCTIONAL),
    ("3", Category::ANALYTICS),
    ("4", Category::TARGETING),
];

/// A source for the service's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    CookieSource::new("hu-consent", [CookieMatcher::exact("hu-consent")], DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let entries = decode::object(value)?;
    // `consent` records that the visitor has answered, not what.
    if !entries.get("consent")?.as_bool()? {
        return Some(Reading::NoDecision);
    }
    let answers = entries.get("categories")?.as_object()?;
    let votes = common_formats::boolean_votes(answers, &source.map)?;
    let decided_at = entries.get("timestamp").and_then(decode::time);
    let days = entries.get("expiry").and_then(Value::as_i64);
    let reading = Reading::decision(votes, &source.map, decided_at);
    Some(reading.ending_at(common_formats::end_after(decided_at, days)))
}
