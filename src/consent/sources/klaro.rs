//! Klaro: `klaro`, a JSON object of services. Which category a service belongs to is the site's: `map`.

use crate::consent::shapes;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[];

/// Reads Klaro's cookie.
#[derive(Debug)]
pub(super) struct Klaro {
    cookie: String,
    map: IdMap,
}

impl Klaro {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie.clone().unwrap_or_else(|| "klaro".to_owned()),
            map: IdMap::new(DEFAULTS, &settings.map),
        }
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
            shapes::booleans(value, &self.map)
        })
    }
}
