//! The cookies that other sites of the config need. Browsers share the cookies of a registrable domain among its
//! hosts, and those of a host among its paths: what one site deletes is gone for the others.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{HostPattern, Mode, Site};
use crate::catalogue::{Catalogue, Matcher, Pattern, Tier};
use crate::consent::{Category, CategorySet, ConsentReader};
use crate::cookie::{registrable_domain, without_prefix};
use crate::policy::{Unclassified, permits};

/// The other sites of the config, as one of them sees them.
#[derive(Debug, Clone)]
pub struct SiblingSites {
    /// The site that sees them, by its position in the config.
    site: usize,
    all: Arc<Table>,
}

/// What all sites need.
#[derive(Debug)]
struct Table {
    /// By registrable domain, or by host where there is none.
    families: HashMap<Box<str>, Family, RandomState>,
    /// The sites that serve hosts of any domain.
    anywhere: Family,
    /// The rules that hold for every site that has no others.
    common: Catalogue,
    /// How the sites read consent, each way once.
    readers: Vec<Arc<ConsentReader>>,
}

/// The sites of one registrable domain.
#[derive(Debug, Default)]
struct Family {
    /// The rules of single sites.
    rules: Matcher<Vec<Owner>>,
    /// The sites by how they read consent.
    members: Vec<(usize, Sites)>,
    /// Sites where a cookie that no rule knows may pass, with their hosts.
    permissive: Vec<(usize, Vec<HostPattern>)>,
}

/// Sites whose own rule puts a name into a category, and who read consent in the same way.
#[derive(Debug, Clone, Copy)]
struct Owner {
    category: Category,
    reader: usize,
    sites: Sites,
}

/// One site, or several.
#[derive(Debug, Clone, Copy)]
struct Sites {
    first: usize,
    several: bool,
}

impl Sites {
    fn has_other_than(self, site: usize) -> bool {
        self.several || self.first != site
    }

    fn add(&mut self, site: usize) {
        self.several |= self.first != site;
    }
}

/// What every site of the config has to know of the others, in their order; `common` has the rules that they share.
pub(in crate::config) fn siblings(
    sites: &[Site],
    common: impl FnOnce() -> Catalogue,
) -> Vec<Option<SiblingSites>> {
    let families: Vec<Vec<Option<&str>>> = sites.iter().map(|site| families(&site.hosts)).collect();
    let mut members: HashMap<Option<&str>, usize> = HashMap::new();
    for family in families.iter().flatten() {
        *members.entry(*family).or_default() += 1;
    }
    let anywhere = members.contains_key(&None);
    let has_others = |family: &Option<&str>| anywhere || members.get(family) > Some(&1);
    let related: Vec<bool> = families
        .iter()
        .map(|families| sites.len() > 1 && families.iter().any(has_others))
        .collect();
    if !related.contains(&true) {
        return vec![None; sites.len()];
    }
    let mut drafts: HashMap<Option<&str>, Draft> = HashMap::new();
    let mut readers: HashMap<String, usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (index, site) in
        sites.iter().enumerate().filter(|(index, _)| related.get(*index) == Some(&true))
    {
        // What is read alike is also shown alike.
        let reader = *readers.entry(format!("{:?}", site.filter.reader)).or_insert_with(|| {
            distinct.push(Arc::clone(&site.filter.reader));
            distinct.len() - 1
        });
        for family in families.get(index).into_iter().flatten() {
            drafts.entry(*family).or_default().add(index, reader, site);
        }
    }
    let anywhere = drafts.remove(&None).unwrap_or_default().compile();
    let named =
        drafts.into_iter().filter_map(|(family, draft)| Some((family?.into(), draft.compile())));
    let table = Table { families: named.collect(), anywhere, common: common(), readers: distinct };
    let all = Arc::new(table);
    let seen_by = |(site, related): (usize, bool)| {
        related.then(|| SiblingSites { site, all: Arc::clone(&all) })
    };
    related.into_iter().enumerate().map(seen_by).collect()
}

