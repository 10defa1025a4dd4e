//! Catalogue rules in TOML: the built-in files, the user's files, and the config's `[[cookie]]`, `[[beacon]]`,
//! `[[host]]` and `[[parameter]]` tables.

use std::ops::Range;
use std::sync::Arc;

use http::Method;
use http::header::HeaderName;

use super::document::{Ctx, line_after, nearest, read};
use super::raw::{
    OneOrMany, RawBeacon, RawCatalogue, RawCookie, RawHost, RawParameter, RawPurpose, RawRequires,
};
use crate::catalogue::{
    BeaconRule, BodyPattern, Companion, CookieRule, Entry, HostRule, ParameterRule, Pattern,
    QueryParameter, Requires, RulePosition, RulePriority, RuleScope, RuleSet, builtin,
    form_decoded, rule_path,
};
use crate::config::spanned::{Spanned, Text};
use crate::consent::{Categories, Category};
use crate::cookie::registrable_domain;

/// Prefix of the names of built-in files.
const BUILTIN: &str = "builtin:";

/// The line of a rule in its file, from 1. `None` if the file is not readable.
pub(crate) fn line_of(position: &RulePosition) -> Option<usize> {
    let read;
    let text = match position.file.strip_prefix(BUILTIN) {
        Some(name) => builtin::FILES.iter().find(|(file, _)| *file == name)?.1,
        None => {
            read = std::fs::read_to_string(&*position.file).ok()?;
            &read
        }
    };
    text.get(..position.offset).map(line_after)
}

/// The rules of one table.
pub(super) struct RawRules {
    pub(super) cookies: Vec<Spanned<RawCookie>>,
    pub(super) beacons: Vec<Spanned<RawBeacon>>,
    pub(super) hosts: Vec<Spanned<RawHost>>,
    pub(super) parameters: Vec<Spanned<RawParameter>>,
}

/// The rules of one or more files.
#[derive(Debug, Default, Clone)]
pub(super) struct Rules {
    pub(super) cookies: Vec<CookieRule>,
    pub(super) beacons: Vec<BeaconRule>,
    pub(super) hosts: Vec<HostRule>,
    pub(super) parameters: Vec<ParameterRule>,
}

impl Rules {
    /// Compiles the rules for all sites.
    pub(super) fn compile(&self) -> RuleSet {
        let Self { cookies, beacons, hosts, parameters } = self.clone();
        RuleSet::compile(cookies, beacons, hosts).with_parameters(parameters)
    }

    /// The TCF vendor ids in the rules, with duplicates.
    pub(super) fn tcf_vendors(&self) -> impl Iterator<Item = (u16, Category)> {
        let cookies = self.cookies.iter().map(|rule| &rule.entry);
        let entries = cookies
            .chain(self.beacons.iter().map(|rule| &rule.entry))
            .chain(self.parameters.iter().map(|rule| &rule.entry));
        entries.filter_map(|entry| Some((entry.tcf_vendor?, entry.category)))
    }

    /// Adds the built-in catalogue. It uses the five default categories, so none is unknown.
    pub(super) fn add_builtin(&mut self, report: Ctx, tier: RulePriority) {
        for (file, text) in builtin::FILES {
            let file = format!("{BUILTIN}{file}");
            self.add_file(report, &file, text, tier, &Categories::default());
        }
    }

    /// Adds a catalogue file. Problems are added to `report`.
    pub(super) fn add_file(
        &mut self,
        report: Ctx,
        file: &str,
        text: &str,
        tier: RulePriority,
        categories: &Categories,
    ) {
        let (mut document, raw) = read::<RawCatalogue>(file, text);
        let rules = RawRules {
            cookies: raw.cookie,
            beacons: raw.beacon,
            hosts: raw.host,
            parameters: raw.parameter,
        };
        self.add(&mut document, rules, tier, categories);
        report.problems.append(&mut document.problems);
    }

