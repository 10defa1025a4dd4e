//! Cookiebot: `CookieConsent`, a JavaScript object literal, which is not JSON.

use crate::consent::source::{ConsentSource, Implied, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes, common_formats, decode};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("statistics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// The stamp, or the whole cookie value, outside of regions with a consent requirement.
const OUTSIDE: &str = "-1";

/// Reads Cookiebot's cookie.
#[derive(Debug)]
pub(super) struct Cookiebot {
    map: IdMap,
    implied: Implied,
}

impl Cookiebot {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let implied = settings.implied.unwrap_or(Implied::Accept);
        Self { map: IdMap::new(DEFAULTS, &settings.map), implied }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let object = decode::percent(value);
        let fields =
            object.as_deref().and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}'));
        let Some(fields) = fields else { return Reading::Malformed };
        let (mut votes, mut decided_at) = (Votes::default(), None);
        let (mut found_answer, mut outside) = (false, false);
        for field in fields.split(',') {
            let Some((key, value)) = field.split_once(':') else { continue };
            let key = key.trim().trim_matches(['\'', '"']);
            match (key, value.trim()) {
                ("stamp", stamp) if stamp.trim_matches(['\'', '"']) == OUTSIDE => outside = true,
                ("utc", at) => decided_at = decode::time_text(at),
                (key, answer @ ("true" | "false")) => {
                    found_answer = true;
                    votes.vote(self.map.categories(key), answer == "true");
                }
                _ => {}
            }
        }
        match found_answer {
            true if outside && self.implied == Implied::Ignore => Reading::NoDecision,
            true => Reading::decision(votes, &self.map, decided_at),
            false => Reading::Malformed,
        }
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
            // `true` and `false` are of react-cookie-consent.
            b"0" | b"true" | b"false" => Reading::NoDecision,
            value if value == OUTSIDE.as_bytes() => match self.implied {
                Implied::Accept => common_formats::one_answer(true, categories, None),
                Implied::Ignore => Reading::NoDecision,
            },
            value => self.read_one(value),
        })
    }
}
