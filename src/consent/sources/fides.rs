//! Fides by Ethyca: `fides_consent`, JSON with an answer per notice. `map` assigns the notice keys
//! to categories.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap, common_formats, decode};
use crate::cookie::Cookies;

/// Reads Fides's cookie.
#[derive(Debug)]
pub(super) struct Fides {
    map: IdMap,
}

impl Fides {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(&[], &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let Some(Value::Object(answers)) = entries.get("consent") else {
            return Reading::Malformed;
        };
        let Some(votes) = common_formats::boolean_votes(answers, &self.map) else {
            return Reading::Malformed;
        };
        let updated = entries.get("fides_meta").and_then(|meta| meta.get("updatedAt"));
        Reading::decision(votes, &self.map, updated.and_then(decode::time))
    }
}

impl ConsentSource for Fides {
    fn name(&self) -> &'static str {
        "fides"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["fides_consent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"fides_consent"), |value| self.read_one(value))
    }
}
