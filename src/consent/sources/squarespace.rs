//! Squarespace: `ss_performanceCookiesAllowed` and `ss_marketingCookiesAllowed`, each `true` or `false`.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// The cookies, with the id of each.
const COOKIES: [(&str, &str); 2] =
    [("ss_performanceCookiesAllowed", "performance"), ("ss_marketingCookiesAllowed", "marketing")];

/// Default categories of the ids.
const DEFAULTS: &[(&str, Category)] =
    &[("performance", Category::ANALYTICS), ("marketing", Category::TARGETING)];

/// Reads Squarespace's cookies.
#[derive(Debug)]
pub(super) struct Squarespace {
    map: IdMap,
}

impl Squarespace {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }
}

impl ConsentSource for Squarespace {
    fn name(&self) -> &'static str {
        "squarespace"
    }

    fn cookie_names(&self) -> Vec<String> {
        COOKIES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let (mut votes, mut decided) = (Votes::default(), false);
        for (name, id) in COOKIES {
            for value in cookies.values(name.as_bytes()) {
                decided = true;
                // The tool treats every other value as a refusal.
                votes.vote(self.map.categories(id), value == b"true");
            }
        }
        if decided { Reading::decision(votes, &self.map, None) } else { Reading::NoDecision }
    }
}
