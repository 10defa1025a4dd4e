//! Cookie Notice by Hu-manity: `cookie_notice_accepted`, a single answer for all categories.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, common_formats};

/// A source for the plugin's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact("cookie_notice_accepted");
    CookieSource::new("cookie-notice", [name], &[], settings, read)
}

fn read(_: &CookieSource, value: &[u8], categories: &Categories) -> Option<Reading> {
    // Other software writes `1` to a cookie of this name.
    match value {
        b"true" => Some(common_formats::one_answer(true, categories, None)),
        b"false" => Some(common_formats::one_answer(false, categories, None)),
        _ => None,
    }
}
