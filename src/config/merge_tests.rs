//! Tests of the merge of site settings with top-level settings, for every key that both may have. The keys come
//! from the schema: a new key without values below fails a test.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Diagnostic, Overrides, parse, schema};
use crate::consent::sources;

/// A key that a site and the top level may have, with two values.
struct Key {
    path: String,
    values: [String; 2],
    /// Top-level lines that the key needs to have an effect.
    needs: String,
    /// Whether the key can be combined with the first values of all other keys.
    joins: bool,
}

/// Tables and lists of a site that are not merged key by key: rules, and settings that only a site has.
const NOT_MERGED: [&str; 11] = [
    "beacon",
    "balance",
    "cookie",
    "health",
    "host",
    "hosts",
    "name",
    "parameter",
    "paths",
    "sticky_cookie",
    "upstream",
];

const UPSTREAMS: [&str; 2] = ["http://127.0.0.1:1", "https://127.0.0.1:1"];

/// Each key with two values, and the lines that it needs.
const VALUES: &[(&str, [&str; 2], &str)] = &[
    ("mode", ["'observe'", "'enforce'"], ""),
    ("unclassified", ["'allow'", "'block'"], ""),
    ("forwarded_for", ["'network'", "'none'"], ""),
    ("url_identifiers", ["'off'", "'redirect'"], ""),
    ("max_cookie_lifetime", ["{ analytics = '7d' }", "{ analytics = '8d' }"], ""),
    ("limits.body_bytes", ["7", "8"], ""),
    ("limits.concurrent_requests", ["7", "8"], ""),
    ("limits.queue", ["7", "8"], ""),
    ("limits.queue_timeout", ["'7s'", "'8s'"], ""),
    ("limits.requests_per_second", ["7", "8"], ""),
    ("limits.burst", ["17", "18"], ""),
    ("banner.enabled", ["true", "false"], ""),
    ("banner.position", ["'top'", "'bottom'"], "banner.enabled = true"),
    ("banner.colours", ["{ text = '#111' }", "{ text = '#222' }"], "banner.enabled = true"),
    ("page.guard", ["true", "false"], ""),
    ("centre.language", ["'de'", "'fr'"], ""),
    ("centre.locales", ["'one'", "'two'"], ""),
    ("centre.api", ["true", "false"], ""),
    ("centre.bridge", ["true", "false"], ""),
    ("centre.controller", ["'One Ltd'", "'Two Ltd'"], ""),
    ("centre.contact", ["'one@shop.example'", "'/two'"], ""),
    ("centre.privacy_policy", ["'/one'", "'/two'"], ""),
    ("centre.imprint", ["'/one'", "'https://two.example'"], ""),
    ("centre.consent_tool", ["'/one'", "'/two'"], ""),
    ("centre.earlier_notices", ["[2017-01-01]", "[2016-01-01, 2015-01-01]"], ""),
    ("upstream_tls.ca_file", ["'one.pem'", "'both.pem'"], ""),
    ("upstream_tls.server_name", ["'one.example'", "'two.example'"], ""),
    ("upstream_tls.insecure_skip_verify", ["true", "false"], ""),
    ("upstream_tls.http2", ["false", "true"], ""),
    ("consent.sources", ["['consentry', 'klaro', 'generic']", "['consentry', 'tcf']"], ""),
    ("consent.default", ["'allow'", "'deny'"], ""),
    ("consent.gpc", ["'deny'", "'ignore'"], ""),
    ("consent.gpc_categories", ["['social']", "['analytics']"], ""),
    ("consent.gpc_json", ["false", "true"], ""),
    ("consent.dnt", ["'deny'", "'ignore'"], ""),
    ("consent.dnt_categories", ["['social']", "['analytics']"], ""),
    ("consent.region.header", ["'X-One'", "'X-Two'"], ""),
    (
        "consent.region.regions",
        ["{ US = 'allow' }", "{ US = 'deny' }"],
        "consent.region.header = 'X'",
    ),
    ("consent.forward_header", ["'X-One'", "'X-Two'"], ""),
    ("consent.max_age_days", ["70", "80"], ""),
    ("consent.ask_again_days", ["270", "280"], ""),
    ("consent.notice_date", ["2020-01-01", "2021-01-01"], ""),
    ("consent.cookie_domain", ["'example.com'", "'shop.example.com'"], ""),
    ("consent.key_file", ["'one.keys'", "'two.keys'"], ""),
    ("consent.generic.map", ["{ a = 'analytics' }", "{ a = 'social' }"], GENERIC),
    ("consent.generic.cookie", ["'one'", "'two'"], GENERIC),
    ("consent.generic.format", ["'list'", "'map'"], GENERIC),
    ("consent.generic.decode", ["['url']", "['base64']"], GENERIC),
    ("consent.generic.path", ["'one'", "'two'"], GENERIC),
    ("consent.generic.id", ["'one'", "'two'"], GENERIC_JSON),
    ("consent.generic.answer", ["'one'", "'two'"], GENERIC_JSON),
    ("consent.generic.time", ["'one'", "'two'"], GENERIC),
    ("consent.generic.separator", ["'|'", "';'"], GENERIC),
    ("consent.generic.pattern", ["'(?P<a>1)'", "'(?P<a>2)'"], REGEX),
    ("consent.generic.truthy", ["['one']", "['two']"], GENERIC),
];

