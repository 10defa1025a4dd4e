//! Cloudflare Zaraz: `cf_consent`, a JSON object of purposes. `map` assigns the purpose ids to
//! categories.

use crate::consent::common_formats;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap};
use crate::cookie::Cookies;

/// Reads Zaraz's cookie.
#[derive(Debug)]
pub(super) struct Zaraz {
    cookie: String,
    map: IdMap,
}

impl Zaraz {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { cookie: settings.cookie_or("cf_consent"), map: IdMap::new(&[], &settings.map) }
    }
}

impl ConsentSource for Zaraz {
    fn name(&self) -> &'static str {
        "zaraz"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| {
            common_formats::booleans(value, &self.map)
        })
    }
}
