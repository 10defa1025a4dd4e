//! CookieScript: `CookieScriptConsent`, JSON with an action and the accepted categories as a JSON
//! string.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("strict", Category::NECESSARY),
    ("functionality", Category::FUNCTIONAL),
    ("performance", Category::ANALYTICS),
    ("targeting", Category::TARGETING),
];

/// Reads CookieScript's cookie.
#[derive(Debug)]
pub(super) struct CookieScript {
    map: IdMap,
}

impl CookieScript {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let accepted = match entries.get("action").and_then(Value::as_str) {
            Some("accept") => true,
            Some("reject") => false,
            Some(_) => return Reading::Malformed,
            None => return Reading::NoDecision,
        };
        let mut votes = Votes::default();
        if !accepted {
            votes.vote(self.map.coverage(), false);
        }
        let listed = match entries.get("categories") {
            None => None,
            Some(Value::String(text)) => decode::json(text.as_bytes()),
            Some(other) => Some(other.clone()),
        };
        match listed.as_ref().map(decode::texts) {
            Some(Some(listed)) => {
                listed.iter().for_each(|id| votes.vote(self.map.categories(id), true));
            }
            None if !accepted => {}
            _ => return Reading::Malformed,
        }
        votes.deny_rest(self.map.coverage());
        Reading::decision(votes, &self.map, entries.get("consenttime").and_then(decode::time))
    }
}

impl ConsentSource for CookieScript {
    fn name(&self) -> &'static str {
        "cookiescript"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["CookieScriptConsent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"CookieScriptConsent"), |value| self.read_one(value))
    }
}
