//! Osano cookieconsent (the free one): `cookieconsent_status`, one answer for everything.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[];

/// Reads Osano cookieconsent's cookie.
#[derive(Debug)]
pub(super) struct Osano {
    cookie: String,
    map: IdMap,
}

impl Osano {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie.clone().unwrap_or_else(|| "cookieconsent_status".to_owned()),
            map: IdMap::new(DEFAULTS, &settings.map),
        }
    }
}

impl ConsentSource for Osano {
    fn name(&self) -> &'static str {
        "osano"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| {
            let mut votes = Votes::default();
            match value {
                b"allow" => votes.vote(categories.all(), true),
                b"deny" => votes.vote(categories.all(), false),
                // The notice was closed: no answer.
                b"dismiss" => return Reading::NoDecision,
                _ => return Reading::Malformed,
            }
            Reading::decision(votes, &self.map, None)
        })
    }
}
