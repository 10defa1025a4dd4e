//! c15t: `c15t`, a list of `key:value` entries. Refused categories are omitted; `i.t` is the time.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids. The cookie omits both refused categories and categories
/// that the site does not use. `experience` therefore counts only if the config maps it.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("functionality", Category::FUNCTIONAL),
    ("measurement", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// Reads c15t's cookie.
#[derive(Debug)]
pub(super) struct C15t {
    cookie: String,
    map: IdMap,
}

impl C15t {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { cookie: settings.cookie_or("c15t"), map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(text) = decode::percent(value) else { return Reading::Malformed };
        let (mut granted, mut decided_at) = (Vec::new(), None);
        for entry in text.split(',') {
            let Some((key, value)) = entry.split_once(':') else { return Reading::Malformed };
            match (key.strip_prefix("c."), key, value) {
                (Some(id), _, "1") => granted.push(id),
                (None, "i.t" | "i.time", at) => decided_at = decode::time_text(at),
                _ => {}
            }
        }
        if decided_at.is_none() {
            return Reading::NoDecision;
        }
        let votes = Votes::of_list(&self.map, |id| granted.contains(&id));
        Reading::decision(votes, &self.map, decided_at)
    }
}

impl ConsentSource for C15t {
    fn name(&self) -> &'static str {
        "c15t"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| self.read_one(value))
    }
}
