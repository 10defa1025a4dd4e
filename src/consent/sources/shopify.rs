//! Shopify: `_tracking_consent`, JSON with a digit per purpose under `con.CMP`.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("a", Category::ANALYTICS),
    ("m", Category::TARGETING),
    ("p", Category::FUNCTIONAL),
    ("s", Category::TARGETING),
];

/// Reads Shopify's cookie.
#[derive(Debug)]
pub(super) struct Shopify {
    map: IdMap,
}

impl Shopify {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let answers = entries.get("con").and_then(|consent| consent.get("CMP"));
        let Some(Value::Object(answers)) = answers else { return Reading::Malformed };
        let (mut votes, mut found_answer) = (Votes::default(), false);
        for (id, answer) in answers {
            let granted = match answer.as_str() {
                Some("1") => true,
                Some("0") => false,
                Some("") => continue,
                _ => return Reading::Malformed,
            };
            found_answer = true;
            votes.vote(self.map.categories(id), granted);
        }
        if found_answer { Reading::decision(votes, &self.map, None) } else { Reading::NoDecision }
    }
}

impl ConsentSource for Shopify {
    fn name(&self) -> &'static str {
        "shopify"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["_tracking_consent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"_tracking_consent"), |value| self.read_one(value))
    }
}
