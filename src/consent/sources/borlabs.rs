//! Borlabs Cookie: `borlabs-cookie`, a JSON object of accepted services by group. Refused groups
//! are omitted.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::{Cookies, parse_cookie_date};

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("essential", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("statistics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
    ("external-media", Category::SOCIAL),
];

/// Reads Borlabs Cookie's cookie.
#[derive(Debug)]
pub(super) struct Borlabs {
    map: IdMap,
    settings: SourceSettings,
}

impl Borlabs {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map), settings: settings.clone() }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(mut entries)) = decode::json(value) else {
            return Reading::Malformed;
        };
        let in_force = self.settings.is_in_force(entries.get("version"));
        let Some(Value::Object(groups)) = entries.remove("consents") else {
            return Reading::Malformed;
        };
        let (mut votes, mut accepted) = (Votes::default(), Vec::new());
        for (group, services) in &groups {
            let Some(services) = decode::texts(services) else { return Reading::Malformed };
            votes.vote(self.map.categories(group), !services.is_empty());
            if !services.is_empty() {
                accepted.push(group.as_str());
            }
            accepted.extend(services);
        }
        // The cookie omits refused services, so they are taken from the map.
        votes.vote_configured(&self.map, |id| accepted.contains(&id));
        votes.deny_rest(self.map.coverage());
        let ends_at = entries.get("expires").and_then(Value::as_str);
        let ends_at = ends_at.and_then(|text| parse_cookie_date(text.as_bytes()));
        Reading::decision(votes, &self.map, None).ending_at(ends_at).in_revision(in_force)
    }
}

impl ConsentSource for Borlabs {
    fn name(&self) -> &'static str {
        "borlabs"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["borlabs-cookie".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"borlabs-cookie"), |value| self.read_one(value))
    }
}
