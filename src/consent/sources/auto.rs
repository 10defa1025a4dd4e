//! `auto`: reads the cookies of all supported tools. If two tools disagree, the stricter decision
//! wins.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::consent::Categories;
use crate::consent::source::{ConsentSource, Reading};
use crate::cookie::Cookies;

/// Reads every source whose cookies are present.
#[derive(Debug)]
pub(super) struct Auto {
    sources: Vec<Box<dyn ConsentSource>>,
    /// The sources that read a cookie of this name, as a bit mask by position.
    exact: HashMap<Box<[u8]>, u64, RandomState>,
    /// The sources for name prefixes.
    prefixes: Vec<(Box<[u8]>, u64)>,
}

impl Auto {
    /// Builds the source from at most 64 sources.
    pub(super) fn new(sources: Vec<Box<dyn ConsentSource>>) -> Self {
        let mut auto = Self { sources, exact: HashMap::default(), prefixes: Vec::new() };
        for (position, source) in auto.sources.iter().enumerate().take(64) {
            for name in source.cookie_names() {
                match name.strip_suffix('*') {
                    Some(prefix) => auto.prefixes.push((prefix.as_bytes().into(), 1 << position)),
                    None => {
                        *auto.exact.entry(name.into_bytes().into()).or_default() |= 1 << position
                    }
                }
            }
        }
        auto
    }

    fn concerned(&self, name: &[u8]) -> u64 {
        let begin_so = self.prefixes.iter().filter(|(prefix, _)| name.starts_with(prefix));
        begin_so.fold(self.exact.get(name).copied().unwrap_or(0), |all, (_, source)| all | source)
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
        let concerned = cookies.pairs().fold(0, |all, pair| all | self.concerned(pair.name));
        // Decisions of two tools are combined like copies of one decision: refusals win.
        let sources = self.sources.iter().enumerate().take(64);
        let sources = sources.filter(|(position, _)| concerned & (1 << position) != 0);
        let readings =
            sources.map(|(_, source)| source.read(cookies, categories).by(source.name()));
        readings.fold(Reading::NoDecision, Reading::and)
    }
}
