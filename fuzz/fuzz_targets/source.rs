//! One consent source with arbitrary bytes. The first line names it: a tool, a format of `generic`, or `auto`. An
//! independent strict reader is the oracle: the source grants nothing that the text does not contain. Necessary is
//! always granted, undecided consent grants nothing else, and a copy of the cookie grants nothing more.

#![no_main]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use consentry::config::{self, Overrides};
use consentry::consent::{Category, CategorySet, ConsentReader, Signals};
use consentry::cookie::Cookies;
use libfuzzer_sys::{Corpus, fuzz_target};

const NOW: i64 = 1_796_083_200;

/// Formats of a site's own cookie, and whether a granted category occurs in the cookie by name.
const FORMS: [(&str, &str, bool); 11] = [
    ("generic-query", "format = 'query'", true),
    ("generic-list", "format = 'list'", true),
    ("generic-map", "format = 'map'", true),
    ("generic-coded", "format = 'map'\nseparator = '|'\ndecode = ['base64']", true),
    ("generic-regex", "format = 'regex'\npattern = '^stats=(?P<stats>[01]);?ads=(?P<ads>[01])'", true),
    ("generic-json", "format = 'json'", false),
    ("generic-deep", "format = 'json'\npath = 'a.b'\ntime = 't'\ndecode = ['url', 'base64']", false),
    ("generic-flag", "format = 'flag'", false),
    ("generic-nested", "format = 'json'\nid = 'id'\nanswer = 'on'", false),
    ("generic-tcf", "format = 'tcf'", false),
    ("generic-gpp", "format = 'gpp'", false),
];

/// The ids in these cookies, and their categories.
const IDS: [(&str, &str); 2] = [("stats", "analytics"), ("ads", "targeting")];

/// The entries that a config adds to the map of a tool.
type Map = BTreeMap<String, Vec<String>>;

/// The maximum that a source may grant.
enum Maximum {
    /// The result of the oracle for this tool's cookie.
    Tool(Map),
    /// The categories named by one of [`IDS`].
    Named,
    Anything,
}

struct Source {
    reader: Arc<ConsentReader>,
    most: Maximum,
}

static SOURCES: LazyLock<BTreeMap<&str, Source>> = LazyLock::new(|| {
    let tools = oracle::tools().map(|name| (name, tool(name)));
    let forms = FORMS.map(|(name, form, names)| (name, generic(form, names)));
    let auto = Source { reader: reader("auto", ""), most: Maximum::Anything };
    tools.chain(forms).chain([("auto", auto)]).collect()
});

fn reader(source: &str, tables: &str) -> Arc<ConsentReader> {
    let toml = format!("[consent]\nsources = ['{source}']\nmax_age_days = 36500\n{tables}[[site]]\nupstream = 'http://127.0.0.1:1'");
    let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
    Arc::clone(&config.sites[0].filter.reader)
}

/// The source of one tool, with a map if the tool's ids are site-specific.
fn tool(name: &str) -> Source {
    let ids = [("stats", "analytics"), ("ads", "targeting"), ("c1", "analytics"), ("c2", "targeting"), ("2", "functional")];
    let named = ids.map(|(id, category)| (id.to_owned(), vec![category.to_owned()]));
    let map: Map = if name == "consentry" { BTreeMap::new() } else { named.into() };
    let entries: Vec<String> = map.iter().map(|(id, names)| format!("\"{id}\" = {names:?}")).collect();
    let table = if map.is_empty() { String::new() } else { format!("[consent.{name}]\nmap = {{ {} }}\n", entries.join(", ")) };
    Source { reader: reader(name, &table), most: Maximum::Tool(map) }
}

fn generic(form: &str, names: bool) -> Source {
    let table = format!("[consent.generic]\ncookie = 'mine'\n{form}\nmap = {{ stats = 'analytics', ads = 'targeting' }}\n");
    let most = if names { Maximum::Named } else { Maximum::Anything };
    Source { reader: reader("generic", &table), most }
}

impl Source {
    /// The maximum that a strict reader would grant. `None` without a limit.
    fn maximum_grants(&self, name: &str, bytes: &[u8]) -> Option<BTreeSet<String>> {
        match &self.most {
            Maximum::Tool(map) => Some(oracle::maximum_grants(name, bytes, map)),
            Maximum::Named => {
                let text = oracle::readings(bytes);
                let named = IDS.iter().filter(|(id, _)| text.contains(id)).map(|(_, category)| (*category).to_owned());
                let mut named: BTreeSet<String> = named.collect();
                // Without an entry of its own, social follows targeting.
                if named.contains("targeting") {
                    named.insert("social".to_owned());
                }
                Some(named)
            }
            Maximum::Anything => None,
        }
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (name, bytes) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let known = std::str::from_utf8(name).ok().and_then(|name| SOURCES.get_key_value(name));
    let Some((name, source)) = known else { return Corpus::Reject };
    let reader = &source.reader;
    let read = |bytes: &[u8]| reader.read(&Cookies::new([bytes]), Signals::default(), None, NOW);
    let consent = read(bytes);
    assert!(consent.granted.contains(Category::NECESSARY));
    assert!(consent.is_decided() || consent.granted == CategorySet::NECESSARY);
    if let Some(most) = source.maximum_grants(name, bytes) {
        for granted in reader.categories.names_of(consent.granted).into_iter().skip(1) {
            assert!(most.contains(granted), "{granted} is granted but not in the cookie");
        }
    }
    if !bytes.contains(&b';') {
        let twice = [bytes, b"; ", bytes].concat();
        assert!(read(&twice).granted.difference(consent.granted) == CategorySet::EMPTY, "a copy grants more");
    }
    Corpus::Keep
});
