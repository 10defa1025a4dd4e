//! Moove GDPR Cookie Compliance: `moove_gdpr_popup`, a JSON object with digits as strings.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, CategorySet, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("strict", Category::NECESSARY),
    ("thirdparty", Category::ANALYTICS),
    ("advanced", Category::TARGETING),
    ("performance", Category::ANALYTICS),
    ("preference", Category::FUNCTIONAL),
];

/// Reads Moove's cookie.
#[derive(Debug)]
pub(super) struct Moove {
    map: IdMap,
}

impl Moove {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let (mut votes, mut found_answer) = (Votes::default(), false);
        for (id, answer) in &entries {
            let granted = match answer {
                Value::String(digit) if digit == "1" => true,
                Value::String(digit) if digit == "0" => false,
                _ => continue,
            };
            let categories = self.map.categories(id);
            found_answer |= categories != CategorySet::EMPTY;
            votes.vote(categories, granted);
        }
        if found_answer { Reading::decision(votes, &self.map, None) } else { Reading::Malformed }
    }
}

impl ConsentSource for Moove {
    fn name(&self) -> &'static str {
        "moove"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["moove_gdpr_popup".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"moove_gdpr_popup"), |value| self.read_one(value))
    }
}
