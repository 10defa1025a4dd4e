//! consentmanager: `__cmpconsentID`, a TC string, and `__cmpccpausps`, a US privacy string.

use super::usprivacy;
use crate::consent::cookie_source::{CookieMatcher, is_digits};
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, IdMap, decode};
use crate::cookie::Cookies;

/// The cookie names: the number of the site, with a letter for the scope of the consent.
const NAMES: [&str; 4] = [
    "__cmpconsent{digits}",
    "__cmpconsentx{digits}",
    "__cmpconsents{digits}",
    "__cmpconsentu{digits}",
];
const US_PRIVACY: &str = "__cmpccpausps";

/// Reads consentmanager's cookies.
#[derive(Debug)]
pub(super) struct Consentmanager {
    names: [CookieMatcher; 4],
    tc_strings: TcStrings,
    american: IdMap,
}

impl Consentmanager {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            names: NAMES.map(|name| CookieMatcher::pattern(name, is_digits)),
            tc_strings: TcStrings::new(settings),
            american: IdMap::new(usprivacy::DEFAULTS, &settings.map),
        }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        match decode::text(value) {
            // Sites outside of the IAB framework have a string of another format.
            Some(text) if text.starts_with('B') => Reading::NoDecision,
            Some(text) => self.tc_strings.read(text),
            None => Reading::Malformed,
        }
    }
}

impl ConsentSource for Consentmanager {
    fn name(&self) -> &'static str {
        "consentmanager"
    }

    fn cookie_names(&self) -> Vec<String> {
        let names = self.names.iter().map(CookieMatcher::as_pattern);
        names.chain([US_PRIVACY.to_owned()]).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let copies = self.names.iter().flat_map(|name| name.values(cookies));
        let us = cookies.values(US_PRIVACY.as_bytes());
        Reading::of_copies(copies, |value| self.read_one(value)).and(Reading::of_copies(
            us,
            |value| match decode::text(value) {
                Some(text) => usprivacy::read_string(text, &self.american),
                None => Reading::Malformed,
            },
        ))
    }
}
