//! Osano cookieconsent (the open-source one): `cookieconsent_status`, a single answer for all
//! categories.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, common_formats};
use crate::cookie::Cookies;

/// Reads Osano cookieconsent's cookie.
#[derive(Debug)]
pub(super) struct Osano {
    cookie: String,
    dismiss_grants: bool,
}

impl Osano {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie_or("cookieconsent_status"),
            dismiss_grants: settings.dismiss_grants,
        }
    }
}

impl ConsentSource for Osano {
    fn name(&self) -> &'static str {
        "osano"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| match value {
            b"allow" => common_formats::one_answer(true, categories, None),
            b"deny" => common_formats::one_answer(false, categories, None),
            // The notice was closed or the page was scrolled. Counts as an answer only if
            // configured.
            b"dismiss" if self.dismiss_grants => common_formats::one_answer(true, categories, None),
            b"dismiss" => Reading::NoDecision,
            _ => Reading::Malformed,
        })
    }
}
