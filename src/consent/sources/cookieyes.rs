//! CookieYes: `cookieyes-consent`, a list of `key:value`; `action` says whether the visitor has answered.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("functional", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("performance", Category::ANALYTICS),
    ("advertisement", Category::TARGETING),
];

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
        let (mut granted, mut refused) = (Vec::new(), Vec::new());
        let (mut answered, mut decided_at) = (None, None);
        for entry in text.split(',') {
            let Some((key, value)) = entry.split_once(':') else { return Reading::Malformed };
            match (key.trim(), value.trim()) {
                ("action", answer) => answered = Some(answer == "yes"),
                ("consentDate", at) => decided_at = decode::time_text(at),
                ("lastRenewedDate" | "consentid" | "consent", _) => {}
                (id, "yes") => granted.push(id),
                (id, _) => refused.push(id),
            }
        }
        match answered {
            Some(true) => {
                // All that the tool asks for is in the list: what is not there was cut off.
                let votes =
                    Votes::of_list(&self.map, |id| granted.contains(&id) && !refused.contains(&id));
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
