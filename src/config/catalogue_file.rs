//! Catalogue rules as TOML: the embedded files, the user's files, and the `[[cookie]]`, `[[beacon]]` and
//! `[[host]]` of the config. One reader for all of them.

use std::sync::Arc;

use http::Method;

use super::document::{Document, nearest, place};
use super::raw::{RawBeacon, RawCatalogue, RawCookie, RawHost, RawRequires};
use crate::catalogue::{
    BeaconRule, Companion, CookieRule, Entry, HostRule, Pattern, Requires, Tier, builtin,
};
use crate::config::spanned::Spanned;
use crate::consent::{Categories, Category};

/// The cookies, beacons and hosts of one table.
pub(super) type RawRules =
    (Vec<Spanned<RawCookie>>, Vec<Spanned<RawBeacon>>, Vec<Spanned<RawHost>>);

/// The rules of one or more files.
#[derive(Debug, Default, Clone)]
pub(super) struct Rules {
    pub(super) cookies: Vec<CookieRule>,
    pub(super) beacons: Vec<BeaconRule>,
    pub(super) hosts: Vec<HostRule>,
}

impl Rules {
    /// Every vendor of the IAB's list that a rule names, as often as one does.
    pub(super) fn tcf_vendors(&self) -> impl Iterator<Item = u16> {
        let cookies = self.cookies.iter().filter_map(|rule| rule.entry.tcf_vendor);
        cookies.chain(self.beacons.iter().filter_map(|rule| rule.entry.tcf_vendor))
    }

    /// Adds the built-in catalogue. Its categories are the five of the notice, so none is unknown.
    pub(super) fn add_builtin<T>(&mut self, report: &mut Document<'_, T>, tier: Tier) {
        for (file, text) in builtin::FILES {
            self.add_file(report, file, text, tier, &Categories::default());
        }
    }

    /// Adds a catalogue file; its problems go into `report`.
    pub(super) fn add_file<T>(
        &mut self,
        report: &mut Document<'_, T>,
        file: &str,
        text: &str,
        tier: Tier,
        categories: &Categories,
    ) {
        let mut document = super::document::read::<RawCatalogue>(file, text);
        let raw = std::mem::take(&mut document.value);
        let rules = (raw.cookie, raw.beacon, raw.host);
        self.add(&mut document, "", rules, tier, categories);
        report.problems.append(&mut document.problems);
    }

    /// Adds the rules of one table; `key` is the path of that table, with its dot.
    pub(super) fn add<T>(
        &mut self,
        document: &mut Document<'_, T>,
        key: &str,
        (cookies, beacons, hosts): RawRules,
        tier: Tier,
        categories: &Categories,
    ) {
        for (index, raw) in cookies.into_iter().enumerate() {
            let key = format!("{key}cookie[{index}]");
            let at = place(&raw);
            let raw = raw.into_inner();
            let category = category(document, &key, &at, raw.category, categories);
            let pattern =
                pattern(document, &format!("{key}.name"), &at, raw.name, "name = \"_ga_*\"");
            let requires = raw.requires.map(|raw| requires(document, &key, raw));
            if let (Some(pattern), Some(category)) = (pattern, category) {
                let entry = entry(category, raw.vendor, raw.tcf_vendor, raw.purpose, raw.lifetime);
                self.cookies.push(CookieRule { pattern, tier, number: 0, entry, requires });
            }
        }
        for (index, raw) in hosts.into_iter().enumerate() {
            let key = format!("{key}host[{index}]");
            let at = place(&raw);
            let raw = raw.into_inner();
            let category = category(document, &key, &at, raw.category, categories);
            let host = host(document, &format!("{key}.name"), &at, raw.name);
            if let (Some(host), Some(category)) = (host, category) {
                let entry = entry(category, raw.vendor, None, None, None);
                self.hosts.push(HostRule { host, tier, entry });
            }
        }
        for (index, raw) in beacons.into_iter().enumerate() {
            let key = format!("{key}beacon[{index}]");
            let at = place(&raw);
            let raw = raw.into_inner();
            let category = category(document, &key, &at, raw.category, categories);
            let path =
                pattern(document, &format!("{key}.path"), &at, raw.path, "path = \"/pixel.gif\"");
            let method = raw.method.and_then(|method| {
                let parsed = Method::from_bytes(method.get_ref().to_ascii_uppercase().as_bytes());
                if parsed.is_err() {
                    let message = format!("`{}` is not a method", method.get_ref());
                    document.problem(Some(place(&method)), format!("{key}.method"), message, None);
                }
                parsed.ok()
            });
            if let (Some(path), Some(category)) = (path, category) {
                self.beacons.push(BeaconRule {
                    path,
                    method,
                    query: raw.query,
                    fetch_dest: raw.fetch_dest,
                    content_type: raw.content_type,
                    email_open: raw.email_open,
                    tier,
                    number: 0,
                    entry: entry(category, raw.vendor, raw.tcf_vendor, raw.purpose, None),
                });
            }
        }
    }
}

