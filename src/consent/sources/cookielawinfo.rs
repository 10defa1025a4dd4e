//! GDPR Cookie Consent of WebToffee and old CookieYes (cookie-law-info): a cookie for each category once `viewed_cookie_policy` is there.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, CategorySet, IdMap, Votes};
use crate::cookie::Cookies;

/// What the names of the cookies begin with.
const PREFIX: &[u8] = b"cookielawinfo-checkbox-";

/// What the tool's own ids stand for.
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
        vec![String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        if cookies.values(b"viewed_cookie_policy").next().is_none() {
            return Reading::NoDecision;
        }
        let (mut votes, mut said) = (Votes::default(), false);
        for pair in cookies.pairs() {
            let Some(id) = pair.name.strip_prefix(PREFIX).and_then(decode::text) else { continue };
            let categories = self.map.categories(id);
            match pair.value {
                b"yes" => votes.vote(categories, true),
                b"no" => votes.vote(categories, false),
                _ => continue,
            }
            said |= categories.difference(CategorySet::NECESSARY) != CategorySet::EMPTY;
        }
        if said { Reading::decision(votes, &self.map, None) } else { Reading::NoDecision }
    }
}
