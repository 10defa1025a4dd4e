//! Cookiebot: `CookieConsent`, an object literal of JavaScript, not JSON.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes, decode, shapes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("statistics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// Reads Cookiebot's cookie.
#[derive(Debug)]
pub(super) struct Cookiebot {
    map: IdMap,
}

impl Cookiebot {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let object = decode::percent(value);
        let fields =
            object.as_deref().and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}'));
        let Some(fields) = fields else { return Reading::Malformed };
        let (mut votes, mut decided_at, mut said) = (Votes::default(), None, false);
        for field in fields.split(',') {
            let Some((key, value)) = field.split_once(':') else { continue };
            let key = key.trim().trim_matches(['\'', '"']);
            match (key, value.trim()) {
                ("utc", at) => decided_at = decode::time_text(at),
                (key, answer @ ("true" | "false")) => {
                    said = true;
                    votes.vote(self.map.categories(key), answer == "true");
                }
                _ => {}
            }
        }
        if said { Reading::decision(votes, &self.map, decided_at) } else { Reading::Malformed }
    }
}

impl ConsentSource for Cookiebot {
    fn name(&self) -> &'static str {
        "cookiebot"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["CookieConsent".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"CookieConsent"), |value| match value {
            // Outside the regions where consent is asked.
            b"-1" => shapes::one_answer(true, categories, None),
            b"0" => Reading::NoDecision,
            value => self.read_one(value),
        })
    }
}
