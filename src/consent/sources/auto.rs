//! `auto`: whichever tool's cookies are there. Two tools that disagree are taken at their strictest.

use crate::consent::Categories;
use crate::consent::source::{ConsentSource, Reading};
use crate::cookie::Cookies;

/// Asks every other source.
#[derive(Debug)]
pub(super) struct Auto {
    sources: Vec<Box<dyn ConsentSource>>,
}

impl Auto {
    pub(super) fn new(sources: Vec<Box<dyn ConsentSource>>) -> Self {
        Self { sources }
    }
}

impl ConsentSource for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn cookie_names(&self) -> Vec<String> {
        self.sources.iter().flat_map(|source| source.cookie_names()).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        // Copies of one decision and decisions of two tools are alike: what all of them allow holds.
        let readings = self.sources.iter().map(|source| source.read(cookies, categories));
        readings.fold(Reading::NoDecision, Reading::and)
    }
}
