//! Wix: `consent-policy`, JSON with 0 or 1 for each category and the time in minutes.

use serde_json::Value;

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, decode};

/// Default categories of the tool's ids. `dt3` is the transfer of data to third parties.
const DEFAULTS: &[(&str, Category)] = &[
    ("ess", Category::NECESSARY),
    ("func", Category::FUNCTIONAL),
    ("anl", Category::ANALYTICS),
    ("adv", Category::TARGETING),
    ("dt3", Category::TARGETING),
];

/// A source for Wix's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    CookieSource::new("wix", [CookieMatcher::exact("consent-policy")], DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let entries = decode::object(value)?;
    let mut votes = Votes::default();
    // With an answer for each category, none is granted by `dt3` alone.
    for (id, _) in DEFAULTS {
        let granted = match entries.get(*id)?.as_i64()? {
            1 => true,
            0 => false,
            _ => return None,
        };
        votes.vote(source.map.categories(id), granted);
    }
    // Without a time, this is the site's default policy.
    let Some(minutes) = entries.get("ts").and_then(Value::as_i64) else {
        return Some(Reading::NoDecision);
    };
    let decided_at = minutes.checked_mul(60)?;
    Some(Reading::decision(votes, &source.map, Some(decided_at)))
}
