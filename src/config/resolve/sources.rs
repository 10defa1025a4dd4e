//! The consent sources of a site, each with what the config says of it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use toml::Spanned;

use super::common::{Common, Doc};
use crate::config::catalogue_file::named_category;
use crate::config::document::{nearest, place};
use crate::config::overrides::Overrides;
use crate::config::raw::{
    OneOrMore, RawConsent, RawDecode, RawFormat, RawGeneric, RawSource, Revision,
};
use crate::consent::CategorySet;
use crate::consent::sources::{self, ConsentSource, Format, GenericSettings, SourceSettings};

/// The site's sources, in order; `key` is the path of the site, with its dot.
pub(super) fn sources(
    document: Doc,
    key: &str,
    site: &RawConsent,
    common: &Common,
    overrides: &Overrides,
) -> Vec<Box<dyn ConsentSource>> {
    let own = |has: bool| if has { key } else { "" };
    let sources_key = format!("{}consent.sources", own(site.sources.is_some()));
    let listed = site.sources.as_ref().or(common.consent.sources.as_ref());
    let names: Vec<(Option<Range<usize>>, String)> = match (&overrides.sources, listed) {
        (Some(names), _) => names.iter().map(|name| (None, name.clone())).collect(),
        (None, Some(listed)) => {
            if listed.get_ref().is_empty() {
                let hint = Some(format!("the sources are {}", sources::NAMES.join(", ")));
                let message = "is empty".to_owned();
                document.problem(Some(place(listed)), sources_key.clone(), message, hint);
            }
            let named = |name: &Spanned<String>| (Some(place(name)), name.get_ref().clone());
            listed.get_ref().iter().map(named).collect()
        }
        (None, None) => vec![(None, "consentry".to_owned())],
    };
    let mut all = HashMap::new();
    for name in sources::NAMES {
        let of_site = site.source(name);
        if let Some(table) = of_site.or_else(|| common.consent.source(name)) {
            let key = format!("{}consent.{name}", own(of_site.is_some()));
            all.insert((*name).to_owned(), settings(document, &key, table, common));
        }
    }
    let of_site = site.generic.as_ref();
    if let Some(table) = of_site.or(common.consent.generic.as_ref()) {
        let key = format!("{}consent.generic", own(of_site.is_some()));
        all.insert("generic".to_owned(), generic(document, &key, table, common));
    }
    let mut found = Vec::new();
    for (at, name) in names {
        match sources::find(&name, &all) {
            Some(source) => found.push(source),
            None => {
                let hint = match nearest(&name, sources::NAMES.iter().copied()) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => format!("the sources are {}", sources::NAMES.join(", ")),
                };
                let message = format!("`{name}` is not a consent source");
                document.problem(at, sources_key.clone(), message, Some(hint));
            }
        }
    }
    found
}

fn settings(document: Doc, key: &str, table: &RawSource, common: &Common) -> SourceSettings {
    let revision = table.revision.as_ref().map(|revision| match revision {
        Revision::Number(number) => number.to_string(),
        Revision::Text(text) => text.clone(),
    });
    SourceSettings {
        map: id_map(document, key, &table.map, common),
        cookie: table.cookie.as_ref().map(|cookie| cookie.get_ref().clone()),
        revision,
        generic: GenericSettings::default(),
    }
}

fn generic(document: Doc, key: &str, table: &RawGeneric, common: &Common) -> SourceSettings {
    let defaults = GenericSettings::default();
    let decode = table.decode.as_deref().unwrap_or(&[RawDecode::Url]);
    let mut format = match table.format.unwrap_or(RawFormat::Json) {
        RawFormat::Json | RawFormat::Regex => Format::Json,
        RawFormat::Query => Format::Query,
        RawFormat::List => Format::List,
        RawFormat::Map => Format::Map,
        RawFormat::Flag => Format::Flag,
    };
    let key_of = |name: &str| format!("{key}.{name}");
    match (table.format, &table.pattern) {
        (Some(RawFormat::Regex), Some(pattern)) => {
            match regex_lite::Regex::new(pattern.get_ref()) {
                Ok(regex) => format = Format::Regex(regex),
                Err(error) => {
                    document.problem(
                        Some(place(pattern)),
                        key_of("pattern"),
                        error.to_string(),
                        None,
                    );
                }
            }
        }
        (Some(RawFormat::Regex), None) => {
            let hint = Some("pattern = 'stats=(?P<stats>[01])'".to_owned());
            document.problem(None, key_of("pattern"), "is missing".to_owned(), hint);
        }
        (_, Some(pattern)) => {
            let message = "goes with format = \"regex\" only".to_owned();
            document.problem(Some(place(pattern)), key_of("pattern"), message, None);
        }
        (_, None) => {}
    }
    if let Some(separator) = table.separator.as_ref().filter(|text| text.get_ref().is_empty()) {
        document.problem(Some(place(separator)), key_of("separator"), "is empty".to_owned(), None);
    }
    let separator = table.separator.as_ref().map(|text| text.get_ref().clone());
    SourceSettings {
        map: id_map(document, key, &table.map, common),
        cookie: table.cookie.as_ref().map(|cookie| cookie.get_ref().clone()),
        revision: None,
        generic: GenericSettings {
            format,
            percent_encoded: decode.contains(&RawDecode::Url),
            base64: decode.contains(&RawDecode::Base64),
            path: table.path.clone().unwrap_or(defaults.path),
            time: table.time.clone(),
            separator: separator.filter(|text| !text.is_empty()).unwrap_or(defaults.separator),
            truthy: table.truthy.clone().unwrap_or(defaults.truthy),
        },
    }
}

fn id_map(
    document: Doc,
    key: &str,
    typed: &BTreeMap<String, Spanned<OneOrMore>>,
    common: &Common,
) -> Vec<(String, CategorySet)> {
    let mut map = Vec::new();
    for (id, names) in typed {
        let OneOrMore(listed) = names.get_ref();
        let mut categories = CategorySet::EMPTY;
        for name in listed {
            let name = Spanned::new(place(names), name.clone());
            let key = format!("{key}.map.{id}");
            if let Some(category) = named_category(document, &key, &name, &common.categories) {
                categories.insert(category);
            }
        }
        map.push((id.clone(), categories));
    }
    map
}
