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
    sources: Vec<AutoSource>,
    /// The sources that read a cookie of this name, as a bit mask by position.
    exact: HashMap<Box<[u8]>, u64, RandomState>,
    /// The sources for name prefixes, by the first byte of the prefix.
    prefixes: HashMap<u8, Vec<(Box<[u8]>, u64)>, RandomState>,
}

/// One of the sources.
#[derive(Debug)]
pub(super) struct AutoSource {
    pub(super) source: Box<dyn ConsentSource>,
    /// Whether its grants count. Refusals always do.
    pub(super) grants: bool,
}

impl Auto {
    /// Builds the source from at most 64 sources.
    pub(super) fn new(sources: Vec<AutoSource>) -> Self {
        let mut auto = Self { sources, exact: HashMap::default(), prefixes: HashMap::default() };
        for (position, AutoSource { source, .. }) in auto.sources.iter().enumerate().take(64) {
            for name in source.cookie_names() {
                let prefix = name.split(['*', '{']).next().unwrap_or_default().as_bytes();
                match prefix.first() {
                    Some(first) if prefix.len() < name.len() => {
                        let prefixes = auto.prefixes.entry(*first).or_default();
                        prefixes.push((prefix.into(), 1 << position));
                    }
                    _ => *auto.exact.entry(name.into_bytes().into()).or_default() |= 1 << position,
                }
            }
        }
        auto
    }

    fn concerned(&self, name: &[u8]) -> u64 {
        let exact = self.exact.get(name).copied().unwrap_or(0);
        let prefixes = name.first().and_then(|first| self.prefixes.get(first));
        let prefixes = prefixes.into_iter().flatten();
        let begin_so = prefixes.filter(|(prefix, _)| name.starts_with(prefix));
        begin_so.fold(exact, |all, (_, source)| all | source)
    }
}

impl ConsentSource for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn cookie_names(&self) -> Vec<String> {
        self.sources.iter().flat_map(|auto| auto.source.cookie_names()).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let concerned = cookies.pairs().fold(0, |all, pair| all | self.concerned(pair.name));
        // Decisions of two tools are combined like copies of one decision: refusals win.
        let asked = self.sources.iter().enumerate().take(64);
        let asked = asked.filter(|(position, _)| concerned & (1 << position) != 0);
        let readings = asked.map(|(_, AutoSource { source, grants })| {
            let reading = source.read(cookies, categories).by(source.name());
            if *grants { reading } else { reading.refusals_only() }
        });
        readings.fold(Reading::NoDecision, Reading::and)
    }
}
