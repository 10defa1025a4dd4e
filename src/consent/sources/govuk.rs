//! GOV.UK: `cookies_policy`, JSON, in base64 or not, with `true` or `false` for each category. The cookie exists before
//! the visitor's choice: it counts only with `cookies_preferences_set`.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, CategorySet, IdMap, Votes, decode};
use crate::cookie::Cookies;

const POLICY: &str = "cookies_policy";
/// The cookies that record a choice: of GOV.UK, and of the National Archives.
const CHOSEN: [&str; 2] = ["cookies_preferences_set", "cookie_preferences_set"];

/// Default categories of the ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("essential", Category::NECESSARY),
    ("settings", Category::FUNCTIONAL),
    ("usage", Category::ANALYTICS),
    ("analytics", Category::ANALYTICS),
    ("campaigns", Category::TARGETING),
    ("marketing", Category::TARGETING),
];

/// Reads GOV.UK's cookies.
#[derive(Debug)]
pub(super) struct GovUk {
    map: IdMap,
}

impl GovUk {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Option<Reading> {
        let json = decode::json(value).or_else(|| decode::base64_json(value))?;
        // Other software uses the same name.
        json.get("essential")?.as_bool()?;
        let mut votes = Votes::default();
        for (id, answer) in json.as_object()? {
            match (self.map.categories(id), answer) {
                (categories, Value::Bool(answer)) => votes.vote(categories, *answer),
                (CategorySet::EMPTY, _) => {}
                _ => return None,
            }
        }
        Some(Reading::decision(votes, &self.map, json.get("timestamp").and_then(decode::time)))
    }
}

impl ConsentSource for GovUk {
    fn name(&self) -> &'static str {
        "govuk"
    }

    fn cookie_names(&self) -> Vec<String> {
        CHOSEN.iter().chain(&[POLICY]).map(|name| (*name).to_owned()).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let is_set = |name: &&str| cookies.values(name.as_bytes()).any(|value| value == b"true");
        if !CHOSEN.iter().any(is_set) {
            return Reading::NoDecision;
        }
        Reading::of_copies(cookies.values(POLICY.as_bytes()), |value| {
            self.read_one(value).unwrap_or(Reading::Malformed)
        })
    }
}