    /// Adds the rules of one table.
    pub(super) fn add(
        &mut self,
        document: Ctx,
        RawRules { cookies, beacons, hosts, parameters }: RawRules,
        tier: RulePriority,
        categories: &Categories,
    ) {
        let file: Arc<str> = Arc::from(document.file.as_str());
        let position =
            |span: Range<usize>| Some(RulePosition { file: Arc::clone(&file), offset: span.start });
        let parameters = parameters.iter().filter_map(|rule| {
            let mut parameter = url_parameter(document, rule, tier, categories)?;
            parameter.entry.position = position(rule.span());
            Some(parameter)
        });
        self.parameters.extend(parameters);
        for rule in cookies {
            let raw = rule.get_ref();
            let category = category(document, &rule, &raw.category, categories);
            let name = required(document, &rule, "name", &raw.name, "name = \"_ga_*\"");
            let pattern = name.and_then(|name| pattern(document, name, Pattern::new));
            let requires = raw.requires.as_ref().map(|raw| requires(document, raw));
            if let (Some(pattern), Some(category)) = (pattern, category) {
                let entry = Entry {
                    category,
                    vendor: shared(&raw.vendor),
                    tcf_vendor: raw.tcf_vendor,
                    kind: raw.kind,
                    purpose: raw.purpose.as_ref().map(RawPurpose::purpose),
                    lifetime: shared(&raw.lifetime),
                    position: position(rule.span()),
                };
                let scope = cookie_scope(document, &raw.domain, &raw.path);
                self.cookies.push(CookieRule { pattern, tier, number: 0, entry, scope, requires });
            }
        }
        for rule in hosts {
            let raw = rule.get_ref();
            let category = category(document, &rule, &raw.category, categories);
            let name = required(document, &rule, "name", &raw.name, "name = \"tracker.example\"");
            let host = name.and_then(|name| host(document, name));
            if let (Some(host), Some(category)) = (host, category) {
                let entry = Entry { vendor: shared(&raw.vendor), ..Entry::new(category) };
                self.hosts.push(HostRule { host, tier, entry });
            }
        }
        for rule in beacons {
            let raw = rule.get_ref();
            let category = category(document, &rule, &raw.category, categories);
            let path = required(document, &rule, "path", &raw.path, "path = \"/pixel.gif\"");
            // `/*` matches every path, which is valid for a beacon with further conditions.
            let path = path.and_then(|path| pattern(document, path, rule_path));
            let method = condition(document, &raw.method, |text| {
                Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok().ok_or("a method")
            });
            let query = queries(document, &raw.query);
            let fetch_dest = condition(document, &raw.fetch_dest, destination);
            let fetch_mode = condition(document, &raw.fetch_mode, destination);
            let accept = condition(document, &raw.accept, |text| match text.is_empty() {
                true => Err("a value of `Accept`"),
                false => Ok(text.to_owned()),
            });
            let header = condition(document, &raw.header, |text| {
                HeaderName::from_bytes(text.as_bytes()).map_err(|_| "the name of a header field")
            });
            let content_type = condition(document, &raw.content_type, media_type);
            let body = condition(document, &raw.body, |text| {
                BodyPattern::new(text).ok_or("a text besides `*`")
            });
            if let (Some(path), Some(category)) = (path, category) {
                self.beacons.push(BeaconRule {
                    path,
                    method,
                    query,
                    fetch_dest,
                    fetch_mode,
                    accept,
                    header,
                    content_type,
                    body,
                    email_open: raw.email_open,
                    navigation: raw.navigation,
                    tier,
                    number: 0,
                    entry: Entry {
                        vendor: shared(&raw.vendor),
                        tcf_vendor: raw.tcf_vendor,
                        kind: raw.kind,
                        purpose: raw.purpose.as_ref().map(RawPurpose::purpose),
                        position: position(rule.span()),
                        ..Entry::new(category)
                    },
                });
            }
        }
    }
}

/// Parses a rule for a query parameter.
fn url_parameter(
    document: Ctx,
    rule: &Spanned<RawParameter>,
    tier: RulePriority,
    categories: &Categories,
) -> Option<ParameterRule> {
    let raw = rule.get_ref();
    let category = category(document, rule, &raw.category, categories);
    let typed = required(document, rule, "name", &raw.name, "name = \"fbclid\"");
    let keeps_all = typed.is_some_and(|name| name.get_ref() == "*");
    let name = typed.filter(|_| !keeps_all).map(|name| pattern(document, name, Pattern::new));
    let value = raw.value.as_ref().map(|value| pattern(document, value, Pattern::new));
    let paths = paths(document, &raw.path);
    let query = queries(document, &raw.query);
    let category = category?;
    if keeps_all {
        let typed = typed?;
        let unconditional = raw.path.is_none() && raw.query.is_none();
        if category != Category::NECESSARY || unconditional {
            let message = "`*` needs the category `necessary`, and `path` or `query`";
            document.wrong(typed, message, Some("url_identifiers = \"off\" keeps every parameter"));
            return None;
        }
        if raw.value.is_some() {
            document.wrong(typed, "`*` cannot have a `value`", None);
            return None;
        }
    }
    let entry =
        Entry { vendor: shared(&raw.vendor), tcf_vendor: raw.tcf_vendor, ..Entry::new(category) };
    // A missing or invalid condition would make the rule match more.
    let is_valid = typed.is_some()
        && !matches!(name, Some(None))
        && !matches!(value, Some(None))
        && raw.path.is_some() != paths.is_empty();
    is_valid.then(|| ParameterRule {
        ignore_case: raw.ignore_case,
        value: value.flatten(),
        paths,
        query,
        page_load: raw.page_load,
        ..ParameterRule::new(name.flatten(), tier, entry)
    })
}

/// Parses the paths of a rule for a query parameter. All are in lower case.
fn paths(document: Ctx, typed: &Option<Spanned<OneOrMany<String>>>) -> Vec<Pattern> {
    let Some(typed) = typed else { return Vec::new() };
    let OneOrMany(texts) = typed.get_ref();
    let mut paths = Vec::new();
    for text in texts {
        // No upper-case letter is left to match.
        match rule_path(&text.to_ascii_lowercase().replace("{upper", "{alnum")) {
            Ok(path) => paths.push(path),
            Err(error) => document.wrong(typed, error.to_string(), None),
        }
    }
    paths
}

