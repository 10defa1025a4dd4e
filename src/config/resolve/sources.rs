//! Consent sources of a site, with their settings.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::config::catalogue_file::named_category;
use crate::config::document::{Ctx, nearest};
use crate::config::overrides::Overrides;
use crate::config::raw::{
    OneOrMany, RawConsent, RawDecode, RawFormat, RawGeneric, RawSource, Revision,
};
use crate::config::spanned::{Spanned, Text};
use crate::consent::sources::{
    self, ConsentSource, Encoding, Format, GenericSettings, SourceSettings,
};
use crate::consent::{Categories, CategorySet, OwnCookie, Vendors};

/// The site's sources, in order. `key` is the path of the site, including the trailing dot.
pub(super) fn sources(
    document: Ctx,
    key: &str,
    raw: &RawConsent,
    categories: &Categories,
    overrides: &Overrides,
    (vendors, own_cookie): (&Vendors, &OwnCookie),
) -> Vec<Box<dyn ConsentSource>> {
    let listed = raw.sources.get_ref();
    if listed.is_empty() && overrides.sources.is_none() {
        document.wrong(&raw.sources, "is empty", Some(&all_sources()));
    }
    let mut all = HashMap::new();
    for name in sources::names() {
        if let Some(table) = raw.source(name) {
            refuse_keys_of_others(document, key, name);
            all.insert(name.to_owned(), settings(document, table, categories));
        }
    }
    if let Some(table) = &raw.generic {
        all.insert("generic".to_owned(), generic(document, table, categories));
    }
    for tool in sources::TOOLS {
        // `auto` includes `generic` only if the config describes it.
        if tool.name != "generic" || all.contains_key(tool.name) {
            let settings = all.entry(tool.name.to_owned()).or_default();
            settings.vendors = vendors.clone();
            settings.keys = own_cookie.keys.clone();
        }
    }
    let named = |name: &Text| (Some(name.span()), name.get_ref().clone());
    let names: Vec<(Option<Range<usize>>, String)> = match &overrides.sources {
        Some(names) => names.iter().map(|name| (None, name.clone())).collect(),
        None => listed.iter().map(named).collect(),
    };
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
                let key = document.path_of(&raw.sources);
                document.problem(at, key, message, Some(&hint));
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

fn settings(document: Ctx, raw: &RawSource, categories: &Categories) -> SourceSettings {
    SourceSettings {
        map: id_map(document, &raw.map, categories),
        cookie: raw.cookie.as_ref().map(|name| name.0.clone()),
        revision: raw.revision.as_ref().map(|revision| match revision {
            Revision::Number(number) => number.to_string(),
            Revision::Text(text) => text.clone(),
        }),
        implied: raw.implied,
        dismiss_grants: raw.dismiss_grants,
        require_alert_box_closed: raw.require_alert_box_closed,
        ..SourceSettings::default()
    }
}

/// Rejects keys that only other sources support: they would have no effect.
fn refuse_keys_of_others(document: Ctx, site: &str, source: &str) {
    let taken = sources::tool(source).map_or(&[][..], |tool| tool.keys);
    let keys = ["cookie", "revision", "implied", "dismiss_grants", "require_alert_box_closed"];
    for name in keys.iter().filter(|name| !taken.contains(name)) {
        for key in [site, ""].map(|path| format!("{path}consent.{source}.{name}")) {
            if document.has(&key) {
                let message = format!("`{source}` has no such key");
                let hint = format!("its keys are {}", [&["map"], taken].concat().join(", "));
                document.problem(None, key, message, Some(&hint));
            }
        }
    }
}

fn generic(document: Ctx, table: &Spanned<RawGeneric>, categories: &Categories) -> SourceSettings {
    let raw = table.get_ref();
    let mut format = match raw.format {
        RawFormat::Json | RawFormat::Regex => Format::Json,
        RawFormat::Query => Format::Query,
        RawFormat::List => Format::List,
        RawFormat::Map => Format::Map,
        RawFormat::Flag => Format::Flag,
        RawFormat::Tcf => Format::Tcf,
        RawFormat::Gpp => Format::Gpp,
    };
    match (raw.format, &raw.pattern) {
        (RawFormat::Regex, Some(pattern)) => match regex_lite::Regex::new(pattern.get_ref()) {
            Ok(regex) => format = Format::Regex(regex),
            Err(error) => document.wrong(pattern, error.to_string(), None),
        },
        (RawFormat::Regex, None) => {
            document.missing(table, "pattern", "pattern = 'stats=(?P<stats>[01])'");
        }
        (_, Some(pattern)) => {
            document.wrong(pattern, "goes with format = \"regex\" only", None);
        }
        (_, None) => {}
    }
    for path in [&raw.id, &raw.answer].into_iter().flatten() {
        if !matches!(format, Format::Json) {
            document.wrong(path, "goes with format = \"json\" only", None);
        }
    }
    let mut encodings = GenericSettings::default().encodings;
    if let Some(decode) = &raw.decode {
        if decode.get_ref().len() > 4 {
            document.wrong(decode, "has more than four encodings", None);
        }
        let encoding = |raw: &RawDecode| match raw {
            RawDecode::Url => Encoding::Percent,
            RawDecode::Base64 => Encoding::Base64,
        };
        encodings = decode.get_ref().iter().map(encoding).collect();
    }
    let text = |typed: &Option<Spanned<String>>| typed.as_ref().map(|text| text.get_ref().clone());
    if raw.separator.get_ref().is_empty() {
        document.wrong(&raw.separator, "is empty", None);
    }
    SourceSettings {
        map: id_map(document, &raw.map, categories),
        cookie: raw.cookie.as_ref().map(|name| name.0.clone()),
        generic: GenericSettings {
            format,
            encodings,
            id: text(&raw.id),
            answer: text(&raw.answer),
            path: raw.path.clone(),
            time: raw.time.clone(),
            separator: raw.separator.get_ref().clone(),
            truthy: raw.truthy.clone(),
        },
        ..SourceSettings::default()
    }
}

/// Resolves a map from a tool's ids to categories.
fn id_map(
    document: Ctx,
    typed: &BTreeMap<String, Spanned<OneOrMany>>,
    categories: &Categories,
) -> Vec<(String, CategorySet)> {
    let mut map = Vec::new();
    for (id, names) in typed {
        let OneOrMany(listed) = names.get_ref();
        let named = |name: &String| {
            let name = Spanned::new(names.span(), name.clone());
            named_category(document, &name, categories)
        };
        map.push((id.clone(), listed.iter().filter_map(named).collect()));
    }
    map
}
