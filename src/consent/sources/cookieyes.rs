//! CookieYes: `cookieyes-consent`, a list of `key:value` entries. `action` records whether the
//! visitor has answered.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("functional", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("performance", Category::ANALYTICS),
    ("advertisement", Category::TARGETING),
];

/// The order of categories in the cookie.
const ORDER: [&str; 6] =
    ["necessary", "functional", "analytics", "performance", "advertisement", "other"];

/// Reads CookieYes's cookie.
#[derive(Debug)]
pub(super) struct CookieYes {
    map: IdMap,
}

impl CookieYes {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(text) = decode::percent(value) else { return Reading::Malformed };
        let mut listed: Vec<(&str, bool)> = Vec::new();
        let (mut answered, mut decided_at) = (None, None);
        let mut is_whole = false;
        for entry in text.split(',') {
            let Some((key, value)) = entry.split_once(':') else { return Reading::Malformed };
            match (key.trim(), value.trim()) {
                ("action", answer) => answered = Some(answer == "yes"),
                ("consentDate", at) => decided_at = decode::time_text(at),
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
                for id in self.map.ids() {
                    let mut answers = listed.iter().filter(|(it, _)| *it == id).peekable();
                    let is_listed = answers.peek().is_some();
                    if is_listed || self.map.is_configured(id) || !absent(id) {
                        let granted = is_listed && answers.all(|(_, granted)| *granted);
                        votes.vote(self.map.categories(id), granted);
                    }
                }
                Reading::decision(votes, &self.map, decided_at)
            }
            Some(false) => Reading::NoDecision,
            None => Reading::Malformed,
        }
    }
}

impl ConsentSource for CookieYes {
    fn name(&self) -> &'static str {
        "cookieyes"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["cookieyes-consent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"cookieyes-consent"), |value| self.read_one(value))
    }
}
