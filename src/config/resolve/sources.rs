//! Consent sources of a site, with their settings.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::defaults::{Ctx, Defaults};
use super::layers::Layers;
use super::names::cookie_name;
use crate::config::catalogue_file::named_category;
use crate::config::document::{nearest, span};
use crate::config::overrides::Overrides;
use crate::config::raw::{
    OneOrMany, RawConsent, RawDecode, RawFormat, RawGeneric, RawImplied, RawSource, Revision,
};
use crate::config::spanned::Spanned;
use crate::consent::sources::{
    self, ConsentSource, Format, GenericSettings, Implied, SourceSettings,
};
use crate::consent::{CategorySet, OwnCookie, Vendors};

/// The site's sources, in order.
pub(super) fn sources(
    document: Ctx,
    consent: &Layers<'_, RawConsent>,
    common: &Defaults,
    overrides: &Overrides,
    (vendors, own_cookie): (&Vendors, &OwnCookie),
) -> Vec<Box<dyn ConsentSource>> {
    let (sources_key, listed) = consent.cloned("sources", |raw| raw.sources.as_ref());
    let names: Vec<(Option<Range<usize>>, String)> = match (&overrides.sources, listed) {
        (Some(names), _) => names.iter().map(|name| (None, name.clone())).collect(),
        (None, Some(listed)) => {
            if listed.get_ref().is_empty() {
                let hint = Some(all_sources());
                let message = "is empty".to_owned();
                document.problem(Some(span(&listed)), sources_key.clone(), message, hint);
            }
            let named = |name: &Spanned<String>| (Some(span(name)), name.get_ref().clone());
            listed.get_ref().iter().map(named).collect()
        }
        (None, None) => vec![(None, "consentry".to_owned())],
    };
    let mut all = HashMap::new();
    for name in sources::names() {
        let table = consent.table(name, |raw| raw.source(name));
        if table.exists() {
            all.insert(name.to_owned(), settings(document, name, &table, common));
        }
    }
    let table = consent.table("generic", |raw| raw.generic.as_ref());
    if table.exists() {
        all.insert("generic".to_owned(), generic(document, &table, common));
    }
    for tool in sources::TOOLS {
        // `auto` includes `generic` only if the config describes it.
        if tool.name != "generic" || all.contains_key(tool.name) {
            let settings = all.entry(tool.name.to_owned()).or_default();
            settings.vendors = vendors.clone();
            settings.keys = own_cookie.keys.clone();
        }
    }
    let mut found = Vec::new();
    for (at, name) in names {
        match sources::find(&name, &all) {
            Some(source) => found.push(source),
            None => {
                let hint = match nearest(&name, sources::names()) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => all_sources(),
                };
                let message = format!("`{name}` is not a consent source");
                document.problem(at, sources_key.clone(), message, Some(hint));
            }
        }
    }
    found
}

/// A hint with the names of all sources.
fn all_sources() -> String {
    let names: Vec<&str> = sources::names().collect();
    format!("the sources are {}", names.join(", "))
}

fn settings(
    document: Ctx,
    source: &str,
    table: &Layers<'_, RawSource>,
    common: &Defaults,
) -> SourceSettings {
    for (path, table) in table.tables() {
        refuse_keys_of_others(document, path, source, table);
    }
    let defaults = SourceSettings::default();
    let revision = table.get("revision", |raw| raw.revision.as_ref());
    let revision = revision.map(|(_, revision)| match revision.get_ref() {
        Revision::Number(number) => number.to_string(),
        Revision::Text(text) => text.clone(),
    });
    let implied = table.get("implied", |raw| raw.implied.as_ref());
    let implied = implied.map(|(_, implied)| match implied.get_ref() {
        RawImplied::Accept => Implied::Accept,
        RawImplied::Ignore => Implied::Ignore,
    });
    let switch = |typed: Option<(String, &Spanned<bool>)>, default| {
        typed.map_or(default, |(_, typed)| *typed.get_ref())
    };
    let map = table.entries("map", |raw| &raw.map);
    let cookie = table.get("cookie", |raw| raw.cookie.as_ref());
    let dismiss_grants = table.get("dismiss_grants", |raw| raw.dismiss_grants.as_ref());
    let alert_box =
        table.get("require_alert_box_closed", |raw| raw.require_alert_box_closed.as_ref());
    SourceSettings {
        map: id_map(document, map, common),
        cookie: cookie.and_then(|(key, cookie)| cookie_name(document, key, cookie)),
        revision,
        implied: implied.unwrap_or(defaults.implied),
        dismiss_grants: switch(dismiss_grants, defaults.dismiss_grants),
        require_alert_box_closed: switch(alert_box, defaults.require_alert_box_closed),
        ..defaults
    }
}

