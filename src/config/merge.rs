//! Site settings over top-level settings: a site's value of a key takes precedence.
//!
//! Nested tables and maps are merged the same way. A list is a value: the site's list replaces the top-level list.

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::document::Ctx;
use super::raw::RawSite;
use super::spanned::Spanned;

/// The tables of a site that are merged with those at the top level.
const MERGED: [&str; 6] =
    ["banner", "centre", "consent", "max_cookie_lifetime", "page", "upstream_tls"];

/// The sites, with the top-level settings in place of missing ones. A config without sites has one without keys.
pub(super) fn sites(document: Ctx) -> Vec<Spanned<RawSite>> {
    let mut top = document.table().clone();
    let sites = match top.remove("site").map(toml::Spanned::into_inner) {
        Some(DeValue::Array(sites)) => sites.into_iter().collect(),
        _ => vec![toml::Spanned::new(0..0, DeValue::Table(DeTable::new()))],
    };
    let mut top: DeTable<'_> = MERGED.iter().filter_map(|name| top.remove_entry(*name)).collect();
    // All sites share the prefix.
    remove(&mut top, "centre", "prefix");
    let mut merged = Vec::new();
    for site in sites {
        let span = site.span();
        let DeValue::Table(mut site) = site.into_inner() else { continue };
        let top = for_site(top.clone(), &site);
        fill(&mut site, top);
        let site = toml::Spanned::new(span.clone(), site);
        match RawSite::deserialize(toml::Deserializer::from(site)) {
            Ok(site) => merged.push(Spanned::new(span, site)),
            Err(error) => document.problem(error.span(), String::new(), error.message(), None),
        }
    }
    merged
}

/// The top-level settings that apply to a site.
fn for_site<'a>(mut top: DeTable<'a>, site: &DeTable<'_>) -> DeTable<'a> {
    let own = |table: &str, key: &str| site.get(table)?.get_ref().as_table()?.get(key);
    // A site's own `default = "deny"` also overrides regions that allow.
    let denies =
        own("consent", "default").is_some_and(|typed| typed.get_ref().as_str() == Some("deny"));
    if denies && own("consent", "region").is_none() {
        remove(&mut top, "consent", "region");
    }
    // A certificate and its key belong together, so both come from the same table.
    let pair = ["client_cert", "client_key"];
    if pair.iter().any(|key| own("upstream_tls", key).is_some()) {
        pair.iter().for_each(|key| remove(&mut top, "upstream_tls", key));
    }
    top
}

fn remove(top: &mut DeTable<'_>, table: &str, key: &str) {
    if let Some(DeValue::Table(table)) = top.get_mut(table).map(toml::Spanned::get_mut) {
        table.remove(key);
    }
}

/// Adds the keys that a table lacks.
fn fill<'a>(table: &mut DeTable<'a>, others: DeTable<'a>) {
    for (key, other) in others {
        match table.get_mut(&key) {
            None => drop(table.insert(key, other)),
            Some(own) => {
                if let (DeValue::Table(own), DeValue::Table(others)) =
                    (own.get_mut(), other.into_inner())
                {
                    fill(own, others);
                }
            }
        }
    }
}
