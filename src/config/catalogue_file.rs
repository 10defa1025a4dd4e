//! Catalogue rules in TOML: the built-in files, the user's files, and the config's `[[cookie]]`, `[[beacon]]` and
//! `[[host]]` tables.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;

use super::document::{Document, nearest, span};
use super::raw::{RawBeacon, RawCatalogue, RawCookie, RawHost, RawRequires};
use crate::catalogue::{
    BeaconRule, Companion, CookieRule, Entry, HostRule, Pattern, Requires, RulePriority, RuleScope,
    RuleSet, builtin, rule_path,
};
use crate::config::spanned::Spanned;
use crate::consent::{Categories, Category};
use crate::cookie::registrable_domain;

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
    /// Compiles the rules for all sites.
    pub(super) fn compile(&self) -> RuleSet {
        let Self { cookies, beacons, hosts } = self.clone();
        RuleSet::compile(cookies, beacons, hosts)
    }

    /// The TCF vendor ids in the rules, with duplicates.
    pub(super) fn tcf_vendors(&self) -> impl Iterator<Item = (u16, Category)> {
        let cookies = self.cookies.iter().map(|rule| &rule.entry);
        let entries = cookies.chain(self.beacons.iter().map(|rule| &rule.entry));
        entries.filter_map(|entry| Some((entry.tcf_vendor?, entry.category)))
    }

    /// Adds the built-in catalogue. It uses the five default categories, so none is unknown.
    pub(super) fn add_builtin<T>(&mut self, report: &mut Document<'_, T>, tier: RulePriority) {
        for (file, text) in builtin::FILES {
            self.add_file(report, file, text, tier, &Categories::default());
        }
    }

    /// Adds a catalogue file. Problems are added to `report`.
    pub(super) fn add_file<T>(
        &mut self,
        report: &mut Document<'_, T>,
        file: &str,
        text: &str,
        tier: RulePriority,
        categories: &Categories,
    ) {
        let mut document = super::document::read::<RawCatalogue>(file, text);
        let raw = std::mem::take(&mut document.value);
        let rules = (raw.cookie, raw.beacon, raw.host);
        self.add(&mut document, "", rules, tier, categories);
        report.problems.append(&mut document.problems);
    }

    /// Adds the rules of one table. `key` is the path of that table, including the trailing dot.
    pub(super) fn add<T>(
        &mut self,
        document: &mut Document<'_, T>,
        key: &str,
        (cookies, beacons, hosts): RawRules,
        tier: RulePriority,
        categories: &Categories,
    ) {
        for (index, raw) in cookies.into_iter().enumerate() {
            let key = format!("{key}cookie[{index}]");
            let at = span(&raw);
            let raw = raw.into_inner();
            let category = category(document, &key, &at, raw.category, categories);
            let name = (raw.name, "name = \"_ga_*\"");
            let pattern = pattern(document, &format!("{key}.name"), &at, name, Pattern::new);
            let requires = raw.requires.map(|raw| requires(document, &key, raw));
            if let (Some(pattern), Some(category)) = (pattern, category) {
                let entry = entry(category, raw.vendor, raw.tcf_vendor, raw.purpose, raw.lifetime);
                let scope = cookie_scope(document, &key, raw.domain, raw.path);
                self.cookies.push(CookieRule { pattern, tier, number: 0, entry, scope, requires });
            }
        }
        for (index, raw) in hosts.into_iter().enumerate() {
            let key = format!("{key}host[{index}]");
            let at = span(&raw);
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
            let at = span(&raw);
            let raw = raw.into_inner();
            let category = category(document, &key, &at, raw.category, categories);
            // `/*` matches every path, which is valid for a beacon with further conditions.
            let path = (raw.path, "path = \"/pixel.gif\"");
            let path = pattern(document, &format!("{key}.path"), &at, path, rule_path);
            let method = condition(document, format!("{key}.method"), raw.method, |text| {
                Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok().ok_or("a method")
            });
            let query = condition(document, format!("{key}.query"), raw.query, parameter);
            let fetch_dest =
                condition(document, format!("{key}.fetch_dest"), raw.fetch_dest, destination);
            let content_type =
                condition(document, format!("{key}.content_type"), raw.content_type, media_type);
            if let (Some(path), Some(category)) = (path, category) {
                self.beacons.push(BeaconRule {
                    path,
                    method,
                    query,
                    fetch_dest,
                    content_type,
                    email_open: raw.email_open,
                    navigation: raw.navigation,
                    tier,
                    number: 0,
                    entry: entry(category, raw.vendor, raw.tcf_vendor, raw.purpose, None),
                });
            }
        }
    }
}

