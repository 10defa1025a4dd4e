//! Every consent source on arbitrary octets: nothing panics, necessary is always granted, and what is
//! not decided grants nothing else.

#![no_main]

use std::sync::LazyLock;

use consentry::config::{self, Config, Overrides};
use consentry::consent::{Category, CategorySet, Signals};
use consentry::cookie::Cookies;
use libfuzzer_sys::fuzz_target;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let toml = "[consent]\nsources = ['auto']\nmax_age_days = 36500\n[[site]]\nupstream = 'http://127.0.0.1:1'";
    config::parse(toml, None, &Overrides::default()).expect("a valid config")
});

fuzz_target!(|octets: &[u8]| {
    let reader = &CONFIG.sites[0].filter.reader;
    let consent = reader.read(&Cookies::new([octets]), Signals::default(), None, 1_796_083_200);
    assert!(consent.granted.contains(Category::NECESSARY));
    assert!(consent.is_decided() || consent.granted == CategorySet::NECESSARY);
    let twice = [octets, b"; ", octets].concat();
    let both = reader.read(&Cookies::new([&twice[..]]), Signals::default(), None, 1_796_083_200);
    assert!(both.granted.difference(consent.granted) == CategorySet::EMPTY || octets.contains(&b';'), "a copy grants nothing more");
});
