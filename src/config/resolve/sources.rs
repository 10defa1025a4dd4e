//! The consent sources of a site, each with what the config says of it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::common::{Common, Doc};
use crate::config::catalogue_file::named_category;
use crate::config::document::{nearest, place};
use crate::config::overrides::Overrides;
use crate::config::raw::{
    OneOrMore, RawConsent, RawDecode, RawFormat, RawGeneric, RawImplied, RawSource, Revision,
};
use crate::config::spanned::Spanned;
use crate::consent::sources::{
    self, ConsentSource, Format, GenericSettings, Implied, SourceSettings,
};
use crate::consent::{CategorySet, OwnCookie, Vendors};

/// The site's sources, in order; `key` is the path of the site, with its dot.
pub(super) fn sources(
    document: Doc,
    key: &str,
    site: &RawConsent,
    common: &Common,
    overrides: &Overrides,
    (vendors, own_cookie): (&Vendors, &OwnCookie),
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
            all.insert((*name).to_owned(), settings(document, &key, name, table, common));
        }
    }
    let of_site = site.generic.as_ref();
    if let Some(table) = of_site.or(common.consent.generic.as_ref()) {
        let key = format!("{}consent.generic", own(of_site.is_some()));
        all.insert("generic".to_owned(), generic(document, &key, table, common));
    }
    for name in ["tcf", "gpp", "didomi", "generic"] {
        // `generic` is asked by `auto` only where the config describes it.
        if !vendors.is_empty() && (name != "generic" || all.contains_key(name)) {
            all.entry(name.to_owned()).or_default().vendors = vendors.clone();
        }
    }
    all.entry("consentry".to_owned()).or_default().keys = own_cookie.keys.clone();
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

fn settings(
    document: Doc,
    key: &str,
    source: &str,
    table: &RawSource,
    common: &Common,
) -> SourceSettings {
    refuse_keys_of_others(document, key, source, table);
    let defaults = SourceSettings::default();
    let revision = table.revision.as_ref().map(|revision| match revision.get_ref() {
        Revision::Number(number) => number.to_string(),
        Revision::Text(text) => text.clone(),
    });
    let implied = table.implied.as_ref().map(|implied| match implied.get_ref() {
        RawImplied::Accept => Implied::Accept,
        RawImplied::Ignore => Implied::Ignore,
    });
    let switch = |typed: &Option<Spanned<bool>>, default| {
        typed.as_ref().map_or(default, |typed| *typed.get_ref())
    };
    SourceSettings {
        map: id_map(document, key, &table.map, common),
        cookie: table.cookie.as_ref().map(|cookie| cookie.get_ref().clone()),
        revision,
        implied: implied.unwrap_or(defaults.implied),
        dismiss_grants: switch(&table.dismiss_grants, defaults.dismiss_grants),
        require_alert_box_closed: switch(
            &table.require_alert_box_closed,
            defaults.require_alert_box_closed,
        ),
        ..defaults
    }
}

/// A key that another source's table takes would do nothing here.
fn refuse_keys_of_others(document: Doc, key: &str, source: &str, table: &RawSource) {
    let taken = sources::keys(source);
    for (name, at) in [
        ("cookie", table.cookie.as_ref().map(place)),
        ("revision", table.revision.as_ref().map(place)),
        ("implied", table.implied.as_ref().map(place)),
        ("dismiss_grants", table.dismiss_grants.as_ref().map(place)),
        ("require_alert_box_closed", table.require_alert_box_closed.as_ref().map(place)),
    ] {
        if at.is_some() && !taken.contains(&name) {
            let message = format!("`{source}` has no such key");
            let hint = format!("its keys are {}", [&["map"], taken].concat().join(", "));
            document.problem(at, format!("{key}.{name}"), message, Some(hint));
        }
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
        generic: GenericSettings {
            format,
            percent_encoded: decode.contains(&RawDecode::Url),
            base64: decode.contains(&RawDecode::Base64),
            path: table.path.clone().unwrap_or(defaults.path),
            time: table.time.clone(),
            separator: separator.filter(|text| !text.is_empty()).unwrap_or(defaults.separator),
            truthy: table.truthy.clone().unwrap_or(defaults.truthy),
        },
        ..SourceSettings::default()
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
