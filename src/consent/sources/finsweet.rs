//! Finsweet Cookie Consent (Webflow): `fs-cc`, or `fs-consent` in version 2. JSON, percent-encoded twice.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, common_formats, decode};

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("essential", Category::NECESSARY),
    ("personalization", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// A source for Finsweet's cookies.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let names = ["fs-cc", "fs-consent"].map(CookieMatcher::exact);
    CookieSource::new("finsweet", names, DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let json = decode::json(decode::percent(value)?.as_bytes())?;
    let votes = common_formats::boolean_votes(json.get("consents")?.as_object()?, &source.map)?;
    Some(Reading::decision(votes, &source.map, None))
}
