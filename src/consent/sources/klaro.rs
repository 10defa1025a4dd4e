//! Klaro: `klaro`, a JSON object of services. `map` assigns the services to categories.

use crate::consent::common_formats;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, IdMap};
use crate::cookie::Cookies;

/// Reads Klaro's cookie.
#[derive(Debug)]
pub(super) struct Klaro {
    cookie: String,
    map: IdMap,
}

impl Klaro {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { cookie: settings.cookie_or("klaro"), map: IdMap::new(&[], &settings.map) }
    }
}

impl ConsentSource for Klaro {
    fn name(&self) -> &'static str {
        "klaro"
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
