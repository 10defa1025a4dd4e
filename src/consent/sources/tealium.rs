//! Tealium: `CONSENTMGR`, numbered categories as `c1:1|c2:0`. `map` assigns the numbers to
//! categories.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap, Votes};
use crate::cookie::Cookies;

/// Reads Tealium's cookie.
#[derive(Debug)]
pub(super) struct Tealium {
    map: IdMap,
}

impl Tealium {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(&[], &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(text) = decode::percent(value) else { return Reading::Malformed };
        let (mut votes, mut found_answer, mut decided_at) = (Votes::default(), false, None);
        for entry in text.split('|') {
            let Some((key, value)) = entry.split_once(':') else { return Reading::Malformed };
            match (key, value) {
                ("ts", at) => decided_at = decode::time_text(at),
                ("consent", "false") => {
                    found_answer = true;
                    votes.vote(self.map.coverage(), false);
                }
                (id, answer @ ("0" | "1")) if id.starts_with('c') => {
                    found_answer = true;
                    votes.vote(self.map.categories(id), answer == "1");
                }
                _ => {}
            }
        }
        if found_answer {
            Reading::decision(votes, &self.map, decided_at)
        } else {
            Reading::Malformed
        }
    }
}

impl ConsentSource for Tealium {
    fn name(&self) -> &'static str {
        "tealium"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["CONSENTMGR".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"CONSENTMGR"), |value| self.read_one(value))
    }
}
