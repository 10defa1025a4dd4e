//! GDPR Cookie Consent by WebToffee and early CookieYes (cookie-law-info): one cookie per category.
//! Valid once `viewed_cookie_policy` exists.

use crate::consent::common_formats;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap};
use crate::cookie::Cookies;

/// Prefix of the cookie names.
const PREFIX: &[u8] = b"cookielawinfo-checkbox-";

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
}

impl ConsentSource for CookieLawInfo {
    fn name(&self) -> &'static str {
        "cookielawinfo"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["viewed_cookie_policy".to_owned(), String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        if cookies.values(b"viewed_cookie_policy").next().is_none() {
            return Reading::NoDecision;
        }
        common_formats::cookie_for_each(cookies, PREFIX, [b"yes", b"no"], &self.map)
    }
}
