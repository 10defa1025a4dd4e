//! Cloudflare Zaraz: `cf_consent`, a JSON object of purposes. Their ids are the site's: `map`.

use crate::consent::shapes;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
const DEFAULTS: &[(&str, Category)] = &[];

/// Reads Zaraz's cookie.
#[derive(Debug)]
pub(super) struct Zaraz {
    cookie: String,
    map: IdMap,
}

impl Zaraz {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie.clone().unwrap_or_else(|| "cf_consent".to_owned()),
            map: IdMap::new(DEFAULTS, &settings.map),
        }
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
            shapes::booleans(value, &self.map)
        })
    }
}
