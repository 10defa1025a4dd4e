//! Cookie Information: `CookieInformationConsent`, JSON with lists of approved and denied
//! categories.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("cookie_cat_necessary", Category::NECESSARY),
    ("cookie_cat_functional", Category::FUNCTIONAL),
    ("cookie_cat_statistic", Category::ANALYTICS),
    ("cookie_cat_marketing", Category::TARGETING),
];

/// Reads Cookie Information's cookie.
#[derive(Debug)]
pub(super) struct CookieInformation {
    map: IdMap,
}

impl CookieInformation {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let mut votes = Votes::default();
        for (key, granted) in [("consents_approved", true), ("consents_denied", false)] {
            let Some(listed) = entries.get(key).and_then(decode::texts) else {
                return Reading::Malformed;
            };
            listed.iter().for_each(|id| votes.vote(self.map.categories(id), granted));
        }
        Reading::decision(votes, &self.map, entries.get("timestamp").and_then(decode::time))
    }
}

impl ConsentSource for CookieInformation {
    fn name(&self) -> &'static str {
        "cookieinformation"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["CookieInformationConsent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"CookieInformationConsent"), |value| {
            self.read_one(value)
        })
    }
}
