//! The guard's script: which names a page's scripts may store under, as the catalogue knows them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::catalogue::names::{presumption_expressions, record_expressions};
use crate::catalogue::{CookieRule, LIST_COOKIE, Sight};
use crate::config::settings::FilterSettings;
use crate::consent::sources::Native;
use crate::policy::Unclassified;

/// The script of a site, and what its URL is told apart by when it changes.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: Bytes,
    /// The same in gzip.
    pub(super) gzip: Option<Bytes>,
    pub(super) version: String,
}

/// Compiles the site's catalogue into the script.
pub(super) fn script(settings: &FilterSettings) -> Script {
    let catalogue = &settings.policy.catalogue;
    let categories: Vec<&str> = settings.reader.categories.iter().map(|(_, name)| name).collect();
    let mut exact = vec![Vec::new(); categories.len()];
    let mut wild: Vec<&CookieRule> = Vec::new();
    let rules = (0..catalogue.cookie_rules()).filter_map(|number| catalogue.cookie_rule(number));
    for rule in rules {
        let name = rule.pattern.as_str();
        if !rule.pattern.is_exact() {
            // A script cannot write what its rule requires to be HttpOnly.
            if rule.requires.as_ref().is_none_or(|requires| !requires.http_only) {
                wild.push(rule);
            }
        } else if let Some(in_force) = catalogue.cookie_in(name.as_bytes(), &Sight::script())
            // The rule that wins, whoever wrote it: a site's wildcard may win over a built-in name.
            && let Some(names) = exact.get_mut(in_force.entry.category.index())
        {
            names.push(name);
        }
    }
    // Of several that fit, the first: a later tier before an earlier, rules without conditions before others, the
    // longer before the shorter.
    wild.sort_by_key(|rule| {
        let unconditional = rule.requires.is_none();
        std::cmp::Reverse((rule.tier, unconditional, rule.pattern.as_str().len(), rule.number))
    });
    let exact: Vec<String> = exact
        .into_iter()
        .map(|mut names| {
            names.sort_unstable();
            names.dedup();
            names.join(" ")
        })
        .collect();
    let wild: Vec<_> =
        wild.iter().map(|rule| (rule.pattern.regex(), rule.entry.category.index())).collect();
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