/// The category that a key names; what is wrong with it goes into the document's problems.
pub(super) fn named_category<T>(
    document: &mut Document<'_, T>,
    key: &str,
    name: &Spanned<String>,
    categories: &Categories,
) -> Option<Category> {
    let found = categories.find(name.get_ref());
    if found.is_none() {
        let known: Vec<&str> = categories.iter().map(|(_, name)| name).collect();
        let hint = match nearest(name.get_ref(), known.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None => format!("the categories are {}; add others by [[category]]", known.join(", ")),
        };
        let message = format!("`{}` is not a category", name.get_ref());
        document.problem(Some(place(name)), key.to_owned(), message, Some(hint));
    }
    found
}

fn category<T>(
    document: &mut Document<'_, T>,
    key: &str,
    at: &std::ops::Range<usize>,
    name: Option<Spanned<String>>,
    categories: &Categories,
) -> Option<Category> {
    let key = format!("{key}.category");
    match name {
        Some(name) => named_category(document, &key, &name, categories),
        None => {
            document.missing(at.clone(), key, "category = \"analytics\"");
            None
        }
    }
}

fn pattern<T>(
    document: &mut Document<'_, T>,
    key: &str,
    at: &std::ops::Range<usize>,
    text: Option<Spanned<String>>,
    example: &str,
) -> Option<Pattern> {
    let Some(text) = text else {
        document.missing(at.clone(), key.to_owned(), example);
        return None;
    };
    let mut problem = |message: String| {
        document.problem(Some(place(&text)), key.to_owned(), message, None);
        None
    };
    if key.ends_with(".path") && !text.get_ref().starts_with(['/', '*']) {
        return problem("a path starts with `/` (or with `*` for any folder)".to_owned());
    }
    // `/*` is every path: fine for a beacon that further conditions narrow down.
    Pattern::new(text.get_ref()).map_or_else(|error| problem(error.to_string()), Some)
}

fn requires<T>(document: &mut Document<'_, T>, key: &str, raw: RawRequires) -> Box<Requires> {
    let days = format!("{key}.requires.max_days");
    let max_days = raw.max_days.map(|most| document.bounded(&days, Some(most), 0, 36_500, 0));
    let mut with = Vec::new();
    for (index, name) in raw.with.iter().enumerate() {
        match Companion::new(name.get_ref()) {
            Some(companion) => with.push(companion),
            None => document.problem(
                Some(place(name)),
                format!("{key}.requires.with[{index}]"),
                format!("`{}` is not a name with at most one `*`", name.get_ref()),
                None,
            ),
        }
    }
    Box::new(Requires { http_only: raw.http_only, max_days, with })
}

fn host<T>(
    document: &mut Document<'_, T>,
    key: &str,
    at: &std::ops::Range<usize>,
    name: Option<Spanned<String>>,
) -> Option<String> {
    let Some(name) = name else {
        document.missing(at.clone(), key.to_owned(), "name = \"tracker.example\"");
        return None;
    };
    let host = name.get_ref().to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || host.starts_with('.') || !host.bytes().all(plain) {
        let message = format!("`{}` is not a host", name.get_ref());
        let hint = Some("\"tracker.example\", which is everything below it too".to_owned());
        document.problem(Some(place(&name)), key.to_owned(), message, hint);
        return None;
    }
    Some(host)
}

fn entry(
    category: Category,
    vendor: Option<String>,
    tcf_vendor: Option<u16>,
    purpose: Option<String>,
    lifetime: Option<String>,
) -> Entry {
    let shared = |text: Option<String>| text.map(Arc::from);
    Entry {
        category,
        vendor: shared(vendor),
        tcf_vendor,
        purpose: shared(purpose),
        lifetime: shared(lifetime),
    }
}
