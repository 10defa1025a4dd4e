//! Didomi: `didomi_token`, base64 JSON with the enabled and disabled purposes. Falls back to the TC
//! string cookie.

use serde_json::Value;

use super::tcf::Tcf;
use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("cookies", Category::TARGETING),
    ("select_basic_ads", Category::TARGETING),
    ("create_ads_profile", Category::TARGETING),
    ("select_personalized_ads", Category::TARGETING),
    ("measure_ad_performance", Category::TARGETING),
    ("market_research", Category::ANALYTICS),
    ("measure_content_performance", Category::ANALYTICS),
    ("improve_products", Category::ANALYTICS),
    ("create_content_profile", Category::FUNCTIONAL),
    ("select_personalized_content", Category::FUNCTIONAL),
];

/// Reads Didomi's cookie.
#[derive(Debug)]
pub(super) struct Didomi {
    cookie: String,
    map: IdMap,
    tcf: Tcf,
}

impl Didomi {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie_or("didomi_token"),
            map: IdMap::new(DEFAULTS, &settings.map),
            tcf: Tcf::new(&SourceSettings { cookie: None, ..settings.clone() }),
        }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(mut token) = decode::base64_object(value) else {
            return Reading::Malformed;
        };
        // Before the visitor's choice, the token exists without purposes.
        let Some(purposes) = token.remove("purposes") else { return Reading::NoDecision };
        let Value::Object(purposes) = purposes else { return Reading::Malformed };
        let mut votes = Votes::default();
        let mut enabled = Vec::new();
        for (key, granted) in [("enabled", true), ("disabled", false)] {
            let Some(listed) = purposes.get(key) else { continue };
            let Some(listed) = decode::texts(listed) else { return Reading::Malformed };
            listed.iter().for_each(|id| votes.vote(self.map.categories(id), granted));
            if granted {
                enabled = listed;
            }
        }
        for id in self.map.configured().filter(|id| !enabled.contains(id)) {
            votes.vote(self.map.categories(id), false);
        }
        votes.deny_rest(self.map.coverage());
        Reading::decision(votes, &self.map, token.get("updated").and_then(decode::time))
    }
}

impl ConsentSource for Didomi {
    fn name(&self) -> &'static str {
        "didomi"
    }

    fn cookie_names(&self) -> Vec<String> {
        [vec![self.cookie.clone()], self.tcf.cookie_names()].concat()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let mut tokens = cookies.values(self.cookie.as_bytes()).peekable();
        if tokens.peek().is_none() {
            return self.tcf.read(cookies, categories);
        }
        Reading::of_copies(tokens, |value| self.read_one(value))
    }
}
