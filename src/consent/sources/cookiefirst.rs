//! CookieFirst: `cookiefirst-consent`, a JSON object.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("performance", Category::ANALYTICS),
    ("functional", Category::FUNCTIONAL),
    ("advertising", Category::TARGETING),
];

/// Reads CookieFirst's cookie.
#[derive(Debug)]
pub(super) struct CookieFirst {
    map: IdMap,
    settings: SourceSettings,
}

impl CookieFirst {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map), settings: settings.clone() }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let (mut votes, mut found_answer) = (Votes::default(), false);
        for (id, answer) in &entries {
            if let Value::Bool(answer) = answer {
                found_answer = true;
                votes.vote(self.map.categories(id), *answer);
            }
        }
        let decided_at = entries.get("timestamp").and_then(decode::time);
        if !found_answer {
            return Reading::Malformed;
        }
        let in_force = self.settings.is_in_force(entries.get("version"));
        Reading::decision(votes, &self.map, decided_at).in_revision(in_force)
    }
}

impl ConsentSource for CookieFirst {
    fn name(&self) -> &'static str {
        "cookiefirst"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["cookiefirst-consent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"cookiefirst-consent"), |value| self.read_one(value))
    }
}
