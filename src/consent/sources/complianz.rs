//! Complianz: a cookie `cmplz_CATEGORY` for each category, `allow` or `deny`.

use crate::consent::shapes;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap};
use crate::cookie::Cookies;

/// What the names of the cookies begin with.
const PREFIX: &[u8] = b"cmplz_";

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[
    ("functional", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("statistics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// Reads Complianz's cookie.
#[derive(Debug)]
pub(super) struct Complianz {
    map: IdMap,
    settings: SourceSettings,
}

impl Complianz {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map), settings: settings.clone() }
    }
}

impl ConsentSource for Complianz {
    fn name(&self) -> &'static str {
        "complianz"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        if !shapes::is_in_force(cookies, b"cmplz_policy_id", &self.settings) {
            return Reading::NoDecision;
        }
        shapes::cookie_for_each(cookies, PREFIX, [b"allow", b"deny"], &self.map)
    }
}
