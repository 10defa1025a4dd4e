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
    /// The sources for the literal start of a pattern.
    prefixes: Vec<Prefix>,
}

/// The start of the names that some sources read.
#[derive(Debug)]
struct Prefix {
    /// The first byte, which rules out most names without a look at the rest.
    first: u8,
    text: Box<[u8]>,
    sources: u64,
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
        let mut auto = Self { sources, exact: HashMap::default(), prefixes: Vec::new() };
        for (position, AutoSource { source, .. }) in auto.sources.iter().enumerate().take(64) {
            let bit = 1 << position;
            for name in source.cookie_names() {
                let text = name.split(['*', '{']).next().unwrap_or_default().as_bytes();
                match text.first() {
                    Some(first) if text.len() < name.len() => {
                        let covers = |prefix: &Prefix| {
                            text.starts_with(&prefix.text) && prefix.sources == bit
                        };
                        if !auto.prefixes.iter().any(covers) {
                            let prefix = Prefix { first: *first, text: text.into(), sources: bit };
                            auto.prefixes.push(prefix);
                        }
                    }
                    _ => *auto.exact.entry(name.into_bytes().into()).or_default() |= bit,
                }
            }
        }
        auto
    }

    fn concerned(&self, name: &[u8]) -> u64 {
        let exact = self.exact.get(name).copied().unwrap_or(0);
        let Some(first) = name.first() else { return exact };
        let begin_so = self
            .prefixes
            .iter()
            .filter(|prefix| prefix.first == *first && name.starts_with(&prefix.text));
        begin_so.fold(exact, |all, prefix| all | prefix.sources)
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