/// Parses a condition of a beacon rule into the form that requests are compared with. A value that no request can
/// have is reported.
fn condition<T, V>(
    document: &mut Document<'_, T>,
    key: String,
    text: Option<Spanned<String>>,
    read: impl Fn(&str) -> Result<V, &'static str>,
) -> Option<V> {
    let text = text?;
    match read(text.get_ref().trim()) {
        Ok(value) => Some(value),
        Err(expected) => {
            let message = format!("`{}` is not {expected}", text.get_ref());
            document.problem(Some(span(&text)), key, message, None);
            None
        }
    }
}

/// Parses and decodes a query parameter.
fn parameter(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "one parameter of a query: `key` or `key=value`";
    if text.is_empty() || text.starts_with('=') || text.contains(['?', '&', ';', '#']) {
        return Err(EXPECTED);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| EXPECTED)
}

/// Parses a value of `Sec-Fetch-Dest`: a token, converted to lower case.
fn destination(text: &str) -> Result<String, &'static str> {
    let token = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if token && !text.is_empty() {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a value of Sec-Fetch-Dest such as `image`")
    }
}

/// Parses a media type without its parameters.
fn media_type(text: &str) -> Result<String, &'static str> {
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((kind, subtype))
            if !kind.is_empty() && !subtype.is_empty() && !subtype.contains('/') =>
        {
            Ok(essence.to_ascii_lowercase())
        }
        _ => Err("a media type such as `text/plain`"),
    }
}

/// Looks up the category that a key names. Problems are added to `document`.
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
        document.problem(Some(span(name)), key.to_owned(), message, Some(hint));
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

/// Parses the pattern of a key.
fn pattern<T, E: std::fmt::Display>(
    document: &mut Document<'_, T>,
    key: &str,
    at: &std::ops::Range<usize>,
    (text, example): (Option<Spanned<String>>, &str),
    read: impl Fn(&str) -> Result<Pattern, E>,
) -> Option<Pattern> {
    let Some(text) = text else {
        document.missing(at.clone(), key.to_owned(), example);
        return None;
    };
    match read(text.get_ref()) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            document.problem(Some(span(&text)), key.to_owned(), error.to_string(), None);
            None
        }
    }
}

fn requires<T>(document: &mut Document<'_, T>, key: &str, raw: RawRequires) -> Box<Requires> {
    let days = format!("{key}.requires.max_days");
    let max_days = raw.max_days.map(|most| document.bounded(&days, Some(most), 0, 36_500, 0));
    let mut with = Vec::new();
    for (index, name) in raw.with.iter().enumerate() {
        match Companion::new(name.get_ref()) {
            Some(companion) => with.push(companion),
            None => document.problem(
                Some(span(name)),
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
        let hint = Some("\"tracker.example\", which includes all subdomains".to_owned());
        document.problem(Some(span(&name)), key.to_owned(), message, hint);
        return None;
    }
    Some(host)
}

/// The domain and path of a rule's cookies.
fn cookie_scope<T>(
    document: &mut Document<'_, T>,
    key: &str,
    domain: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
) -> Option<RuleScope> {
    if domain.is_none() && path.is_none() {
        return None;
    }
    let domain = domain.map(|typed| {
        let text = typed.get_ref();
        let domain = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
        if registrable_domain(&domain).is_none() {
            let message = format!("`{text}` is not a domain that a cookie can be set for");
            let hint = Some("domain = \"example.com\"".to_owned());
            document.problem(Some(span(&typed)), format!("{key}.domain"), message, hint);
        }
        Arc::from(domain)
    });
    let path = path.map_or_else(
        || Arc::from("/"),
        |typed| {
            let text = typed.get_ref().as_str();
            let writable = |byte: u8| byte != b';' && !byte.is_ascii_control();
            if !text.starts_with('/') || text.len() > 1024 || !text.bytes().all(writable) {
                let message =
                    format!("`{}` is not a path that a cookie can have", text.escape_debug());
                let hint = Some("path = \"/shop\"".to_owned());
                document.problem(Some(span(&typed)), format!("{key}.path"), message, hint);
            }
            Arc::from(text)
        },
    );
    Some(RuleScope { domain, path })
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
