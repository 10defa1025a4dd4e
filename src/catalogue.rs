//! Cookie catalogue: maps cookie names, beacon paths, hosts and query parameters to rules, compiled once.
//!
//! Free of side effects. `config` collects the rules; `policy` applies the matching rule to the
//! visitor's consent.

mod beacon;
mod beacon_path;
mod body_pattern;
pub mod builtin;
mod consent_records;
mod generalize;
mod glob;
mod hosts;
mod lexicon;
mod lifetime;
mod lists;
mod matcher;
mod name_kind;
pub mod names;
mod parameter_lookup;
mod pattern;
mod prefix_tree;
mod presumed_list;
mod presumption;
mod purpose;
mod query_parameter;
#[cfg_attr(not(feature = "filter-lists"), allow(dead_code, reason = "no list is compiled"))]
mod removeparam;
mod requires;
mod rule;
mod suggestion;
mod url_parameters;

pub use beacon::{BeaconProbe, BeaconRule, FieldLookup};
pub(crate) use beacon_path::normalised as normalised_path;
pub use beacon_path::{PathError, rule_path};
pub use body_pattern::{BODY_START, BodyPattern, BodyStart};
pub use consent_records::is_consent_record;
pub use generalize::{generalize_counters, generalize_name};
pub use hosts::HostRule;
pub use lifetime::{CookieLifetime, LifetimeUnit};
pub use lists::{FilterLists, ListError, ListLines};
pub(crate) use matcher::{Matcher, Weight};
pub use pattern::{Pattern, PatternError};
pub use presumed_list::{LIST_COOKIE, list_lines};
pub use presumption::Presumption;
pub(crate) use presumption::{presumed_sent, presumed_set};
pub use purpose::{Purpose, PurposeKind};
pub use query_parameter::QueryParameter;
pub(crate) use query_parameter::form_decoded;
pub use requires::{Companion, CookieContext, Requires, SetCookieLines};
pub use rule::{CookieRule, Entry, RulePosition, RulePriority, RuleScope};
pub use suggestion::{Evidence, SessionCompanion, Suggestion, suggest};
pub use url_parameters::{ParameterRule, UrlQuery};

use std::cmp::Reverse;
use std::sync::Arc;

use crate::cookie::{SetCookie, without_prefix};
use hosts::Hosts;
use url_parameters::ParameterRules;

/// A compiled rule set. The cost of a lookup does not depend on the number of rules.
#[derive(Debug, Default)]
pub struct RuleSet {
    cookies: Matcher<CookieRule>,
    beacons: Matcher<BeaconRule>,
    hosts: Hosts,
    parameters: ParameterRules,
}

impl RuleSet {
    /// Compiles the rules. For their precedence, see `docs/catalogue.md`.
    pub fn compile(
        cookies: impl IntoIterator<Item = CookieRule>,
        beacons: impl IntoIterator<Item = BeaconRule>,
        hosts: impl IntoIterator<Item = HostRule>,
    ) -> Self {
        Self::after(&Self::default(), cookies, beacons, hosts)
    }

    /// Compiles rules, with numbers that continue those of another set.
    fn after(
        others: &Self,
        cookies: impl IntoIterator<Item = CookieRule>,
        beacons: impl IntoIterator<Item = BeaconRule>,
        hosts: impl IntoIterator<Item = HostRule>,
    ) -> Self {
        let cookie = |(number, mut rule): (usize, CookieRule)| {
            rule.number = number;
            let weight = Weight { yields: rule.requires.is_some(), ..Weight::of(rule.tier) };
            (rule.pattern.clone(), weight, rule)
        };
        let beacon = |(number, mut rule): (usize, BeaconRule)| {
            rule.number = number;
            let weight = Weight { conditions: rule.conditions(), ..Weight::of(rule.tier) };
            (beacon_path::key(&rule.path), weight, rule)
        };
        Self {
            cookies: Matcher::compile((others.cookies.len()..).zip(cookies).map(cookie)),
            beacons: Matcher::compile((others.beacons.len()..).zip(beacons).map(beacon)),
            hosts: Hosts::compile(hosts),
            parameters: ParameterRules::default(),
        }
    }

