//! Drupal EU Cookie Compliance: `cookie-agreed` is the answer, `cookie-agreed-categories` the
//! accepted categories. `map` assigns them to the site's categories.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap, Votes, common_formats, decode};
use crate::cookie::Cookies;

/// Reads Drupal EU Cookie Compliance's cookie.
#[derive(Debug)]
pub(super) struct Drupal {
    map: IdMap,
    settings: SourceSettings,
}

impl Drupal {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(&[], &settings.map), settings: settings.clone() }
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
        let lists: Vec<Option<Value>> =
            cookies.values(b"cookie-agreed-categories").map(decode::json).collect();
        let lists: Option<Vec<Vec<&str>>> =
            lists.iter().map(|list| decode::texts(list.as_ref()?)).collect();
        let Some(lists) = lists else { return Reading::Malformed };
        Reading::of_copies(cookies.values(b"cookie-agreed"), |value| match value {
            b"0" => common_formats::one_answer(false, categories, None),
            // Without categories, the module asks for everything at once.
            b"1" | b"2" if lists.is_empty() => common_formats::one_answer(true, categories, None),
            b"1" | b"2" => {
                let listed = |id: &str| lists.iter().all(|list| list.contains(&id));
                Reading::decision(Votes::of_list(&self.map, listed), &self.map, None)
            }
            _ => Reading::Malformed,
        })
        .in_revision(common_formats::is_in_force(
            cookies,
            b"cookie-agreed-version",
            &self.settings,
        ))
    }
}
