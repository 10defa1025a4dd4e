//! Iubenda: `_iub_cs-SITE`, a JSON object with numbered purposes, or one `consent` for all.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, decode, shapes};
use crate::cookie::Cookies;

/// What the cookie's name begins with; the number of the site follows.
const PREFIX: &[u8] = b"_iub_cs-";

/// What the tool's own ids stand for. 3 (experience) means another thing on every site: `map` says
/// what.
const DEFAULTS: &[(&str, Category)] = &[
    ("1", Category::NECESSARY),
    ("2", Category::FUNCTIONAL),
    ("4", Category::ANALYTICS),
    ("5", Category::TARGETING),
];

/// Reads Iubenda's cookie.
#[derive(Debug)]
pub(super) struct Iubenda {
    map: IdMap,
}

impl Iubenda {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8], all: &Categories) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let decided_at = entries.get("timestamp").and_then(decode::time);
        match (entries.get("purposes"), entries.get("consent")) {
            (Some(Value::Object(purposes)), _) => {
                match shapes::boolean_votes(purposes, &self.map) {
                    Some(votes) => Reading::decision(votes, &self.map, decided_at),
                    None => Reading::Malformed,
                }
            }
            (None, Some(Value::Bool(answer))) => shapes::one_answer(*answer, all, decided_at),
            (None, None) => Reading::NoDecision,
            _ => Reading::Malformed,
        }
    }
}

impl ConsentSource for Iubenda {
    fn name(&self) -> &'static str {
        "iubenda"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let of_site =
            |(site, _): &(&[u8], &[u8])| !site.is_empty() && site.iter().all(u8::is_ascii_digit);
        let copies = cookies.beginning_with(PREFIX).filter(of_site);
        Reading::of_copies(copies.map(|(_, value)| value), |value| self.read_one(value, categories))
    }
}