    /// Adds rules for query parameters.
    pub fn with_parameters(self, rules: impl IntoIterator<Item = ParameterRule>) -> Self {
        Self { parameters: ParameterRules::compile(0, rules), ..self }
    }
}

/// All rules of a site: its own rules, and rules shared by all sites.
#[derive(Debug)]
pub struct Catalogue {
    own: RuleSet,
    shared: Arc<RuleSet>,
    lists: Option<FilterLists>,
}

impl Catalogue {
    /// Compiles the rules of a site without shared rules.
    pub fn compile(
        cookies: impl IntoIterator<Item = CookieRule>,
        beacons: impl IntoIterator<Item = BeaconRule>,
    ) -> Self {
        Self::over(&Arc::default(), cookies, beacons, [])
    }

    /// Compiles a site's own rules on top of shared rules of lower tiers.
    pub fn over(
        shared: &Arc<RuleSet>,
        cookies: impl IntoIterator<Item = CookieRule>,
        beacons: impl IntoIterator<Item = BeaconRule>,
        hosts: impl IntoIterator<Item = HostRule>,
    ) -> Self {
        let own = RuleSet::after(shared, cookies, beacons, hosts);
        Self { own, shared: Arc::clone(shared), lists: None }
    }

    /// The site's own rules, then the shared ones. The first match wins.
    fn sets(&self) -> [&RuleSet; 2] {
        [&self.own, &self.shared]
    }

    /// The entry for a resource of another host, loaded by a page of `own_host`. Host rules take
    /// precedence over filter lists. `kind` is the resource type in filter lists.
    pub fn third_party(&self, host: &str, own_host: &str, url: &str, kind: &str) -> Option<&Entry> {
        let listed = || self.lists.as_ref()?.third_party(host, own_host, url, kind);
        self.host_rule(host).map(|rule| &rule.entry).or_else(listed)
    }

    /// The rule for a host, or else for its nearest parent domain.
    pub fn host_rule(&self, host: &str) -> Option<&HostRule> {
        Hosts::find(self.sets().map(|set| &set.hosts), host)
    }

    /// All host rules. Of two rules for a host, the site's own is first.
    pub fn host_rules(&self) -> impl Iterator<Item = &HostRule> {
        self.sets().into_iter().flat_map(|set| set.hosts.all())
    }

    /// Adds filter lists for beacons and query parameters.
    pub fn with_lists(mut self, lists: Option<FilterLists>) -> Self {
        self.lists = lists;
        self.number_lists();
        self
    }

    /// Adds the site's own rules for query parameters.
    pub fn with_parameters(mut self, rules: impl IntoIterator<Item = ParameterRule>) -> Self {
        self.own.parameters = ParameterRules::compile(self.shared.parameters.len(), rules);
        self.number_lists();
        self
    }

    /// Numbers the rules of filter lists after all others.
    fn number_lists(&mut self) {
        let parameters = self.named_parameters();
        if let Some(lists) = &mut self.lists {
            lists.number(self.shared.beacons.len() + self.own.beacons.len());
            lists.number_parameters(parameters);
        }
    }

    /// The rule for a cookie name (raw bytes), as if the cookie were sent alone. `None` for an
    /// unclassified cookie.
    ///
    /// A name with a prefix that only browsers interpret (`__Secure-_ga`) matches the rule of the
    /// name without the prefix. A rule for the complete name has priority. Likewise, a signature
    /// cookie (`X.sig`) matches the rule of `X`.
    pub fn cookie(&self, name: &[u8]) -> Option<&CookieRule> {
        self.find(name, None, &CookieContext::name())
    }

    /// The rule for a cookie that is set, or sent together with others.
    pub fn cookie_in(&self, name: &[u8], context: &CookieContext<'_>) -> Option<&CookieRule> {
        self.find(name, None, context)
    }