/// The families that a site belongs to, each once; `None` for hosts of any domain.
fn families(hosts: &[HostPattern]) -> Vec<Option<&str>> {
    fn of(host: &HostPattern) -> Option<&str> {
        match host {
            HostPattern::Any => None,
            HostPattern::Below(suffix) => registrable_domain(suffix.trim_start_matches('.')),
            HostPattern::Exact(host) => Some(family(host)),
        }
    }
    let mut families: Vec<Option<&str>> = hosts.iter().map(of).collect();
    families.sort_unstable();
    families.dedup();
    families
}

/// The registrable domain of a host, or the host where there is none.
fn family(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    registrable_domain(host).unwrap_or(host)
}

/// A family that is being collected.
#[derive(Default)]
struct Draft {
    rules: HashMap<Pattern, Vec<Owner>>,
    members: Vec<(usize, Sites)>,
    permissive: Vec<(usize, Vec<HostPattern>)>,
}

impl Draft {
    fn add(&mut self, index: usize, reader: usize, site: &Site) {
        let policy = &site.filter.policy;
        let numbers = 0..policy.catalogue.cookie_rules();
        let rules = numbers.filter_map(|number| policy.catalogue.cookie_rule(number));
        let one = Sites { first: index, several: false };
        for rule in rules.filter(|rule| rule.tier >= Tier::Site) {
            let category = rule.entry.category;
            let owners = self.rules.entry(rule.pattern.clone()).or_default();
            let same = |owner: &&mut Owner| owner.category == category && owner.reader == reader;
            match owners.iter_mut().find(same) {
                Some(owner) => owner.sites.add(index),
                None => owners.push(Owner { category, reader, sites: one }),
            }
        }
        match self.members.iter_mut().find(|(other, _)| *other == reader) {
            Some((_, sites)) => sites.add(index),
            None => self.members.push((reader, one)),
        }
        // While observing nothing is stripped.
        if policy.unclassified == Unclassified::Allow || site.filter.mode == Mode::Observe {
            self.permissive.push((index, site.hosts.clone()));
        }
    }

    fn compile(self) -> Family {
        let mut rules = Matcher::default();
        for (pattern, owners) in self.rules {
            rules.insert(&pattern, Tier::Site, owners);
        }
        Family { rules, members: self.members, permissive: self.permissive }
    }
}

impl SiblingSites {
    /// What the others need of the cookies that a browser has for `host` (lower-case, without port). `read`
    /// gives the categories that the visitor granted, as a site reads them.
    pub fn needs<'a>(
        &'a self,
        host: &'a str,
        read: impl Fn(&ConsentReader) -> CategorySet,
    ) -> SiblingNeeds<'a> {
        let Table { families, anywhere, readers, .. } = &*self.all;
        let families = families.get(family(host)).into_iter().chain([anywhere]).collect::<Vec<_>>();
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

/// What other sites need of the cookies that one browser has for one host.
#[derive(Debug)]
pub struct SiblingNeeds<'a> {
    sites: &'a SiblingSites,
    families: Vec<&'a Family>,
    /// What each way of reading consent comes to.
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
        let owned = |owners: &Vec<Owner>| {
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
        match self.sites.all.common.cookie(name) {
            Some(rule) => {
                self.granted.iter().any(|(_, granted)| permits(*granted, rule.entry.category))
            }
            None => {
                self.families.iter().flat_map(|family| &family.permissive).any(|(other, hosts)| {
                    *other != site && hosts.iter().any(|host| host.serves(self.host))
                })
            }
        }
    }
}

impl HostPattern {
    /// Whether the pattern has this host (lower-case, without port).
    fn serves(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Any => true,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Exact(name) => name == host,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, parse};
    use crate::consent::Category;

    use super::*;

    /// What each site's siblings need of some names, for one host; `None` for a site without siblings.
    fn needed(
        toml: &str,
        host: &str,
        granted: &[Category],
        names: &[&str],
    ) -> Vec<Option<Vec<bool>>> {
        let config = parse(toml, None, &Overrides::default()).expect("a valid config");
        let granted: CategorySet = granted.iter().copied().chain([Category::NECESSARY]).collect();
        let of = |site: &Site| {
            let siblings = site.filter.siblings.as_ref()?;
            let needs = siblings.needs(host, |reader| reader.default.union(granted));
            Some(names.iter().map(|name| needs.include(name.as_bytes())).collect())
        };
        config.sites.iter().map(of).collect()
    }

