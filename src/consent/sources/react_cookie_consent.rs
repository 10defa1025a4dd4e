//! react-cookie-consent: `CookieConsent`, a single answer for all categories.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, common_formats};

/// A source for the component's cookie, and for the copy that it writes for old browsers.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let name = settings.cookie_or("CookieConsent");
    let names = [format!("{name}-legacy"), name].map(CookieMatcher::exact);
    CookieSource::new("react-cookie-consent", names, &[], settings, read)
}

fn read(_: &CookieSource, value: &[u8], categories: &Categories) -> Option<Reading> {
    Some(match value {
        b"true" => common_formats::one_answer(true, categories, None),
        b"false" => common_formats::one_answer(false, categories, None),
        // Cookiebot's cookie has the same name.
        _ => Reading::NoDecision,
    })
}
