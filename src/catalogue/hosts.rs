//! Rules for third-party hosts. A rule also applies to subdomains.

use std::collections::HashMap;

use super::rule::{Entry, RulePriority};

/// A rule for a host and its subdomains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// The host, in lower case.
    pub host: String,
    /// The origin of the rule.
    pub tier: RulePriority,
    /// Category and description.
    pub entry: Entry,
}

/// The host rules, by host.
#[derive(Debug, Default, Clone)]
pub(super) struct Hosts {
    rules: HashMap<String, HostRule>,
}

impl Hosts {
    /// Compiles the rules. Of two rules for a host, the higher tier wins, then the later rule.
    pub(super) fn compile(rules: impl IntoIterator<Item = HostRule>) -> Self {
        let mut hosts = Self::default();
        for rule in rules {
            let stronger = hosts.rules.get(&rule.host).is_some_and(|known| known.tier > rule.tier);
            if !stronger {
                hosts.rules.insert(rule.host.clone(), rule);
            }
        }
        hosts
    }

    /// The rule for a host (lower case), or else for its nearest parent domain. For the same host,
    /// the first of the two sets takes precedence.
    pub(super) fn find<'a>(of: [&'a Self; 2], host: &str) -> Option<&'a HostRule> {
        let mut rest = host.strip_suffix('.').unwrap_or(host);
        loop {
            if let Some(rule) = of.into_iter().find_map(|hosts| hosts.rules.get(rest)) {
                return Some(rule);
            }
            (_, rest) = rest.split_once('.')?;
        }
    }

    /// All rules.
    pub(super) fn all(&self) -> impl Iterator<Item = &HostRule> {
        self.rules.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Category;

    #[test]
    fn a_host_rule_covers_subdomains_and_the_nearest_rule_wins() {
        let rule = |host: &str, tier, category| HostRule {
            host: host.to_owned(),
            tier,
            entry: Entry::new(category),
        };
        let hosts = Hosts::compile([
            rule("ads.example", RulePriority::Config, Category::NECESSARY),
            rule("ads.example", RulePriority::Catalogue(0), Category::TARGETING),
            rule("tracker.test", RulePriority::Catalogue(0), Category::ANALYTICS),
            rule("cdn.tracker.test", RulePriority::Catalogue(0), Category::FUNCTIONAL),
        ]);
        let own = Hosts::compile([
            rule("tracker.test", RulePriority::Site, Category::SOCIAL),
            rule("x.cdn.tracker.test", RulePriority::Site, Category::NECESSARY),
        ]);
        let over = |host| Hosts::find([&own, &hosts], host).map(|rule| rule.entry.category);
        assert_eq!(over("ads.example"), Some(Category::NECESSARY));
        assert_eq!(over("tracker.test"), Some(Category::SOCIAL));
        assert_eq!(over("y.cdn.tracker.test"), Some(Category::FUNCTIONAL));
        assert_eq!(over("x.cdn.tracker.test"), Some(Category::NECESSARY));
        let none = Hosts::default();
        let category = |host| Hosts::find([&none, &hosts], host).map(|rule| rule.entry.category);
        assert_eq!(category("ads.example"), Some(Category::NECESSARY));
        assert_eq!(category("a.b.tracker.test."), Some(Category::ANALYTICS));
        assert_eq!(category("x.cdn.tracker.test"), Some(Category::FUNCTIONAL));
        assert_eq!(category("nottracker.test"), None);
        assert_eq!(category("test"), None);
        assert_eq!(category(""), None);
    }
}
