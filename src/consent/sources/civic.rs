//! Civic Cookie Control: `CookieControl`, JSON with the state of each optional category, or a TC string. The cookie
//! contains its lifetime in days.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, Category, CategorySet, IdMap, Votes, common_formats, decode};
use crate::cookie::Cookies;

/// The tool's default lifetime, in days.
const LIFETIME_DAYS: i64 = 90;

/// Default categories of the usual ids, in lower case.
const DEFAULTS: &[(&str, Category)] = &[
    ("analytics", Category::ANALYTICS),
    ("performance", Category::ANALYTICS),
    ("statistics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
    ("advertising", Category::TARGETING),
    ("targeting", Category::TARGETING),
    ("functional", Category::FUNCTIONAL),
    ("functionality", Category::FUNCTIONAL),
    ("preferences", Category::FUNCTIONAL),
    ("social", Category::SOCIAL),
    ("socialmedia", Category::SOCIAL),
];

/// Reads Civic's cookie.
#[derive(Debug)]
pub(super) struct Civic {
    map: IdMap,
    tc_strings: TcStrings,
}

impl Civic {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map), tc_strings: TcStrings::new(settings) }
    }

    fn read_one(&self, value: &[u8], all: &Categories) -> Option<Reading> {
        let entries = decode::object(value)?;
        if !entries.get("interactedWith")?.as_bool()? {
            return Some(Reading::NoDecision);
        }
        let decided_at = entries.get("consentDate").and_then(decode::time);
        let reading = match (entries.get("iabConsent"), entries.get("optionalCookies")) {
            (Some(tc_string), _) => self.tc_strings.read(tc_string.as_str()?),
            (None, Some(Value::Object(answers))) if answers.is_empty() => {
                common_formats::one_answer(false, all, decided_at)
            }
            (None, Some(Value::Object(answers))) => {
                let mut votes = Votes::default();
                for (id, answer) in answers {
                    // "legitimate interest" is not consent.
                    votes.vote(self.categories(id), answer.as_str()? == "accepted");
                }
                votes.deny_rest(self.map.coverage());
                Reading::decision(votes, &self.map, decided_at)
            }
            _ => return None,
        };
        let days = entries.get("consentExpiry").map_or(Some(LIFETIME_DAYS), Value::as_i64);
        Some(reading.ending_at(common_formats::end_after(decided_at, days)))
    }

    /// The categories of an id, in any case.
    fn categories(&self, id: &str) -> CategorySet {
        match self.map.categories(id) {
            CategorySet::EMPTY => self.map.categories(&id.to_ascii_lowercase()),
            categories => categories,
        }
    }
}

impl ConsentSource for Civic {
    fn name(&self) -> &'static str {
        "civic"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["CookieControl".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"CookieControl"), |value| {
            self.read_one(value, categories).unwrap_or(Reading::Malformed)
        })
    }
}
