//! Guard script: restricts the names under which page scripts may store data, according to the
//! catalogue.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::catalogue::names::{presumption_expressions, record_expressions};
use crate::catalogue::{CookieContext, LIST_COOKIE};
use crate::config::settings::FilterSettings;
use crate::consent::sources::Native;
use crate::policy::Unclassified;

/// The script of a site, with a version for its URL.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: Bytes,
    /// The gzip-compressed script.
    pub(super) gzip: Option<Bytes>,
    pub(super) version: String,
}

/// Compiles the site's catalogue into the script.
pub(super) fn script(settings: &FilterSettings) -> Script {
    let catalogue = &settings.policy.catalogue;
    let categories: Vec<&str> = settings.reader.categories.iter().map(|(_, name)| name).collect();
    let mut exact = vec![Vec::new(); categories.len()];
    // The first matching pattern wins.
    let mut wild = Vec::new();
    for rule in catalogue.cookie_rules_by_precedence() {
        let name = rule.pattern.as_str();
        if !rule.pattern.is_exact() {
            // Scripts cannot set cookies that the rule requires to be HttpOnly.
            if rule.requires.as_ref().is_none_or(|requires| !requires.http_only) {
                wild.push((rule.pattern.regex(), rule.entry.category.index()));
            }
        } else if let Some(in_force) = catalogue.cookie_in(name.as_bytes(), &CookieContext::script())
            // Looks up the effective rule: a site's wildcard can take precedence over a built-in
            // name.
            && let Some(names) = exact.get_mut(in_force.entry.category.index())
        {
            names.push(name);
        }
    }
    let exact: Vec<String> = exact
        .into_iter()
        .map(|mut names| {
            names.sort_unstable();
            names.dedup();
            names.join(" ")
        })
        .collect();
    let (records, identifiers) = record_expressions();
    let [tokens, logins, tracking] = presumption_expressions();
    let presumes = settings.policy.presumes();
    let own = [
        settings.reader.reads_own_cookie().then_some(Native::COOKIE),
        presumes.then_some(LIST_COOKIE),
    ];
    let own: Vec<&str> = own.into_iter().flatten().collect();
    let data = serde_json::json!({
        "categories": categories,
        "exact": exact,
        "wild": wild,
        "records": records,
        "identifiers": identifiers,
        "tokens": tokens,
        "logins": logins,
        "tracking": tracking,
        "unclassified": settings.policy.unclassified == Unclassified::Allow,
        "presumes": presumes,
        "own": own,
    });
    let text = include_str!("script/guard.js").replace("DATA", &data.to_string());
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let version = format!("{:016x}", hasher.finish());
    Script { version, gzip: gzip(text.as_bytes()), text: Bytes::from(text) }
}

fn gzip(text: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Overrides, parse};

    /// The category index that the script finds for a name: exact names first, then patterns in
    /// order.
    fn found_by_script(text: &str, name: &str) -> Option<usize> {
        let data = text.split_once(", own } = ").and_then(|(_, rest)| rest.split_once(";\n"));
        let data: serde_json::Value =
            serde_json::from_str(data.expect("the data").0).expect("JSON");
        let exact = data["exact"].as_array().expect("names by category");
        let is_listed = |names: &serde_json::Value| {
            names.as_str().is_some_and(|names| names.split(' ').any(|known| known == name))
        };
        exact.iter().position(is_listed).or_else(|| {
            let patterns = data["wild"].as_array().expect("patterns");
            patterns.iter().find_map(|pattern| {
                let source = pattern[0].as_str()?.replace("[^]", "(?s:.)");
                let regex = regex_lite::Regex::new(&format!("^(?:{source})$")).expect("valid");
                regex.is_match(name).then(|| pattern[1].as_u64())??.try_into().ok()
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_guard_script_matches_the_same_rule_as_the_filter(
            rules in proptest::collection::vec(("[qz]{0,2}[*]?[qz]{1,2}[*]?", 0..4_usize, any::<bool>()), 1..8),
            names in proptest::collection::vec("[qz]{1,5}", 1..8),
        ) {
            let categories = ["functional", "analytics", "targeting", "social"];
            let list = |of_site: bool| -> String {
                // Duplicate rules are rejected.
                let rules = rules.iter().enumerate().filter(|(at, (name, _, site))| {
                    *site == of_site && !rules[..*at].iter().any(|(other, _, site)| other == name && *site == of_site)
                });
                let table = if of_site { "site.cookie" } else { "cookie" };
                let rule = |(_, (name, category, _)): (usize, &(String, usize, bool))| {
                    format!("[[{table}]]\nname = '{name}'\ncategory = '{}'\n", categories[*category])
                };
                rules.map(rule).collect()
            };
            let toml = format!("{}[[site]]\nupstream = 'http://a'\n{}", list(false), list(true));
            let config = parse(&toml, None, &Overrides::default()).expect("valid");
            let settings = &config.sites[0].filter;
            let script = script(settings);
            let text = std::str::from_utf8(&script.text).expect("text");
            for name in names.iter().map(String::as_str).chain(["_ga", "csrftoken", "_gat_x"]) {
                let rule = settings.policy.catalogue.cookie_in(name.as_bytes(), &CookieContext::script());
                let by_filter = rule.map(|rule| rule.entry.category.index());
                prop_assert_eq!(found_by_script(text, name), by_filter, "{} {}", name, toml);
            }
        }
    }
}
