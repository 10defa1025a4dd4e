//! Transcend: `tcm`, JSON with `true`, `false` or `"Auto"` (not decided) for each purpose.

use serde_json::Value;

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, decode};

/// The purpose whose refusal is an opt-out. Consent to it grants nothing by itself.
const SALE: &str = "SaleOfInfo";

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("Essential", Category::NECESSARY),
    ("Functional", Category::FUNCTIONAL),
    ("Analytics", Category::ANALYTICS),
    ("Advertising", Category::TARGETING),
    (SALE, Category::TARGETING),
];

/// A source for Transcend's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    CookieSource::new("transcend", [CookieMatcher::exact("tcm")], DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let entries = decode::object(value)?;
    let confirmed = entries.get("confirmed")?.as_bool()?;
    let (mut votes, mut decided) = (Votes::default(), false);
    for (purpose, answer) in entries.get("purposes")?.as_object()? {
        match answer {
            Value::Bool(false) if confirmed || purpose == SALE => {
                decided = true;
                votes.vote(source.map.categories(purpose), false);
            }
            Value::Bool(true) if confirmed => {
                decided = true;
                if purpose != SALE {
                    votes.vote(source.map.categories(purpose), true);
                }
            }
            Value::Bool(_) => {}
            Value::String(text) if text == "Auto" => {}
            _ => return None,
        }
    }
    let decided_at = entries.get("timestamp").and_then(decode::time);
    Some(if decided {
        Reading::decision(votes, &source.map, decided_at)
    } else {
        Reading::NoDecision
    })
}
