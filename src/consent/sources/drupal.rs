//! Drupal EU Cookie Compliance: `cookie-agreed` says whether, `cookie-agreed-categories` to what. The categories are the site's: `map`.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[];

/// Reads Drupal EU Cookie Compliance's cookie.
#[derive(Debug)]
pub(super) struct Drupal {
    map: IdMap,
}

impl Drupal {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }
}

impl ConsentSource for Drupal {
    fn name(&self) -> &'static str {
        "drupal"
    }

    fn cookie_names(&self) -> Vec<String> {
        ["cookie-agreed", "cookie-agreed-categories", "cookie-agreed-version"]
            .map(str::to_owned)
            .to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let mut lists = Vec::new();
        for value in cookies.values(b"cookie-agreed-categories") {
            match decode::json(value) {
                Some(Value::Array(list)) if list.iter().all(Value::is_string) => lists.push(list),
                _ => return Reading::Malformed,
            }
        }
        Reading::of_copies(cookies.values(b"cookie-agreed"), |value| {
            let mut votes = Votes::default();
            match (value, lists.as_slice()) {
                (b"0", _) => votes.vote(categories.all(), false),
                // Without categories the module asks for everything at once.
                (b"1" | b"2", []) => votes.vote(categories.all(), true),
                (b"1" | b"2", lists) => {
                    let listed =
                        |id: &str| lists.iter().all(|list| list.iter().any(|item| item == id));
                    for id in self.map.configured() {
                        votes.vote(self.map.categories(id), listed(id));
                    }
                    votes.deny_rest(self.map.reach());
                }
                _ => return Reading::Malformed,
            }
            Reading::decision(votes, &self.map, None)
        })
    }
}
