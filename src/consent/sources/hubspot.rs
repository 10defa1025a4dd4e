//! HubSpot: `__hs_cookie_cat_pref`, numbered categories as `1:true_2:false`.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] =
    &[("1", Category::ANALYTICS), ("2", Category::TARGETING), ("3", Category::FUNCTIONAL)];

/// Reads HubSpot's cookie.
#[derive(Debug)]
pub(super) struct HubSpot {
    map: IdMap,
}

impl HubSpot {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(text) = decode::percent(value) else { return Reading::Malformed };
        let mut votes = Votes::default();
        for entry in text.split(['_', ',']) {
            match entry.split_once(':') {
                Some((id, "true")) => votes.vote(self.map.categories(id), true),
                Some((id, "false")) => votes.vote(self.map.categories(id), false),
                _ => return Reading::Malformed,
            }
        }
        Reading::decision(votes, &self.map, None)
    }
}

impl ConsentSource for HubSpot {
    fn name(&self) -> &'static str {
        "hubspot"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["__hs_cookie_cat_pref".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"__hs_cookie_cat_pref"), |value| self.read_one(value))
    }
}
