//! tarteaucitron: `tarteaucitron`, services as `!service=` with `true`, `false` or `wait`. `map`
//! assigns services to categories and overrides the built-in list.

mod services;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;
use services::SERVICES;

/// Reads tarteaucitron's cookie.
#[derive(Debug)]
pub(super) struct Tarteaucitron {
    cookie: String,
    map: IdMap,
}

impl Tarteaucitron {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let of_category = |(category, ids): &(Category, &'static str)| {
            let category = *category;
            ids.split(' ').map(move |id| (id, category))
        };
        let defaults: Vec<_> = SERVICES.iter().flat_map(of_category).collect();
        Self {
            cookie: settings.cookie_or("tarteaucitron"),
            map: IdMap::new(&defaults, &settings.map),
        }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(text) = decode::text(value) else { return Reading::Malformed };
        let Some(entries) = text.strip_prefix('!') else { return Reading::Malformed };
        let (mut votes, mut answered) = (Votes::default(), false);
        // Changed answers are appended, so the entries are read in reverse and the first one of a
        // service counts.
        let mut seen = Vec::new();
        for entry in entries.rsplit('!') {
            let Some((service, answer)) = entry.split_once('=') else { return Reading::Malformed };
            if seen.contains(&service) {
                continue;
            }
            seen.push(service);
            answered |= matches!(answer, "true" | "false");
            // Once any service is answered, unanswered services count as refused.
            votes.vote(self.map.categories(service), answer == "true");
        }
        if answered { Reading::decision(votes, &self.map, None) } else { Reading::NoDecision }
    }
}

impl ConsentSource for Tarteaucitron {
    fn name(&self) -> &'static str {
        "tarteaucitron"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| self.read_one(value))
    }
}
