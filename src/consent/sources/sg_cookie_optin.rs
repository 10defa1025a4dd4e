//! TYPO3 sg_cookie_optin: `cookie_optin`, or `cookie_optin_SITE_LANGUAGE`, groups as `group:1|group:0`.

use crate::consent::cookie_source::{CookieMatcher, CookieSource, is_digits};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, decode};

/// Default categories of the usual groups.
const DEFAULTS: &[(&str, Category)] = &[
    ("essential", Category::NECESSARY),
    ("analytics", Category::ANALYTICS),
    ("statistics", Category::ANALYTICS),
    ("statistik", Category::ANALYTICS),
    ("statistiken", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
    ("iframes", Category::SOCIAL),
];

/// A source for the extension's cookies.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let is_rest = |rest: &[u8]| {
        let mut numbers = rest.split(|byte| *byte == b'_');
        let both = [numbers.next(), numbers.next()];
        numbers.next().is_none() && both.iter().all(|number| number.is_some_and(is_digits))
    };
    let names = [
        CookieMatcher::exact("cookie_optin"),
        CookieMatcher::pattern("cookie_optin_{digits}_{digits}", is_rest),
    ];
    CookieSource::new("sg-cookie-optin", names, DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let text = decode::percent(value)?;
    let mut votes = Votes::default();
    for group in text.split('|') {
        let (id, granted) = match group.rsplit_once(':')? {
            (id, "1") => (id, true),
            (id, "0") => (id, false),
            _ => return None,
        };
        votes.vote(source.map.categories(id), granted);
    }
    Some(Reading::decision(votes, &source.map, None))
}
