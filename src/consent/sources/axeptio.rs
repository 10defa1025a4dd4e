//! Axeptio: `axeptio_cookies`, a JSON object of vendors. Valid once `$$completed` is true. `map`
//! assigns the vendors to categories.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap, common_formats, decode};
use crate::cookie::Cookies;

/// Reads Axeptio's cookie.
#[derive(Debug)]
pub(super) struct Axeptio {
    map: IdMap,
    settings: SourceSettings,
}

impl Axeptio {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(&[], &settings.map), settings: settings.clone() }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        match entries.get("$$completed") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) | None => return Reading::NoDecision,
            Some(_) => return Reading::Malformed,
        }
        let version = entries.get("$$cookiesVersion").and_then(|version| version.get("identifier"));
        let in_force = self.settings.is_in_force(version);
        let vendors = entries.iter().filter(|(key, _)| !key.starts_with("$$"));
        let Some(votes) = common_formats::boolean_votes(vendors, &self.map) else {
            return Reading::Malformed;
        };
        let decided_at = entries.get("$$date").and_then(decode::time);
        Reading::decision(votes, &self.map, decided_at).in_revision(in_force)
    }
}

impl ConsentSource for Axeptio {
    fn name(&self) -> &'static str {
        "axeptio"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["axeptio_cookies".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"axeptio_cookies"), |value| self.read_one(value))
    }
}
