//! IAB TCF v2: `euconsent-v2`, and `eupubconsent-v2` as OneTrust names it.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, decode, tcf};
use crate::cookie::Cookies;

/// What the framework's purposes stand for; purpose 1 is asked for besides.
pub(super) const PURPOSES: &[(&str, Category)] = &[
    ("2", Category::TARGETING),
    ("3", Category::TARGETING),
    ("4", Category::TARGETING),
    ("5", Category::FUNCTIONAL),
    ("6", Category::FUNCTIONAL),
    ("8", Category::ANALYTICS),
    ("9", Category::ANALYTICS),
];

/// Reads TC strings.
#[derive(Debug)]
pub(super) struct Tcf {
    cookies: Vec<String>,
    map: IdMap,
}

impl Tcf {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let cookies = match &settings.cookie {
            Some(cookie) => vec![cookie.clone()],
            None => ["euconsent-v2", "eupubconsent-v2"].map(str::to_owned).to_vec(),
        };
        Self { cookies, map: IdMap::new(PURPOSES, &settings.map) }
    }
}

impl ConsentSource for Tcf {
    fn name(&self) -> &'static str {
        "tcf"
    }

    fn cookie_names(&self) -> Vec<String> {
        self.cookies.clone()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let copies = self.cookies.iter().flat_map(|name| cookies.values(name.as_bytes()));
        Reading::of_copies(copies, |value| match decode::text(value) {
            Some(text) => tcf::read(text, &self.map),
            None => Reading::Malformed,
        })
    }
}
