//! Pandectes: `_pandectes_gdpr`, JSON in base64; of its answers only "allow" and "deny" to everything are read.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[];

/// Reads Pandectes's cookie.
#[derive(Debug)]
pub(super) struct Pandectes {
    map: IdMap,
}

impl Pandectes {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }
}

impl ConsentSource for Pandectes {
    fn name(&self) -> &'static str {
        "pandectes"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["_pandectes_gdpr".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"_pandectes_gdpr"), |value| {
            let Some(Value::Object(entries)) = decode::base64_json(value) else {
                return Reading::Malformed;
            };
            let mut votes = Votes::default();
            match entries.get("status").and_then(Value::as_str) {
                Some("allow") => votes.vote(categories.all(), true),
                // Which of them a mixed answer means is in a mask that is not documented.
                Some("deny" | "mixed") => votes.vote(categories.all(), false),
                _ => return Reading::Malformed,
            }
            Reading::decision(votes, &self.map, entries.get("timestamp").and_then(decode::time))
        })
    }
}