const GENERIC: &str = "consent.sources = ['generic']";
const GENERIC_JSON: &str = "consent.sources = ['generic']\nconsent.generic.format = 'json'";
const REGEX: &str = "consent.sources = ['generic']\nconsent.generic.format = 'regex'";
/// Keys whose first value excludes that of another key.
const ALONE: [&str; 4] =
    ["consent.generic.pattern", "consent.generic.id", "consent.generic.answer", "consent.sources"];

/// Two values for a key of a source's table.
fn source_values(name: &str, key: &str) -> [String; 2] {
    // Ids known to the IAB sources.
    let map = |category: &str| format!("{{ sale = '{category}', '1' = '{category}' }}");
    let [one, two] = match key {
        "map" => return [map("analytics"), map("social")],
        "cookie" => ["'one'", "'two'"],
        "revision" => ["3", "4"],
        "implied" => ["'ignore'", "'accept'"],
        "dismiss_grants" => ["true", "false"],
        "require_alert_box_closed" => ["false", "true"],
        _ => panic!("no values for consent.{name}.{key}"),
    };
    [one.to_owned(), two.to_owned()]
}

fn keys() -> Vec<Key> {
    let of_values = VALUES.iter().map(|(path, values, needs)| Key {
        path: (*path).to_owned(),
        values: values.map(str::to_owned),
        needs: (*needs).to_owned(),
        joins: !ALONE.contains(path),
    });
    let named = sources::TOOLS.iter().filter(|tool| !matches!(tool.name, "consentry" | "generic"));
    let of_sources = named.flat_map(|tool| {
        let name = tool.name;
        let map = tool.has_ids.then_some("map");
        let keys = map.into_iter().chain(tool.keys.iter().copied());
        keys.map(move |key| Key {
            path: format!("consent.{name}.{key}"),
            values: source_values(name, key),
            needs: format!("consent.sources = ['{name}']"),
            joins: true,
        })
    });
    of_values.chain(of_sources).collect()
}

/// Collects the paths of the keys in a table of the schema.
fn paths(root: &Value, table: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (name, property) in table["properties"].as_object().expect("a table") {
        let choices = property["anyOf"].as_array().into_iter().flatten();
        let target = choices.chain([property]).find_map(|choice| choice["$ref"].as_str());
        let target = target.map(|name| &root["$defs"][name.trim_start_matches("#/$defs/")]);
        let path = format!("{prefix}{name}");
        match target.filter(|target| target["properties"].is_object()) {
            Some(target) => paths(root, target, &format!("{path}."), found),
            None => drop(found.insert(path)),
        }
    }
}

