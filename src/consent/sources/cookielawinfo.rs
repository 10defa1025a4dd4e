//! GDPR Cookie Consent by WebToffee and early CookieYes (cookie-law-info): one cookie per category, and a copy of all
//! answers in `CookieLawInfoConsent`. Valid once `viewed_cookie_policy` exists.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes, common_formats, decode};
use crate::cookie::Cookies;

/// Prefix of the cookie names.
const PREFIX: &[u8] = b"cookielawinfo-checkbox-";
/// The cookie with a copy of all answers.
const COPY: &str = "CookieLawInfoConsent";
/// The cookie that records the answer to the notice.
const VIEWED: &str = "viewed_cookie_policy";
/// The only optional category on sites with two categories.
const NON_NECESSARY: &str = "non-necessary";

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("functional", Category::FUNCTIONAL),
    ("functional-cookies", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("performance", Category::ANALYTICS),
    ("advertisement", Category::TARGETING),
    ("advertising", Category::TARGETING),
];

/// Reads cookie-law-info's cookie.
#[derive(Debug)]
pub(super) struct CookieLawInfo {
    map: IdMap,
}

impl CookieLawInfo {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    /// Parses the copy of all answers, in which older versions write booleans and newer ones text.
    fn read_copy(&self, value: &[u8], all: &Categories) -> Option<Reading> {
        let json = decode::base64_json(value)?;
        let mut votes = Votes::default();
        let mut reading = Reading::NoDecision;
        for (id, answer) in json.as_object()?.iter().filter(|(id, _)| *id != "ver") {
            let granted = match answer {
                Value::Bool(answer) => *answer,
                Value::String(text) if text == "true" => true,
                Value::String(text) if text == "false" => false,
                _ => return None,
            };
            if self.is_everything(id.as_bytes()) {
                reading = reading.and(common_formats::one_answer(granted, all, None));
            }
            votes.vote(self.map.categories(id), granted);
        }
        Some(match votes.has_answer() {
            true => reading.and(Reading::decision(votes, &self.map, None)),
            false => reading,
        })
    }

    /// Whether the id is the only optional category of the site.
    fn is_everything(&self, id: &[u8]) -> bool {
        id == NON_NECESSARY.as_bytes() && !self.map.is_configured(NON_NECESSARY)
    }

    /// The answer for everything that is not necessary, if the site has no other category.
    fn read_everything(&self, cookies: &Cookies<'_>, all: &Categories) -> Reading {
        let named = cookies.beginning_with(PREFIX).filter(|(id, _)| self.is_everything(id));
        Reading::of_copies(named.map(|(_, answer)| answer), |answer| match answer {
            b"yes" => common_formats::one_answer(true, all, None),
            b"no" => common_formats::one_answer(false, all, None),
            _ => Reading::Malformed,
        })
    }
}

impl ConsentSource for CookieLawInfo {
    fn name(&self) -> &'static str {
        "cookielawinfo"
    }

    fn cookie_names(&self) -> Vec<String> {
        let categories = String::from_utf8_lossy(PREFIX).into_owned() + "*";
        vec![VIEWED.to_owned(), COPY.to_owned(), categories]
    }

    fn read(&self, cookies: &Cookies<'_>, all: &Categories) -> Reading {
        let mut viewed = cookies.values(VIEWED.as_bytes()).peekable();
        if viewed.peek().is_none() {
            return Reading::NoDecision;
        }
        if viewed.any(|answer| answer == b"no") {
            // The tool deletes the cookies of all other categories.
            return common_formats::one_answer(false, all, None);
        }
        let copies = cookies.values(COPY.as_bytes());
        common_formats::cookie_for_each(cookies, PREFIX, [b"yes", b"no"], &self.map)
            .and(self.read_everything(cookies, all))
            .and(Reading::of_copies(copies, |value| {
                self.read_copy(value, all).unwrap_or(Reading::Malformed)
            }))
    }
}