    /// The rule for a `Set-Cookie` line. `context` is the context of the response.
    pub fn set_cookie(
        &self,
        cookie: &SetCookie<'_>,
        context: &CookieContext<'_>,
    ) -> Option<&CookieRule> {
        self.find(cookie.name, Some(cookie), context)
    }

    fn find(
        &self,
        name: &[u8],
        set: Option<&SetCookie<'_>>,
        context: &CookieContext<'_>,
    ) -> Option<&CookieRule> {
        if name.is_empty() {
            return None;
        }
        let conditions_met = |rule: &CookieRule, wild: &[u8]| {
            rule.requires.as_ref().is_none_or(|requires| requires.are_met(wild, set, context))
        };
        let best = |name: &[u8]| {
            self.sets().into_iter().find_map(|set| set.cookies.best(name, conditions_met))
        };
        let unprefixed = || without_prefix(name).and_then(best);
        best(name).or_else(unprefixed).or_else(|| {
            // Keygrip and libraries based on it sign the cookie `X` in a cookie `X.sig`.
            let signed = name.strip_suffix(b".sig")?;
            best(signed).or_else(|| without_prefix(signed).and_then(best))
        })
    }

    /// The rule for a request, if it is a beacon.
    ///
    /// Several rules are ranked by tier, then by the more likely interpretation of the path. Then
    /// the exact spelling of the path and the precedence decide.
    pub fn beacon(&self, probe: &BeaconProbe<'_>) -> Option<&BeaconRule> {
        let mut best: Option<(_, &BeaconRule)> = None;
        if self.beacon_paths() > 0 {
            beacon_path::each_reading(probe.path, |reading| {
                let path = beacon_path::lower(reading.path);
                let spellings = [Some(&*path), beacon_path::trimmed(&path)];
                for (trimmed, path) in spellings.into_iter().flatten().enumerate() {
                    let mut compare_rule = |rule, precedence| {
                        let rule: &BeaconRule = rule;
                        let Some(fit) = rule.fits(probe, reading) else { return };
                        let order = (rule.tier, Reverse((reading.order, trimmed)), fit, precedence);
                        if best.is_none_or(|(found, _)| order > found) {
                            best = Some((order, rule));
                        }
                    };
                    let is_candidate = |rule: &BeaconRule| rule.is_candidate(probe);
                    for set in self.sets() {
                        set.beacons.each(path, is_candidate, &mut compare_rule);
                    }
                }
            });
        }
        best.map(|(_, rule)| rule).or_else(|| self.lists.as_ref()?.find(probe))
    }

    /// The cookie rule with this number. Shared rules come first, in their given order, then the
    /// site's own.
    pub fn cookie_rule(&self, number: usize) -> Option<&CookieRule> {
        match number.checked_sub(self.shared.cookies.len()) {
            None => self.shared.cookies.get(number),
            Some(own) => self.own.cookies.get(own),
        }
    }

    /// All cookie rules, by descending precedence.
    pub fn cookie_rules_by_precedence(&self) -> impl Iterator<Item = &CookieRule> {
        self.sets().into_iter().flat_map(|set| set.cookies.by_precedence())
    }

    /// All beacon rules, by number.
    pub fn all_beacon_rules(&self) -> impl Iterator<Item = &BeaconRule> {
        let rules = self.shared.beacons.values().chain(self.own.beacons.values());
        rules.chain(self.lists.as_ref().map(FilterLists::rule))
    }

    /// The beacon rule with this number.
    pub fn beacon_rule(&self, number: usize) -> Option<&BeaconRule> {
        self.all_beacon_rules().nth(number)
    }

    /// Number of beacon rules.
    pub fn beacon_rules(&self) -> usize {
        self.beacon_paths() + usize::from(self.lists.is_some())
    }

    /// Number of cookie rules.
    pub fn cookie_rules(&self) -> usize {
        self.shared.cookies.len() + self.own.cookies.len()
    }

