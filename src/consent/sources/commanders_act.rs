//! Commanders Act: `TC_PRIVACY`, parts joined by `@` (`!` in older values): status, banner version,
//! accepted category numbers, times. `map` assigns the numbers to categories.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap, Votes, common_formats, decode};
use crate::cookie::Cookies;

/// Reads Commanders Act's cookie.
#[derive(Debug)]
pub(super) struct CommandersAct {
    map: IdMap,
}

impl CommandersAct {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(&[], &settings.map) }
    }

    fn read_one(&self, value: &[u8], all: &Categories) -> Option<Reading> {
        let text = decode::percent(value)?;
        let mut parts = text.split(if text.contains('@') { '@' } else { '!' });
        let (status, _version, accepted) = (parts.next()?, parts.next()?, parts.next()?);
        let rest: Vec<&str> = parts.collect();
        // A complete value contains the part after the last separator. A value without it is
        // truncated.
        rest.last()?;
        // The newest of up to three times. Other fields in these parts have fewer digits.
        let times = rest.iter().filter_map(|part| part.split(',').next());
        let decided_at = times.filter(|time| time.len() >= 10).find_map(decode::time_text);
        match (status, accepted) {
            // Refused, regardless of the list.
            ("1", _) => Some(common_formats::one_answer(false, all, decided_at)),
            ("0", "ALL") => Some(common_formats::one_answer(true, all, decided_at)),
            // Accepted without categories. This layout was not seen in practice.
            ("0", "") => Some(Reading::NoDecision),
            ("0", listed) => {
                let listed: Vec<&str> = listed.split(',').collect();
                let is_number = |id: &&str| id.bytes().all(|byte| byte.is_ascii_digit());
                if !listed.iter().all(is_number) {
                    return None;
                }
                let votes = Votes::of_list(&self.map, |id| listed.contains(&id));
                Some(Reading::decision(votes, &self.map, decided_at))
            }
            _ => None,
        }
    }
}

impl ConsentSource for CommandersAct {
    fn name(&self) -> &'static str {
        "commanders-act"
    }

    fn cookie_names(&self) -> Vec<String> {
        ["TC_PRIVACY", "TC_PRIVACY_CENTER"].map(str::to_owned).to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"TC_PRIVACY"), |value| {
            self.read_one(value, categories).unwrap_or(Reading::Malformed)
        })
    }
}
