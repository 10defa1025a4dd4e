//! CookieYes: `cookieyes-consent`, and WebToffee GDPR Cookie Consent: `wt_consent`. A list of
//! `key:value` entries, in which `action` records whether the visitor has answered.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Category, IdMap, Votes, decode};

/// Default categories of the tools' ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("functional", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("performance", Category::ANALYTICS),
    ("advertisement", Category::TARGETING),
];

/// The order of categories in the cookie.
const ORDER: [&str; 7] =
    ["necessary", "functional", "analytics", "performance", "advertisement", "other", "others"];

/// A source for CookieYes's cookie.
pub(super) fn cookieyes(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact("cookieyes-consent");
    CookieSource::new("cookieyes", [name], DEFAULTS, settings, |source, value, _| {
        Some(read(&source.map, value))
    })
}

/// A source for WebToffee's cookie.
pub(super) fn webtoffee(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact("wt_consent");
    CookieSource::new("webtoffee", [name], DEFAULTS, settings, |source, value, _| {
        // Other software uses the same name.
        decode::percent(value)?.starts_with("consentid:").then(|| read(&source.map, value))
    })
}

fn read(map: &IdMap, value: &[u8]) -> Reading {
    let Some(text) = decode::percent(value) else { return Reading::Malformed };
    let mut listed: Vec<(&str, bool)> = Vec::new();
    let (mut answered, mut decided_at) = (None, None);
    let mut is_whole = false;
    for entry in text.split(',') {
        let Some((key, value)) = entry.split_once(':') else { return Reading::Malformed };
        match (key.trim(), value.trim()) {
            ("action", answer) => answered = Some(answer == "yes"),
            ("consentDate" | "consent_time", at) => decided_at = decode::time_text(at),
            ("lastRenewedDate" | "consentid" | "consent", _) => {}
            (id, answer) => listed.push((id, answer == "yes")),
        }
        is_whole |= !listed.is_empty() && !ORDER.contains(&key.trim());
    }
    // A category missing before a listed one does not exist on this site. A category missing at
    // the end may be truncated, unless another entry follows.
    let is_listed = |id: &str| listed.iter().any(|(it, _)| *it == id);
    let last = ORDER.iter().rposition(|id| is_listed(id));
    let absent = |id: &str| {
        let position = ORDER.iter().position(|known| *known == id);
        position.is_some_and(|position| is_whole || last.is_some_and(|last| position < last))
    };
    match answered {
        Some(true) => {
            let mut votes = Votes::default();
            for id in map.ids() {
                let mut answers = listed.iter().filter(|(it, _)| *it == id).peekable();
                let is_listed = answers.peek().is_some();
                if is_listed || map.is_configured(id) || !absent(id) {
                    let granted = is_listed && answers.all(|(_, granted)| *granted);
                    votes.vote(map.categories(id), granted);
                }
            }
            Reading::decision(votes, map, decided_at)
        }
        Some(false) => Reading::NoDecision,
        None => Reading::Malformed,
    }
}