/// Rejects keys that only other sources support: they would have no effect.
fn refuse_keys_of_others(document: Ctx, key: &str, source: &str, table: &RawSource) {
    let used_names = sources::tool(source).map_or(&[][..], |tool| tool.keys);
    for (name, at) in [
        ("cookie", table.cookie.as_ref().map(span)),
        ("revision", table.revision.as_ref().map(span)),
        ("implied", table.implied.as_ref().map(span)),
        ("dismiss_grants", table.dismiss_grants.as_ref().map(span)),
        ("require_alert_box_closed", table.require_alert_box_closed.as_ref().map(span)),
    ] {
        if at.is_some() && !used_names.contains(&name) {
            let message = format!("`{source}` has no such key");
            let hint = format!("its keys are {}", [&["map"], used_names].concat().join(", "));
            document.problem(at, format!("{key}.{name}"), message, Some(hint));
        }
    }
}

fn generic(document: Ctx, table: &Layers<'_, RawGeneric>, common: &Defaults) -> SourceSettings {
    let defaults = GenericSettings::default();
    let decode = table.get("decode", |raw| raw.decode.as_ref());
    let decode = decode.map_or(&[RawDecode::Url][..], |(_, decode)| decode);
    let typed_format = table.copied(|raw| raw.format);
    let mut format = match typed_format.unwrap_or(RawFormat::Json) {
        RawFormat::Json | RawFormat::Regex => Format::Json,
        RawFormat::Query => Format::Query,
        RawFormat::List => Format::List,
        RawFormat::Map => Format::Map,
        RawFormat::Flag => Format::Flag,
    };
    let (pattern_key, pattern) = table.cloned("pattern", |raw| raw.pattern.as_ref());
    match (typed_format, &pattern) {
        (Some(RawFormat::Regex), Some(pattern)) => {
            match regex_lite::Regex::new(pattern.get_ref()) {
                Ok(regex) => format = Format::Regex(regex),
                Err(error) => {
                    document.problem(Some(span(pattern)), pattern_key, error.to_string(), None);
                }
            }
        }
        (Some(RawFormat::Regex), None) => {
            let hint = Some("pattern = 'stats=(?P<stats>[01])'".to_owned());
            document.problem(None, pattern_key, "is missing".to_owned(), hint);
        }
        (_, Some(pattern)) => {
            let message = "goes with format = \"regex\" only".to_owned();
            document.problem(Some(span(pattern)), pattern_key, message, None);
        }
        (_, None) => {}
    }
    let (separator_key, separator) = table.cloned("separator", |raw| raw.separator.as_ref());
    if let Some(separator) = separator.as_ref().filter(|text| text.get_ref().is_empty()) {
        document.problem(Some(span(separator)), separator_key, "is empty".to_owned(), None);
    }
    let separator = separator.map(Spanned::into_inner).filter(|text| !text.is_empty());
    let map = table.entries("map", |raw| &raw.map);
    let cookie = table.get("cookie", |raw| raw.cookie.as_ref());
    let (_, path) = table.cloned("path", |raw| raw.path.as_ref());
    let (_, time) = table.cloned("time", |raw| raw.time.as_ref());
    let (_, truthy) = table.cloned("truthy", |raw| raw.truthy.as_ref());
    SourceSettings {
        map: id_map(document, map, common),
        cookie: cookie.and_then(|(key, cookie)| cookie_name(document, key, cookie)),
        generic: GenericSettings {
            format,
            percent_encoded: decode.contains(&RawDecode::Url),
            base64: decode.contains(&RawDecode::Base64),
            path: path.unwrap_or(defaults.path),
            time,
            separator: separator.unwrap_or(defaults.separator),
            truthy: truthy.unwrap_or(defaults.truthy),
        },
        ..SourceSettings::default()
    }
}

/// Resolves a map from a tool's ids to categories. Each entry has its path.
fn id_map(
    document: Ctx,
    typed: BTreeMap<&str, (String, &Spanned<OneOrMany>)>,
    common: &Defaults,
) -> Vec<(String, CategorySet)> {
    let mut map = Vec::new();
    for (id, (key, names)) in typed {
        let OneOrMany(listed) = names.get_ref();
        let mut categories = CategorySet::EMPTY;
        for name in listed {
            let name = Spanned::new(span(names), name.clone());
            if let Some(category) = named_category(document, &key, &name, &common.categories) {
                categories.insert(category);
            }
        }
        map.push((id.to_owned(), categories));
    }
    map
}
