//! django-cookie-consent: `cookie_consent`, groups as `group=TIME|group=-1`. `map` assigns the
//! groups to categories.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap, Votes};
use crate::cookie::Cookies;

/// Reads django-cookie-consent's cookie.
#[derive(Debug)]
pub(super) struct DjangoCookieConsent {
    cookie: String,
    map: IdMap,
}

impl DjangoCookieConsent {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { cookie: settings.cookie_or("cookie_consent"), map: IdMap::new(&[], &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(text) = decode::percent(value) else { return Reading::Malformed };
        let (mut votes, mut decided_at) = (Votes::default(), None);
        for group in text.trim_matches('"').split('|') {
            let Some((group, answer)) = group.split_once('=') else { return Reading::Malformed };
            let granted_at = decode::time_text(answer);
            if granted_at.is_none() && answer != "-1" {
                return Reading::Malformed;
            }
            // The oldest answer determines the age.
            decided_at = [decided_at, granted_at].into_iter().flatten().min();
            votes.vote(self.map.categories(group), granted_at.is_some());
        }
        Reading::decision(votes, &self.map, decided_at)
    }
}

impl ConsentSource for DjangoCookieConsent {
    fn name(&self) -> &'static str {
        "django-cookie-consent"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| self.read_one(value))
    }
}
