//! Looks up the rule of a query parameter: in the site's own rules, the shared ones and the filter
//! lists.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::removeparam::ListedParameters;
use super::url_parameters::{ParameterRule, UrlQuery};
use super::{Catalogue, FilterLists};

impl Catalogue {
    /// The rule for a parameter of a query, such as `gclid=1`. `None` if no rule matches, if the
    /// parameter has no value, or if another rule keeps the query of this URL.
    ///
    /// The site's own rules take precedence over the catalogue, and the catalogue over filter
    /// lists. A rule that keeps a query applies to rules of its own and of lower tiers.
    pub fn url_parameter(&self, parameter: &str, url: &UrlQuery<'_>) -> Option<&ParameterRule> {
        let (name, value) = parameter.split_once('=').filter(|(_, value)| !value.is_empty())?;
        let name: Cow<'_, [u8]> = match name.contains('%') {
            true => percent_decode_str(name).collect(),
            false => name.as_bytes().into(),
        };
        let found = self.sets().into_iter().find_map(|set| set.parameters.find(&name, value, url));
        let rule = found.or_else(|| self.listed_parameters()?.find(&name, url))?;
        let keeps = || self.sets().into_iter().filter_map(|set| set.parameters.keeps(url)).max();
        let kept = *url.kept.get_or_init(keeps);
        kept.is_none_or(|tier| rule.tier > tier).then_some(rule)
    }

    fn listed_parameters(&self) -> Option<&ListedParameters> {
        self.lists.as_ref().map(FilterLists::parameters)
    }

    /// Number of parameter rules, including the common rule of all filter lists.
    pub fn parameter_rules(&self) -> usize {
        self.named_parameters() + usize::from(self.lists.is_some())
    }

    /// Number of parameter rules without those of filter lists.
    pub fn named_parameters(&self) -> usize {
        self.shared.parameters.len() + self.own.parameters.len()
    }

    /// The parameter rule with this number. Shared rules come first, then the site's own.
    pub fn parameter_rule(&self, number: usize) -> Option<&ParameterRule> {
        let shared = self.shared.parameters.get(number);
        let own = || self.own.parameters.get(number.checked_sub(self.shared.parameters.len())?);
        let listed = || self.listed_parameters().map(ListedParameters::rule);
        shared.or_else(own).or_else(|| listed().filter(|rule| rule.number == number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Entry, Pattern, QueryParameter, RulePriority, RuleSet, rule_path};
    use crate::consent::Category;
    use std::sync::Arc;

    fn rule(name: &str, tier: RulePriority, category: Category) -> ParameterRule {
        let name = (name != "*").then(|| Pattern::new(name).expect("a valid pattern"));
        ParameterRule::new(name, tier, Entry::new(category))
    }

    const BUILTIN: RulePriority = RulePriority::Catalogue(0);

    fn catalogue(
        shared: impl IntoIterator<Item = ParameterRule>,
        own: impl IntoIterator<Item = ParameterRule>,
    ) -> Catalogue {
        let shared = RuleSet::default().with_parameters(shared);
        Catalogue::over(&Arc::new(shared), [], [], []).with_parameters(own)
    }

    fn category(catalogue: &Catalogue, url: &str, parameter: &str) -> Option<Category> {
        let (path, query) = url.split_once('?').expect("a query");
        let url = UrlQuery::new(Some("shop.example"), path, query, true);
        catalogue.url_parameter(parameter, &url).map(|rule| rule.entry.category)
    }

    #[test]
    fn names_are_matched_exactly_decoded_and_with_a_wildcard() {
        let folded =
            ParameterRule { ignore_case: true, ..rule("ScCid", BUILTIN, Category::SOCIAL) };
        let rules = [rule("fbclid", BUILTIN, Category::TARGETING), folded];
        let catalogue = catalogue(rules, [rule("oft_*", RulePriority::Site, Category::ANALYTICS)]);
        for (parameter, expected) in [
            ("fbclid=1", Some(Category::TARGETING)),
            ("%66bclid=1", Some(Category::TARGETING)),
            ("FBCLID=1", None),
            ("fbclid2=1", None),
            ("fbclid", None),
            ("fbclid=", None),
            ("=1", None),
            ("", None),
            ("sccid=1", Some(Category::SOCIAL)),
            ("SCCID=1", Some(Category::SOCIAL)),
            ("oft_id=1", Some(Category::ANALYTICS)),
        ] {
            assert_eq!(category(&catalogue, "/?a", parameter), expected, "{parameter}");
        }
    }

    #[test]
    fn conditions_limit_a_rule_to_a_value_a_path_a_query_and_page_loads() {
        let base = || rule("s", BUILTIN, Category::TARGETING);
        let value = ParameterRule { value: Pattern::new("{alnum:6}*").ok(), ..base() };
        let catalogue_of = |rule| catalogue([rule], []);
        let by_value = catalogue_of(value);
        assert!(category(&by_value, "/?a", "s=abc123&").is_some());
        assert!(category(&by_value, "/?a", "s=abc12").is_none());
        let path = ParameterRule { paths: rule_path("*/mail/*").into_iter().collect(), ..base() };
        let by_path = catalogue_of(path);
        assert!(category(&by_path, "/x/%4DAIL/?a", "s=1").is_some());
        assert!(category(&by_path, "/x/?a", "s=1").is_none());
        let query = ParameterRule { query: vec![QueryParameter::new("u=1").unwrap()], ..base() };
        let by_query = catalogue_of(query);
        assert!(category(&by_query, "/?a&u=1", "s=1").is_some());
        assert!(category(&by_query, "/?a", "s=1").is_none());
        let pages = catalogue_of(ParameterRule { page_load: true, ..base() });
        for (page_load, found) in [(true, true), (false, false)] {
            let url = UrlQuery::new(None, "/", "s=1", page_load);
            assert_eq!(pages.url_parameter("s=1", &url).is_some(), found);
        }
    }

    #[test]
    fn rules_of_the_site_win_and_are_numbered_after_the_shared_ones() {
        let shared =
            [rule("id", BUILTIN, Category::TARGETING), rule("x", BUILTIN, Category::SOCIAL)];
        let mine = ParameterRule {
            paths: rule_path("/api/*").into_iter().collect(),
            ..rule("id", RulePriority::Site, Category::NECESSARY)
        };
        let catalogue = catalogue(shared, [mine]);
        assert_eq!(category(&catalogue, "/api/x?a", "id=1"), Some(Category::NECESSARY));
        assert_eq!(category(&catalogue, "/?a", "id=1"), Some(Category::TARGETING));
        assert_eq!(catalogue.parameter_rules(), 3);
        for number in 0..3 {
            assert_eq!(catalogue.parameter_rule(number).map(|rule| rule.number), Some(number));
        }
        assert!(catalogue.parameter_rule(3).is_none());
    }

    #[test]
    fn a_query_that_a_page_needs_is_kept_except_from_rules_of_higher_tiers() {
        let keep = ParameterRule {
            paths: rule_path("*unsubscribe*").into_iter().collect(),
            ..rule("*", BUILTIN, Category::NECESSARY)
        };
        let rules = [rule("id", BUILTIN, Category::TARGETING), keep];
        let kept = catalogue(rules.clone(), []);
        assert_eq!(category(&kept, "/Unsubscribe/?a", "id=1"), None);
        assert_eq!(category(&kept, "/?a", "id=1"), Some(Category::TARGETING));
        let explicit = catalogue(rules, [rule("id", RulePriority::Site, Category::SOCIAL)]);
        assert_eq!(category(&explicit, "/unsubscribe?a", "id=1"), Some(Category::SOCIAL));
    }
}
