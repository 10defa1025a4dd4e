//! WP Consent API: one cookie `wp_consent_CATEGORY` per category, with `allow` or `deny`.

use crate::consent::common_formats;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap};
use crate::cookie::Cookies;

/// Prefix of the cookie names.
const PREFIX: &[u8] = b"wp_consent_";

/// Default categories of the tool's ids.
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
        common_formats::cookie_for_each(cookies, PREFIX, [b"allow", b"deny"], &self.map)
    }
}