    fn site(name: &str, hosts: &str, rest: &str) -> String {
        format!(
            "[[site]]\nname = '{name}'\nhosts = [{hosts}]\nupstream = 'http://127.0.0.1:1'\n{rest}\n"
        )
    }

    const NAMES: [&str; 4] = ["app_login", "__Secure-app_login", "_ga", "odd"];

    #[test]
    fn a_sibling_needs_what_its_own_rules_call_necessary_or_granted() {
        let rules = "[[site.cookie]]\nname = 'app_*'\ncategory = 'necessary'\n\
            [[site.cookie]]\nname = 'odd'\ncategory = 'analytics'\n";
        let toml = site("www", "'www.shop.example'", "")
            + &site("app", "'app.shop.example'", rules)
            + &site("other", "'www.other.example'", "");
        let www = |granted: &[Category]| {
            needed(&toml, "www.shop.example", granted, &NAMES).into_iter().next().flatten()
        };
        assert_eq!(www(&[]), Some(vec![true, true, false, false]));
        assert_eq!(www(&[Category::ANALYTICS]), Some(vec![true, true, true, true]));
        let all = needed(&toml, "app.shop.example", &[], &NAMES);
        assert_eq!(all.get(1), Some(&Some(vec![false; 4])), "its own rules are no sibling's");
        assert_eq!(all.get(2), Some(&None), "another domain");
    }

    #[test]
    fn a_sibling_needs_what_its_default_and_the_shared_rules_let_pass() {
        let shared = "[[cookie]]\nname = 'odd'\ncategory = 'necessary'\n";
        let own = "[[site.cookie]]\nname = 'odd'\ncategory = 'targeting'\n";
        let toml = shared.to_owned()
            + &site("eu", "'eu.shop.example'", own)
            + &site("us", "'us.shop.example'", "[site.consent]\ndefault = 'allow'\n");
        let found = needed(&toml, "eu.shop.example", &[], &["odd", "_ga", "unknown"]);
        assert_eq!(found.first(), Some(&Some(vec![true, true, false])));
        let found = needed(&toml, "us.shop.example", &[], &["_ga", "unknown"]);
        assert_eq!(found.get(1), Some(&Some(vec![false, false])), "the other denies");
    }

    #[test]
    fn sites_of_one_host_share_what_no_rule_knows() {
        let rest = |more: &str| {
            let shop = site("shop", "'www.shop.example'", "paths = ['/shop']");
            shop + &site("rest", "'www.shop.example'", more)
        };
        for (more, needs) in
            [("", false), ("unclassified = 'allow'", true), ("mode = 'observe'", true)]
        {
            let found = needed(&rest(more), "www.shop.example", &[], &["odd"]);
            assert_eq!(found.first(), Some(&Some(vec![needs])), "{more}");
            let found = needed(&rest(more), "m.shop.example", &[], &["odd"]);
            assert_eq!(found.first(), Some(&Some(vec![false])), "{more}: another host");
        }
    }

    #[test]
    fn sites_of_any_host_are_siblings_of_all_and_single_sites_have_none() {
        let rule = "[[site.cookie]]\nname = 'app_login'\ncategory = 'necessary'\n";
        let toml = site("www", "'www.shop.example'", "") + &site("any", "'*'", rule);
        let found = needed(&toml, "www.shop.example", &[], &["app_login"]);
        assert_eq!(found, [Some(vec![true]), Some(vec![false])]);
        for hosts in ["'localhost'", "'127.0.0.1'", "'*.co.uk'", "'*.shop.example'"] {
            let twice = site("a", hosts, "paths = ['/a']") + &site("b", hosts, rule);
            let found = needed(&twice, "127.0.0.1", &[], &["app_login"]);
            let same = hosts != "'localhost'" && hosts != "'*.shop.example'";
            assert_eq!(found.first(), Some(&Some(vec![same])), "{hosts}");
            assert_eq!(
                needed(&site("a", hosts, rule), "127.0.0.1", &[], &["odd"]),
                [None],
                "{hosts}"
            );
        }
    }
}
