//! Each consent source against an independent strict reader: whatever happens to a consent cookie, no source grants
//! anything that the text does not contain.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "oracle/mod.rs"]
mod strict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use consentry::config::{self, Overrides};
use consentry::consent::sources::names;
use consentry::consent::{ConsentReader, Signals};
use consentry::cookie::Cookies;
use proptest::prelude::*;
use std::sync::Arc;

const SAMPLES: &str = concat!(
    include_str!("data/consent-samples.jsonl"),
    include_str!("data/more-consent-samples.jsonl")
);

struct Sample {
    tool: String,
    header: Vec<u8>,
    map: BTreeMap<String, Vec<String>>,
    reader: Arc<ConsentReader>,
}

impl Sample {
    fn new(line: &str) -> Option<Self> {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        let tool = sample["cmp"].as_str().unwrap().to_owned();
        if matches!(tool.as_str(), "auto" | "generic") {
            return None;
        }
        let mut map = BTreeMap::new();
        for (id, categories) in sample["config"]["map"].as_object().into_iter().flatten() {
            let categories = match categories {
                serde_json::Value::Array(names) => {
                    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
                }
                name => vec![name.as_str().unwrap().to_owned()],
            };
            map.insert(id.clone(), categories);
        }
        let entries: Vec<String> =
            map.iter().map(|(id, categories)| format!("\"{id}\" = {categories:?}")).collect();
        let toml = format!(
            "catalogue = []\n[consent]\nsources = ['{tool}']\nmax_age_days = 36500\n[consent.{tool}]\nmap = {{ {} }}\n[[site]]\nupstream = 'http://a'",
            entries.join(", ")
        );
        let toml = toml.replace("[consent.consentry]\nmap = {  }\n", "");
        let config = config::parse(&toml, None, &Overrides::default()).unwrap();
        let reader = Arc::clone(&config.sites[0].filter.reader);
        let header = sample["cookie_header"].as_str().unwrap().as_bytes().to_vec();
        Some(Self { tool, header, map, reader })
    }

    fn granted(&self, header: &[u8]) -> BTreeSet<String> {
        let cookies = Cookies::new([header]);
        let consent = self.reader.read(&cookies, Signals::default(), None, 1_796_083_200);
        let names = self.reader.categories.names_of(consent.granted).into_iter();
        names.filter(|name| *name != "necessary").map(str::to_owned).collect()
    }

    fn check(&self, header: &[u8]) {
        let granted = self.granted(header);
        let most = strict::maximum_grants(&self.tool, header, &self.map);
        assert!(
            granted.is_subset(&most),
            "{} grants {granted:?}, and the text says {most:?}: {}",
            self.tool,
            header.escape_ascii()
        );
    }
}

static ALL: LazyLock<Vec<Sample>> =
    LazyLock::new(|| SAMPLES.lines().filter_map(Sample::new).collect());

#[test]
fn the_strict_parser_covers_every_source_and_grants_each_sample() {
    let known: BTreeSet<&str> = strict::tools().collect();
    let sources: BTreeSet<&str> =
        names().filter(|name| !matches!(*name, "auto" | "generic")).collect();
    assert_eq!(known, sources);
    ALL.iter().for_each(|sample| sample.check(&sample.header));
}

/// Checks the strict reader: for samples with a refusal it allows less than everything.
#[test]
fn the_strict_parser_is_strict() {
    let strict = ALL.iter().filter(|sample| {
        strict::maximum_grants(&sample.tool, &sample.header, &sample.map).len() < 4
    });
    assert!(strict.count() > 80);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn no_source_grants_more_for_a_mangled_cookie(
        which in 0..ALL.len(),
        other in 0..ALL.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..6_usize, any::<u8>(), 0..6_u8), 1..4),
    ) {
        let sample = &ALL[which];
        let mut header = sample.header.clone();
        for (at, length, octet, kind) in edits {
            let at = at.index(header.len() + 1);
            let end = (at + length).min(header.len());
            match kind {
                0 => { header.splice(at..end, [octet]); }
                1 => header.truncate(at),
                2 => { header.splice(at..end, []); }
                // Flipped bits, repeated parts, excess encoding, and a second cookie.
                3 => if let Some(flipped) = header.get_mut(at) { *flipped ^= 1 << (octet % 8) },
                4 => { let again = header[at..end].to_vec(); header.splice(at..at, again); }
                _ => { let rest = &ALL[other].header; header.extend(b"; ".iter().chain(rest)); }
            }
        }
        sample.check(&header);
    }

    #[test]
    fn no_source_grants_more_for_a_double_encoded_cookie(which in 0..ALL.len()) {
        let sample = &ALL[which];
        let again = percent_encoding::percent_encode(&sample.header, percent_encoding::CONTROLS).to_string().replace('%', "%25");
        sample.check(again.as_bytes());
    }
}
