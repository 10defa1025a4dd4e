//! Matomo: `mtm_consent` and `mtm_cookie_consent` after consent, `mtm_consent_removed` after an opt-out. The value is the
//! time in milliseconds.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes, decode};
use crate::cookie::Cookies;

/// The cookies, and whether they grant.
const COOKIES: [(&str, bool); 3] =
    [("mtm_consent", true), ("mtm_cookie_consent", true), ("mtm_consent_removed", false)];

/// The cookies cover the tool's own tracking only.
const DEFAULTS: &[(&str, Category)] = &[("matomo", Category::ANALYTICS)];

/// Reads Matomo's cookies.
#[derive(Debug)]
pub(super) struct Matomo {
    map: IdMap,
}

impl Matomo {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8], granted: bool) -> Option<Reading> {
        let decided_at = decode::time_text(decode::text(value)?);
        let mut votes = Votes::default();
        votes.vote(self.map.categories("matomo"), granted);
        // An opt-out counts whatever its time is.
        (decided_at.is_some() || !granted).then(|| Reading::decision(votes, &self.map, decided_at))
    }
}

impl ConsentSource for Matomo {
    fn name(&self) -> &'static str {
        "matomo"
    }

    fn cookie_names(&self) -> Vec<String> {
        COOKIES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let readings = COOKIES.iter().map(|(name, granted)| {
            Reading::of_copies(cookies.values(name.as_bytes()), |value| {
                self.read_one(value, *granted).unwrap_or(Reading::Malformed)
            })
        });
        readings.fold(Reading::NoDecision, Reading::and)
    }
}
