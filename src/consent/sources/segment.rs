//! Segment's consent manager: `tracking-preferences`, JSON with the answer for each category (`custom`) and for each
//! destination. `null` is not answered.

use serde_json::Value;

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, decode};

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("functional", Category::FUNCTIONAL),
    ("marketingAndAnalytics", Category::ANALYTICS),
    ("advertising", Category::TARGETING),
];

/// A source for Segment's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact(settings.cookie_or("tracking-preferences"));
    CookieSource::new("segment", [name], DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let entries = decode::object(value)?;
    if entries.get("version")?.as_i64()? != 1 {
        return None;
    }
    let (mut votes, mut answered) = (Votes::default(), false);
    let custom = answers(entries.get("custom"))?;
    let has_categories = !custom.is_empty();
    for (id, granted) in custom {
        answered = true;
        votes.vote(source.map.categories(id), granted);
    }
    for (id, granted) in answers(entries.get("destinations"))? {
        answered = true;
        if source.map.is_configured(id) {
            votes.vote(source.map.categories(id), granted);
        } else if !has_categories {
            votes.vote_service(&source.map, id, granted);
        }
    }
    Some(if answered { Reading::decision(votes, &source.map, None) } else { Reading::NoDecision })
}

/// The ids with an answer. `None` if an answer is not a boolean.
fn answers(answers: Option<&Value>) -> Option<Vec<(&str, bool)>> {
    let Some(answers) = answers else { return Some(Vec::new()) };
    let given = answers.as_object()?.iter().filter(|(_, answer)| !answer.is_null());
    given.map(|(id, answer)| Some((id.as_str(), answer.as_bool()?))).collect()
}
