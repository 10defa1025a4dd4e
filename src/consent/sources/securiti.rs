//! Securiti: `__privaci_cookie_consents`, JSON, in base64 or not, with 0 or 1 for each category. The ids are
//! specific to the site: without `map`, the states of Google Consent Mode count.

use serde_json::Value;

use crate::consent::common_formats::{CONSENT_MODE, consent_mode_votes, uniform_answer};
use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Votes, decode};

/// A source for Securiti's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact("__privaci_cookie_consents");
    CookieSource::new("securiti", [name], CONSENT_MODE, settings, read)
}

fn read(source: &CookieSource, value: &[u8], categories: &Categories) -> Option<Reading> {
    let json = decode::json(value).or_else(|| decode::base64_json(value))?;
    let answers = json.get("consents")?.as_object()?;
    if !answers.values().all(|answer| matches!(answer.as_i64(), Some(0 | 1))) {
        return None;
    }
    let is_granted = |id: &str| answers.get(id).and_then(Value::as_i64) == Some(1);
    let is_refused = answers.is_empty() || !answers.keys().all(|id| is_granted(id));
    let decided_at = json.get("ts").and_then(decode::time);
    let mut votes = Votes::default();
    let reading = if source.map.configured().next().is_some() {
        votes.vote_configured(&source.map, is_granted);
        Reading::decision(votes, &source.map, decided_at)
    } else if let Some(signals) = json.get("gcm").filter(|_| !answers.is_empty()) {
        Reading::decision(consent_mode_votes(signals, &source.map)?, &source.map, decided_at)
    } else if is_refused {
        uniform_answer(false, &source.map, categories, decided_at)
    } else {
        Reading::decision(votes, &source.map, decided_at)
    };
    // Recorded without an act of the visitor.
    let is_implicit = json.get("implicit_consent").is_some_and(|it| *it != Value::Bool(false));
    Some(if is_implicit { reading.refusals_only() } else { reading })
}
