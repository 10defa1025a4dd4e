//! Sibling sites: sites that share the cookies of a browser.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalogue::{Catalogue, Matcher, Pattern, RulePriority, Weight};
use crate::config::settings::{
    Families, Family, HostPattern, Mode, Owner, SiblingSites, SiteConfig, Sites, family_of,
};
use crate::cookie::registrable_domain;
use crate::policy::Unclassified;

/// Computes the sibling sites of each site, in order. `shared` contains the rules that apply to all sites.
pub(super) fn siblings(sites: &[SiteConfig], shared: Catalogue) -> Vec<Option<SiblingSites>> {
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
    let mut drafts: HashMap<Option<&str>, FamilyBuilder> = HashMap::new();
    let mut readers: HashMap<String, usize> = HashMap::new();
    let mut distinct = Vec::new();
    let all = sites.iter().zip(&families).zip(&related).enumerate();
    for (index, ((site, families), _)) in all.filter(|(_, (_, related))| **related) {
        // Equal readers have equal debug output.
        let shown = format!("{:?}", site.filter.reader);
        let reader = *readers.entry(shown).or_insert_with(|| {
            distinct.push(Arc::clone(&site.filter.reader));
            distinct.len() - 1
        });
        for family in families {
            drafts.entry(*family).or_default().add(index, reader, site);
        }
    }
    let anywhere = drafts.remove(&None).unwrap_or_default().compile();
    let named =
        drafts.into_iter().filter_map(|(family, draft)| Some((family?.into(), draft.compile())));
    let of_domains = named.collect();
    let all = Arc::new(Families { of_domains, anywhere, shared, readers: distinct });
    let seen_by = |(site, related): (usize, bool)| {
        related.then(|| SiblingSites { site, all: Arc::clone(&all) })
    };
    related.into_iter().enumerate().map(seen_by).collect()
}

/// The distinct families of a site. `None` for hosts of any domain.
fn families(hosts: &[HostPattern]) -> Vec<Option<&str>> {
    fn of(host: &HostPattern) -> Option<&str> {
        match host {
            HostPattern::Any => None,
            HostPattern::Below(suffix) => registrable_domain(suffix.trim_start_matches('.')),
            HostPattern::Exact(host) => Some(family_of(host)),
        }
    }
    let mut families: Vec<Option<&str>> = hosts.iter().map(of).collect();
    families.sort_unstable();
    families.dedup();
    families
}

/// A family under construction.
#[derive(Default)]
struct FamilyBuilder {
    rules: HashMap<Pattern, Vec<Owner>>,
    members: Vec<(usize, Sites)>,
    permissive: Vec<(usize, String)>,
}

impl FamilyBuilder {
    fn add(&mut self, index: usize, reader: usize, site: &SiteConfig) {
        let policy = &site.filter.policy;
        let numbers = 0..policy.catalogue.cookie_rules();
        let rules = numbers.filter_map(|number| policy.catalogue.cookie_rule(number));
        let one = Sites { first: index, several: false };
        for rule in rules.filter(|rule| rule.tier >= RulePriority::Site) {
            let category = rule.entry.category;
            let owners = self.rules.entry(rule.pattern.clone()).or_default();
            let same = |owner: &&mut Owner| owner.category == category && owner.reader == reader;
            match owners.iter_mut().find(same) {
                Some(owner) => owner.sites.several |= owner.sites.first != index,
                None => owners.push(Owner { category, reader, sites: one }),
            }
        }
        match self.members.iter_mut().find(|(other, _)| *other == reader) {
            Some((_, sites)) => sites.several |= sites.first != index,
            None => self.members.push((reader, one)),
        }
        // Observe mode strips nothing.
        if policy.unclassified == Unclassified::Allow || site.filter.mode == Mode::Observe {
            let end = |host: &HostPattern| match host {
                HostPattern::Any => String::new(),
                HostPattern::Below(end) | HostPattern::Exact(end) => end.clone(),
            };
            self.permissive.extend(site.hosts.iter().map(|host| (index, end(host))));
        }
    }

    fn compile(self) -> Family {
        let rules = self.rules.into_iter();
        let rules =
            rules.map(|(pattern, owners)| (pattern, Weight::of(RulePriority::Site), owners));
        Family {
            rules: Matcher::compile(rules),
            members: self.members,
            permissive: self.permissive,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, parse};
    use crate::consent::{Category, CategorySet};

    use super::*;

    /// Whether the siblings of each site need some names on a host. `None` for a site without siblings.
    fn needed(
        toml: &str,
        host: &str,
        granted: &[Category],
        names: &[&str],
    ) -> Vec<Option<Vec<bool>>> {
        let config = parse(toml, None, &Overrides::default()).expect("a valid config");
        let granted: CategorySet = granted.iter().copied().chain([Category::NECESSARY]).collect();
        let of = |site: &SiteConfig| {
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
    fn a_sibling_needs_cookies_that_its_own_rules_grant() {
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
    fn a_sibling_needs_cookies_that_its_default_and_shared_rules_pass() {
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
    fn sites_of_one_host_share_unclassified_cookies() {
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
    fn wildcard_host_sites_are_siblings_of_all_and_a_single_site_has_no_sibling() {
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
