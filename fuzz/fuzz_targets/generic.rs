//! A cookie of the site's own making on arbitrary octets, in each of its forms; the first octet chooses one.
//! Necessary is always granted, what is not decided grants nothing else, a copy grants nothing more, and where
//! the form names what is granted, nothing is granted whose name is not there.

#![no_main]

#[path = "../../tests/oracle/mod.rs"]
#[allow(dead_code)]
mod oracle;

use std::sync::{Arc, LazyLock};

use consentry::config::{self, Overrides};
use consentry::consent::{Category, CategorySet, ConsentReader, Signals};
use consentry::cookie::Cookies;
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_796_083_200;
const FORMS: [&str; 8] = [
    "format = 'query'",
    "format = 'list'",
    "format = 'map'",
    "format = 'map'\nseparator = '|'\ndecode = ['base64']",
    "format = 'regex'\npattern = '^stats=(?P<stats>[01]);?ads=(?P<ads>[01])'",
    "format = 'json'",
    "format = 'json'\npath = 'a.b'\ntime = 't'\ndecode = ['url', 'base64']",
    "format = 'flag'",
];
/// The forms before this one name each thing that they grant.
const NAMING: usize = 5;

static READERS: LazyLock<Vec<Arc<ConsentReader>>> = LazyLock::new(|| {
    let reader = |form: &&str| {
        let toml = format!(
            "[consent]\nsources = ['generic']\nmax_age_days = 36500\n[consent.generic]\ncookie = 'mine'\n{form}\n\
             map = {{ stats = 'analytics', ads = 'targeting' }}\n[[site]]\nupstream = 'http://127.0.0.1:1'"
        );
        let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
        Arc::clone(&config.sites[0].filter.reader)
    };
    FORMS.iter().map(reader).collect()
});

fuzz_target!(|octets: &[u8]| {
    let Some((chosen, value)) = octets.split_first() else { return };
    let form = usize::from(*chosen) % FORMS.len();
    let header = [b"mine=", value].concat();
    let read = |header: &[u8]| READERS[form].read(&Cookies::new([header]), Signals::default(), None, NOW);
    let consent = read(&header);
    assert!(consent.granted.contains(Category::NECESSARY));
    assert!(consent.is_decided() || consent.granted == CategorySet::NECESSARY);
    if form < NAMING {
        let text = oracle::readings(&header);
        assert!(!consent.granted.contains(Category::ANALYTICS) || text.contains("stats"), "not said");
        assert!(!consent.granted.contains(Category::TARGETING) || text.contains("ads"), "not said");
    }
    if !octets.contains(&b';') {
        let twice = [&header[..], b"; ", &header].concat();
        assert!(read(&twice).granted.difference(consent.granted) == CategorySet::EMPTY, "a copy grants more");
    }
});