#[test]
fn every_key_shared_by_site_and_top_level_is_covered() {
    let schema = schema();
    let (mut of_site, mut global) = (BTreeSet::new(), BTreeSet::new());
    paths(&schema, &schema["$defs"]["Site"], "", &mut of_site);
    paths(&schema, &schema, "", &mut global);
    let known: BTreeSet<String> = keys().into_iter().map(|key| key.path).collect();
    let first = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    of_site.retain(|path| !NOT_MERGED.contains(&first(path).as_str()));
    // Excluded: the prefix, which all sites share. Keys of other sources, and maps of sources without ids, which
    // are rejected or reported. A client certificate and its key, which belong together.
    let refused = |path: &String| {
        let mut parts = path.split('.').skip(1);
        let source = parts.next().zip(parts.next());
        let source = source.filter(|(name, _)| sources::names().any(|known| known == *name));
        source.is_some_and(|(name, key)| {
            let is_taken = sources::tool(name).is_none_or(|tool| {
                if key == "map" { tool.has_ids } else { tool.keys.contains(&key) }
            });
            name != "generic" && !is_taken
        })
    };
    of_site.retain(|path| {
        !refused(path) && path != "centre.prefix" && !path.starts_with("upstream_tls.client_")
    });
    assert_eq!(of_site.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(known.difference(&of_site).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(of_site.difference(&global).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Creates a directory with the files that the keys name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("one.keys", &"1".repeat(32));
    write("two.keys", &format!("{}\n{}", "2".repeat(32), "3".repeat(32)));
    write("one/de.toml", "notice_title = 'one'");
    write("two/de.toml", "notice_title = 'two'");
    let key = rcgen::KeyPair::generate().expect("a key");
    write("key.pem", &key.serialize_pem());
    let mut both = String::new();
    for name in ["one", "two"] {
        let names = vec![format!("{name}.example")];
        let made = rcgen::CertificateParams::new(names).expect("names");
        let made = made.self_signed(&key).expect("a certificate").pem();
        write(&format!("{name}.pem"), &made);
        both.push_str(&made);
    }
    write("both.pem", &both);
    folder
}

/// The resolved site as sorted parts, because maps are printed in random order.
fn resolved(
    folder: &tempfile::TempDir,
    global: &str,
    site: &str,
) -> Result<Vec<String>, Vec<Diagnostic>> {
    let toml = format!(
        "catalogue = []\n{global}\n[[site]]\nhosts = ['a.shop.example.com']\nupstream = {UPSTREAMS:?}\n{site}\n"
    );
    let path = folder.path().join("consentry.toml");
    let config =
        parse(&toml, Some(&path), &Overrides::default()).map_err(|error| error.problems)?;
    let text = format!("{:?}", config.sites);
    let mut parts: Vec<String> = text
        .split([',', '{', '}', '[', ']', '(', ')'])
        .map(|part| part.trim().to_owned())
        .collect();
    parts.sort();
    Ok(parts)
}

fn line(key: &Key, value: usize) -> String {
    format!("{} = {}\n", key.path, key.values[value])
}

/// The resolved site if each key has one of its values at the top level and in the site.
fn all(
    folder: &tempfile::TempDir,
    keys: &[Key],
    global: Option<usize>,
    site: Option<usize>,
) -> Vec<String> {
    let of = |value: Option<usize>| -> String {
        value.map(|value| keys.iter().map(|key| line(key, value)).collect()).unwrap_or_default()
    };
    let resolved = resolved(folder, &(sources_in_order() + &of(global)), &of(site));
    resolved.unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// All sources but `auto`, which includes all the others.
fn sources_in_order() -> String {
    let named: Vec<_> = sources::TOOLS.iter().map(|tool| tool.name).collect();
    format!("consent.sources = {named:?}\n")
}

fn assert_same(found: &[String], expected: &[String], what: &str) {
    if found != expected {
        let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
        let extra: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
        panic!("{what}: without {missing:?}, with {extra:?}");
    }
}

#[test]
fn the_site_value_of_every_key_wins_in_both_directions() {
    let folder = folder();
    let keys: Vec<Key> =
        keys().into_iter().filter(|key| key.joins && key.path != "consent.default").collect();
    for (value, other) in [(0, 1), (1, 0)] {
        let expected = all(&folder, &keys, Some(value), None);
        assert_same(&all(&folder, &keys, None, Some(value)), &expected, "of the site alone");
        assert_same(&all(&folder, &keys, Some(other), Some(value)), &expected, "of both");
    }
}

#[test]
fn mutually_exclusive_keys_are_merged_like_other_keys() {
    let folder = folder();
    for key in keys().iter().filter(|key| !key.joins) {
        let of = |global: Option<usize>, site: Option<usize>| {
            let global = global.map(|value| line(key, value)).unwrap_or_default();
            let site = site.map(|value| line(key, value)).unwrap_or_default();
            let resolved = resolved(&folder, &format!("{}\n{global}", key.needs), &site);
            resolved.unwrap_or_else(|problems| panic!("{}: {problems:?}", key.path))
        };
        assert!(of(Some(0), None) != of(Some(1), None), "{} has no effect", key.path);
        for (value, other) in [(0, 1), (1, 0)] {
            let expected = of(Some(value), None);
            assert_same(&of(None, Some(value)), &expected, &key.path);
            assert_same(&of(Some(other), Some(value)), &expected, &key.path);
        }
    }
}

#[test]
fn a_site_key_does_not_reset_other_top_level_keys() {
    let folder = folder();
    let keys: Vec<Key> = keys().into_iter().filter(|key| key.joins).collect();
    let before = all(&folder, &keys, Some(0), None);
    let top = keys.iter().fold(sources_in_order(), |top, key| top + &line(key, 0));
    for key in &keys {
        let mut changed = top.replace(&line(key, 0), &line(key, 1));
        // Without a region table of its own, a site's `deny` also overrides a top-level region that allows.
        if key.path == "consent.default" {
            let kept = changed.lines().filter(|line| !line.starts_with("consent.region."));
            changed = kept.map(|line| format!("{line}\n")).collect();
        }
        let resolved = |top: &str, site: &str| {
            let resolved = resolved(&folder, top, site);
            resolved.unwrap_or_else(|problems| panic!("{}: {problems:?}", key.path))
        };
        let found = resolved(&top, &line(key, 1));
        assert!(found != before, "{} has no effect", key.path);
        assert_same(&found, &resolved(&changed, ""), &key.path);
    }
}

#[test]
fn maps_are_merged_by_entry_and_the_site_entry_wins() {
    let folder = folder();
    let keys = keys().into_iter();
    let names = ["map", "colours", "regions", "max_cookie_lifetime"];
    let maps = keys.filter(|key| names.iter().any(|end| key.path.ends_with(end)));
    let mut count = 0;
    for key in maps {
        let (entries, [one, two]) = match key.path.rsplit('.').next() {
            Some("colours") => (["text", "button"], ["'#111'", "'#222'"]),
            Some("max_cookie_lifetime") => (["analytics", "social"], ["'7d'", "'8d'"]),
            Some("regions") => (["US", "BR"], ["'allow'", "'deny'"]),
            _ => (["'1'", "sale"], ["'analytics'", "'social'"]),
        };
        let map = |of: &[(&str, &str)]| {
            let entries: Vec<String> =
                of.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("{} = {{ {} }}\n", key.path, entries.join(", "))
        };
        let top = |of: &[(&str, &str)]| format!("{}\n{}", key.needs, map(of));
        let [a, b] = entries;
        let expected = resolved(&folder, &top(&[(a, two), (b, one)]), "").expect("a valid config");
        let found = resolved(&folder, &top(&[(a, one), (b, one)]), &map(&[(a, two)]));
        assert!(found.as_ref() == Ok(&expected), "{}: {found:?}", key.path);
        let found = resolved(&folder, &top(&[(b, one)]), &map(&[(a, two)]));
        assert!(found.as_ref() == Ok(&expected), "{}: {found:?}", key.path);
        count += 1;
    }
    assert!(count > 30, "{count}");
}

#[test]
fn an_upstream_certificate_and_its_key_come_from_the_same_table() {
    let folder = folder();
    let pair = |name: &str| {
        format!("upstream_tls.client_cert = '{name}.pem'\nupstream_tls.client_key = 'key.pem'")
    };
    let of =
        |top: &str, site: &str| resolved(&folder, top, site).map_err(|problems| problems.len());
    let (one, two) = (of(&pair("one"), ""), of(&pair("two"), ""));
    assert!(one.is_ok() && two.is_ok() && one != two);
    assert!(of("", &pair("two")) == two && of(&pair("one"), &pair("two")) == two);
    for half in ["client_cert = 'two.pem'", "client_key = 'key.pem'"] {
        assert_eq!(of(&pair("one"), &format!("upstream_tls.{half}")), Err(1), "{half}");
    }
}

#[test]
fn site_rules_win_over_top_level_rules_for_every_pattern() {
    let rules = |table: &str, category: &str, wide: &str| {
        format!(
            "[[{table}cookie]]\nname = 'uid{wide}'\ncategory = '{category}'\n\
             [[{table}beacon]]\npath = '/hit{wide}'\ncategory = '{category}'\n\
             [[{table}host]]\nname = 'cdn.example'\ncategory = '{category}'\n"
        )
    };
    for (global, own) in [("", ""), ("", "*"), ("*", "")] {
        let toml = format!(
            "catalogue = []\n{}[[site]]\nupstream = 'http://127.0.0.1:1'\n{}",
            rules("", "analytics", global),
            rules("site.", "social", own),
        );
        let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
        let catalogue = &config.sites[0].filter.policy.catalogue;
        let probe = crate::catalogue::BeaconProbe {
            method: &http::Method::GET,
            host: None,
            path: "/hit",
            query: None,
            fetch_dest: None,
            content_type: None,
            fields: crate::catalogue::FieldLookup::NONE,
            body: crate::catalogue::BodyStart::Unavailable,
            navigation: false,
        };
        let social = Some(crate::consent::Category::SOCIAL);
        assert_eq!(
            catalogue.cookie(b"uid").map(|rule| rule.entry.category),
            social,
            "{global} {own}"
        );
        assert_eq!(
            catalogue.beacon(&probe).map(|rule| rule.entry.category),
            social,
            "{global} {own}"
        );
        let of_host =
            catalogue.third_party("cdn.example", "a.example", "https://cdn.example/", "image");
        assert_eq!(of_host.map(|entry| entry.category), social);
    }
}

#[test]
fn flags_win_over_mode_and_sources_of_every_site() {
    let toml = "mode = 'enforce'\nconsent.sources = ['klaro']\n[[site]]\nupstream = 'http://127.0.0.1:1'\n\
                mode = 'enforce'\nconsent.sources = ['tcf']";
    let overrides = Overrides {
        mode: Some(super::settings::Mode::Observe),
        sources: Some(vec!["osano".to_owned()]),
        ..Overrides::default()
    };
    let config = parse(toml, None, &overrides).expect("a valid config");
    let filter = &config.sites[0].filter;
    assert_eq!(filter.mode, super::settings::Mode::Observe);
    let names: Vec<_> = filter.reader.sources.iter().map(|source| source.name()).collect();
    assert_eq!(names, ["osano"]);
}
