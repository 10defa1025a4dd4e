//! Sibling sites: other sites of the config that need the same cookies.
//!
//! Browsers share the cookies of a registrable domain among its hosts, and the cookies of a host among its paths. A
//! cookie deleted by one site is lost for the others.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::catalogue::{Catalogue, Matcher};
use crate::consent::{Category, CategorySet, ConsentReader};
use crate::cookie::{registrable_domain, without_prefix};
use crate::policy::permits;

/// The other sites of the config, as seen from one site.
#[derive(Debug, Clone)]
pub struct SiblingSites {
    /// The position of this site in the config.
    pub(in crate::config) site: usize,
    pub(in crate::config) all: Arc<Families>,
}

/// The sites by registrable domain.
#[derive(Debug)]
pub(in crate::config) struct Families {
    /// By registrable domain, or by host if it has none.
    pub(in crate::config) of_domains: HashMap<Box<str>, Family, RandomState>,
    /// The sites that serve hosts of any domain.
    pub(in crate::config) anywhere: Family,
    /// The rules for every site without rules of its own.
    pub(in crate::config) shared: Catalogue,
    /// The distinct consent readers of the sites.
    pub(in crate::config) readers: Vec<Arc<ConsentReader>>,
}

/// The sites of one registrable domain.
#[derive(Debug, Default)]
pub(in crate::config) struct Family {
    /// The rules of single sites.
    pub(in crate::config) rules: Matcher<Vec<Owner>>,
    /// The sites by consent reader.
    pub(in crate::config) members: Vec<(usize, Sites)>,
    /// Sites where an unclassified cookie may pass, each with a host suffix. Without a leading dot the suffix is
    /// the whole host.
    pub(in crate::config) permissive: Vec<(usize, String)>,
}

/// Sites with the same consent reader whose own rule puts a name into a category.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Owner {
    pub(in crate::config) category: Category,
    pub(in crate::config) reader: usize,
    pub(in crate::config) sites: Sites,
}

/// One site, or several.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Sites {
    pub(in crate::config) first: usize,
    pub(in crate::config) several: bool,
}

impl Sites {
    fn has_other_than(self, site: usize) -> bool {
        self.several || self.first != site
    }
}

/// The key of a host's family: its registrable domain, or the host if it has none.
pub(in crate::config) fn family_of(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    registrable_domain(host).unwrap_or(host)
}

impl SiblingSites {
    /// The needs of the other sites for the cookies that a browser has for `host` (lower case, without port).
    /// `read` returns the categories that the visitor granted, according to a site's consent reader.
    pub fn needs<'a>(
        &'a self,
        host: &'a str,
        read: impl Fn(&ConsentReader) -> CategorySet,
    ) -> SiblingNeeds<'a> {
        let Families { of_domains, anywhere, readers, .. } = &*self.all;
        let families: Vec<_> =
            of_domains.get(family_of(host)).into_iter().chain([anywhere]).collect();
        let mut granted: Vec<(usize, CategorySet)> = Vec::new();
        for (reader, sites) in families.iter().flat_map(|family| &family.members) {
            let known = granted.iter().any(|(known, _)| known == reader);
            if !known && sites.has_other_than(self.site) {
                granted.extend(readers.get(*reader).map(|found| (*reader, read(found))));
            }
        }
        SiblingNeeds { sites: self, families, granted, host }
    }
}

/// The needs of other sites for the cookies that one browser has for one host.
#[derive(Debug)]
pub struct SiblingNeeds<'a> {
    sites: &'a SiblingSites,
    families: Vec<&'a Family>,
    /// The granted categories according to each consent reader.
    granted: Vec<(usize, CategorySet)>,
    host: &'a str,
}

impl SiblingNeeds<'_> {
    /// Whether a cookie is necessary or granted on another site.
    pub fn include(&self, name: &[u8]) -> bool {
        let site = self.sites.site;
        let passes = |category: Category, reader: usize| {
            self.granted.iter().any(|(of, granted)| *of == reader && permits(*granted, category))
        };
        let owned = |owners: &Vec<Owner>, _: &[u8]| {
            owners.iter().any(|owner| {
                owner.sites.has_other_than(site) && passes(owner.category, owner.reader)
            })
        };
        let by_rule = |name: &[u8]| {
            self.families.iter().any(|family| family.rules.best(name, owned).is_some())
        };
        if by_rule(name) || without_prefix(name).is_some_and(by_rule) {
            return true;
        }
        match self.sites.all.shared.cookie(name) {
            Some(rule) => {
                self.granted.iter().any(|(_, granted)| permits(*granted, rule.entry.category))
            }
            None => {
                let host = self.host.strip_suffix('.').unwrap_or(self.host);
                let serves = |end: &str| match end.starts_with('.') {
                    true => host.len() > end.len() && host.ends_with(end),
                    false => end.is_empty() || host == end,
                };
                let mut permissive = self.families.iter().flat_map(|family| &family.permissive);
                permissive.any(|(other, end)| *other != site && serves(end))
            }
        }
    }
}