    /// Number of beacon paths.
    pub fn beacon_paths(&self) -> usize {
        self.shared.beacons.len() + self.own.beacons.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Category;

    fn rule(name: &str, tier: RulePriority, category: Category) -> CookieRule {
        CookieRule {
            pattern: Pattern::new(name).expect("a valid pattern"),
            tier,
            number: 0,
            entry: Entry::new(category),
            scope: None,
            requires: None,
        }
    }

    #[test]
    fn the_config_wins_over_the_catalogue_even_with_a_wildcard() {
        let catalogue = Catalogue::compile(
            [
                rule("_ga", RulePriority::Catalogue(0), Category::ANALYTICS),
                rule("_g*", RulePriority::Config, Category::TARGETING),
                rule("_g*", RulePriority::Catalogue(1), Category::SOCIAL),
            ],
            [],
        );
        let category = |name: &[u8]| catalogue.cookie(name).map(|rule| rule.entry.category);
        assert_eq!(category(b"_ga"), Some(Category::TARGETING));
        assert_eq!(category(b"_GA"), None);
        assert_eq!(category(b""), None);
    }

    #[test]
    fn site_rules_win_over_shared_rules_and_are_numbered_after_them() {
        let shared = Arc::new(RuleSet::compile(
            [
                rule("_ga", RulePriority::Config, Category::ANALYTICS),
                rule("_gid", RulePriority::Catalogue(0), Category::ANALYTICS),
            ],
            [],
            [],
        ));
        let own = [
            rule("_g*", RulePriority::Site, Category::NECESSARY),
            rule("sid.sig", RulePriority::Site, Category::SOCIAL),
        ];
        let catalogue = Catalogue::over(&shared, own, [], []);
        let found = |name: &[u8]| {
            catalogue.cookie(name).map(|rule| (rule.number, rule.pattern.as_str().to_owned()))
        };
        assert_eq!(found(b"_ga"), Some((2, "_g*".to_owned())));
        assert_eq!(found(b"__Secure-_gid"), Some((2, "_g*".to_owned())));
        assert_eq!(found(b"sid.sig"), Some((3, "sid.sig".to_owned())));
        let other = Catalogue::over(&shared, [], [], []);
        assert_eq!(other.cookie(b"_gid").map(|rule| rule.number), Some(1));
        for catalogue in [catalogue, other] {
            for number in 0..catalogue.cookie_rules() {
                let rule = catalogue.cookie_rule(number);
                assert_eq!(rule.map(|rule| rule.number), Some(number));
            }
            assert!(catalogue.cookie_rule(catalogue.cookie_rules()).is_none());
            let order: Vec<RulePriority> =
                catalogue.cookie_rules_by_precedence().map(|rule| rule.tier).collect();
            assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
        }
    }

    #[test]
    fn a_rule_with_unmet_conditions_does_not_hide_other_rules() {
        let mut conditional = rule("choice", RulePriority::Site, Category::NECESSARY);
        conditional.requires = Some(Box::new(Requires {
            http_only: false,
            max_days: None,
            with: vec![Companion::new("other").expect("a valid pattern")],
        }));
        let names = [rule("choice", RulePriority::Catalogue(0), Category::ANALYTICS), conditional];
        for names in
            [names.clone(), names.into_iter().rev().collect::<Vec<_>>().try_into().expect("two")]
        {
            let catalogue = Catalogue::compile(names, []);
            let category = catalogue.cookie(b"choice").map(|rule| rule.entry.category);
            assert_eq!(category, Some(Category::ANALYTICS));
        }
    }

    #[test]
    fn a_rule_also_matches_prefixed_names() {
        let catalogue = Catalogue::compile(
            [
                rule("_ga", RulePriority::Catalogue(0), Category::ANALYTICS),
                rule("__Host-sid", RulePriority::Catalogue(0), Category::NECESSARY),
            ],
            [],
        );
        assert!(catalogue.cookie(b"__secure-_ga").is_some());
        assert!(catalogue.cookie(b"__Host-sid").is_some());
        assert!(catalogue.cookie(b"sid").is_none());
    }
}
