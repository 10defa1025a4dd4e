//! CookieHub: `cookiehub`, base64 JSON with a list of categories, or `allAllowed` as the answer for all of them.

use serde_json::Value;

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, common_formats, decode};

/// Default categories of the tool's ids. `sale` is the answer to the sale of personal data.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
    ("sale", Category::TARGETING),
];

/// A source for CookieHub's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    CookieSource::new("cookiehub", [CookieMatcher::exact("cookiehub")], DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], all: &Categories) -> Option<Reading> {
    let text = decode::base64_text(decode::percent(value)?.as_bytes())?;
    // The tool writes this key twice. The strict parser rejects duplicate keys.
    let json = decode::parse_json(&text.replacen("\"implicit\"", "\"implicit-first\"", 1))?;
    let sells = json.get("allowSale").and_then(Value::as_bool) != Some(false);
    let opt_out = || common_formats::opt_out(true, source.map.categories("sale"), &source.map);
    if !json.get("answered")?.as_bool()? {
        return Some(if sells { Reading::NoDecision } else { opt_out() });
    }
    let decided_at = json.get("timestamp").and_then(decode::time);
    let mut votes = Votes::default();
    let listed = json.get("categories")?.as_array()?;
    for category in listed {
        let id = category.get("id")?.as_str()?;
        votes.vote(source.map.categories(id), category.get("value")?.as_bool()?);
    }
    let reading = match listed.as_slice() {
        [] => {
            let granted = json.get("allAllowed")?.as_bool()?;
            common_formats::uniform_answer(granted, &source.map, all, decided_at)
        }
        _ => Reading::decision(votes, &source.map, decided_at),
    };
    let reading = if sells { reading } else { reading.and(opt_out()) };
    Some(reading.in_revision(source.settings.is_in_force(json.get("revision"))))
}
