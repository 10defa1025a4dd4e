//! Fides by Ethyca: `fides_consent`, JSON with an answer for each notice. Their keys are the site's: `map`.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[];

/// Reads Fides's cookie.
#[derive(Debug)]
pub(super) struct Fides {
    map: IdMap,
}

impl Fides {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let Some(Value::Object(answers)) = entries.get("consent") else {
            return Reading::Malformed;
        };
        let mut votes = Votes::default();
        for (notice, answer) in answers {
            let Value::Bool(answer) = answer else { return Reading::Malformed };
            votes.vote(self.map.categories(notice), *answer);
        }
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
