//! One consent source on arbitrary octets; the target's name is the source's. A strict reader of its own is
//! the oracle: the source grants nothing that the text does not say. Necessary is always granted, what is not
//! decided grants nothing else, and a copy of the cookie grants nothing more.

#![no_main]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use consentry::config::{self, Config, Overrides};
use consentry::consent::{Category, CategorySet, Signals};
use consentry::cookie::Cookies;
use libfuzzer_sys::fuzz_target;

const SOURCE: &str = env!("CARGO_BIN_NAME");
const NOW: i64 = 1_796_083_200;

/// What the config adds to the map: the ids of tools whose ids are the site's own.
static MAP: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let ids = [("stats", "analytics"), ("ads", "targeting"), ("c1", "analytics"), ("c2", "targeting"), ("2", "functional")];
    let named = ids.map(|(id, category)| (id.to_owned(), vec![category.to_owned()]));
    if SOURCE == "consentry" { BTreeMap::new() } else { named.into() }
});

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let map: Vec<String> = MAP.iter().map(|(id, names)| format!("\"{id}\" = {names:?}")).collect();
    let table = if SOURCE == "consentry" { String::new() } else { format!("[consent.{SOURCE}]\nmap = {{ {} }}\n", map.join(", ")) };
    let toml = format!(
        "[consent]\nsources = ['{SOURCE}']\nmax_age_days = 36500\n{table}[[site]]\nupstream = 'http://127.0.0.1:1'"
    );
    config::parse(&toml, None, &Overrides::default()).expect("a valid config")
});

fuzz_target!(|octets: &[u8]| {
    let reader = &CONFIG.sites[0].filter.reader;
    let read = |octets: &[u8]| reader.read(&Cookies::new([octets]), Signals::default(), None, NOW);
    let consent = read(octets);
    assert!(consent.granted.contains(Category::NECESSARY));
    assert!(consent.is_decided() || consent.granted == CategorySet::NECESSARY);
    let most = oracle::at_most(SOURCE, octets, &MAP);
    for name in reader.categories.names_of(consent.granted).into_iter().skip(1) {
        assert!(most.contains(name), "{name} is granted and not said");
    }
    if !octets.contains(&b';') {
        let twice = [octets, b"; ", octets].concat();
        assert!(read(&twice).granted.difference(consent.granted) == CategorySet::EMPTY, "a copy grants more");
    }
});
