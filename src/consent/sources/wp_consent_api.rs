//! WP Consent API: a cookie `wp_consent_CATEGORY` for each category, `allow` or `deny`.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, CategorySet, IdMap, Votes};
use crate::cookie::Cookies;

/// What the names of the cookies begin with.
const PREFIX: &[u8] = b"wp_consent_";

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[
    ("functional", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("statistics", Category::ANALYTICS),
    ("statistics-anonymous", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// Reads the WP Consent API's cookie.
#[derive(Debug)]
pub(super) struct WpConsentApi {
    map: IdMap,
}

impl WpConsentApi {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }
}

impl ConsentSource for WpConsentApi {
    fn name(&self) -> &'static str {
        "wp-consent-api"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let (mut votes, mut said) = (Votes::default(), false);
        for pair in cookies.pairs() {
            let Some(id) = pair.name.strip_prefix(PREFIX).and_then(decode::text) else { continue };
            let categories = self.map.categories(id);
            match pair.value {
                b"allow" => votes.vote(categories, true),
                b"deny" => votes.vote(categories, false),
                _ => continue,
            }
            said |= categories.difference(CategorySet::NECESSARY) != CategorySet::EMPTY;
        }
        if said { Reading::decision(votes, &self.map, None) } else { Reading::NoDecision }
    }
}