/// The value of a required key. Its absence is reported.
fn required<'a, V>(
    document: Ctx,
    rule: &Spanned<V>,
    key: &str,
    value: &'a Option<Text>,
    example: &str,
) -> Option<&'a Text> {
    if value.is_none() {
        document.missing(rule, key, example);
    }
    value.as_ref()
}

/// Parses the query parameters of a beacon rule.
fn queries(document: Ctx, typed: &Option<Spanned<OneOrMany<String>>>) -> Vec<QueryParameter> {
    let Some(typed) = typed else { return Vec::new() };
    let OneOrMany(texts) = typed.get_ref();
    let mut found = Vec::new();
    for text in texts {
        match parameter(text.trim()) {
            Ok(parameter) => found.push(parameter),
            Err(expected) => document.wrong(typed, format!("`{text}` is not {expected}"), None),
        }
    }
    found
}

/// Parses a condition of a beacon rule into the form that requests are compared with. A value that no request can
/// have is reported.
fn condition<V>(
    document: Ctx,
    text: &Option<Text>,
    read: impl Fn(&str) -> Result<V, &'static str>,
) -> Option<V> {
    let text = text.as_ref()?;
    read(text.get_ref().trim()).map_err(|expected| document.is_not(text, expected, None)).ok()
}

/// Parses and decodes a query parameter.
fn parameter(text: &str) -> Result<QueryParameter, &'static str> {
    const EXPECTED: &str = "one parameter of a query: `key` or `key=value`";
    if text.is_empty() || text.starts_with('=') || text.contains(['?', '&', ';', '#']) {
        return Err(EXPECTED);
    }
    let decoded = form_decoded(text);
    let decoded = std::str::from_utf8(&decoded).map_err(|_| EXPECTED)?;
    QueryParameter::new(decoded).map_err(|_| EXPECTED)
}

/// Parses a value of a fetch metadata field: a token, converted to lower case.
fn destination(text: &str) -> Result<String, &'static str> {
    let token = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if token && !text.is_empty() {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a value of fetch metadata such as `image` or `no-cors`")
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
pub(super) fn named_category(
    document: Ctx,
    name: &Text,
    categories: &Categories,
) -> Option<Category> {
    let found = categories.find(name.get_ref());
    if found.is_none() {
        let known: Vec<&str> = categories.iter().map(|(_, name)| name).collect();
        let hint = match nearest(name.get_ref(), known.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None => format!("the categories are {}; add others by [[category]]", known.join(", ")),
        };
        document.is_not(name, "a category", Some(&hint));
    }
    found
}

fn category<V>(
    document: Ctx,
    rule: &Spanned<V>,
    name: &Option<Text>,
    categories: &Categories,
) -> Option<Category> {
    let name = required(document, rule, "category", name, "category = \"analytics\"")?;
    named_category(document, name, categories)
}

fn pattern<E: std::fmt::Display>(
    document: Ctx,
    text: &Text,
    read: impl Fn(&str) -> Result<Pattern, E>,
) -> Option<Pattern> {
    read(text.get_ref()).map_err(|error| document.wrong(text, error.to_string(), None)).ok()
}

fn requires(document: Ctx, raw: &RawRequires) -> Box<Requires> {
    let mut with = Vec::new();
    for name in &raw.with {
        match Companion::new(name.get_ref()) {
            Some(companion) => with.push(companion),
            None => document.is_not(name, "a name with at most one `*`", None),
        }
    }
    let max_days = raw.max_days.map(|most| most.get());
    Box::new(Requires { http_only: raw.http_only, max_days, with })
}

fn host(document: Ctx, name: &Text) -> Option<String> {
    let host = name.get_ref().to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || host.starts_with('.') || !host.bytes().all(plain) {
        let hint = "\"tracker.example\", which includes all subdomains";
        document.is_not(name, "a host", Some(hint));
        return None;
    }
    Some(host)
}

/// The domain and path of a rule's cookies.
fn cookie_scope(document: Ctx, domain: &Option<Text>, path: &Option<Text>) -> Option<RuleScope> {
    if domain.is_none() && path.is_none() {
        return None;
    }
    let domain = domain.as_ref().map(|typed| {
        let text = typed.get_ref();
        let domain = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
        if registrable_domain(&domain).is_none() {
            let hint = Some("domain = \"example.com\"");
            document.is_not(typed, "a domain that a cookie can be set for", hint);
        }
        Arc::from(domain)
    });
    if let Some(typed) = path {
        let text = typed.get_ref().as_str();
        let writable = |byte: u8| byte != b';' && !byte.is_ascii_control();
        if !text.starts_with('/') || text.len() > 1024 || !text.bytes().all(writable) {
            let message = format!("`{}` is not a path that a cookie can have", text.escape_debug());
            document.wrong(typed, message, Some("path = \"/shop\""));
        }
    }
    let path = path.as_ref().map_or("/", |typed| typed.get_ref());
    Some(RuleScope { domain, path: Arc::from(path) })
}

fn shared(text: &Option<String>) -> Option<Arc<str>> {
    text.as_deref().map(Arc::from)
}
