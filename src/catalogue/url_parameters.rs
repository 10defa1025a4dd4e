//! Identifiers in URLs (link decoration): rules for query parameters that identify a person, a
//! click or a session.
//!
//! Free of side effects. `config` collects the rules; the filter removes the parameters without
//! consent from requests.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use percent_encoding::percent_decode_str;

use super::beacon_path::{lower, normalised};
use super::matcher::{Matcher, Weight};
use super::pattern::Pattern;
use super::query_parameter::QueryParameter;
use super::removeparam::ListedParameters;
use super::rule::{Entry, RulePriority};
use super::{Catalogue, form_decoded, glob};

/// A rule for a query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterRule {
    /// The names that the rule matches. `None` for every name: the rule keeps the whole query.
    pub name: Option<Pattern>,
    /// Compare the name without regard to the case of ASCII letters.
    pub ignore_case: bool,
    /// The value that the parameter must have.
    pub value: Option<Pattern>,
    /// The paths, in lower case, of which the URL must have one. Empty for every path.
    pub paths: Vec<Pattern>,
    /// Other parameters that the query must have.
    pub query: Vec<QueryParameter>,
    /// The rule matches in page loads only.
    pub page_load: bool,
    /// The origin of the rule.
    pub tier: RulePriority,
    /// The number among the rules of its catalogue, assigned by the catalogue.
    pub number: usize,
    /// Category and description.
    pub entry: Entry,
}

impl ParameterRule {
    /// A rule for a name, without further conditions.
    pub fn new(name: Option<Pattern>, tier: RulePriority, entry: Entry) -> Self {
        Self {
            name,
            ignore_case: false,
            value: None,
            paths: Vec::new(),
            query: Vec::new(),
            page_load: false,
            tier,
            number: 0,
            entry,
        }
    }

    /// The pattern of the name, as written.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("*", Pattern::as_str)
    }

    /// The number of conditions besides the name.
    fn conditions(&self) -> usize {
        usize::from(self.value.is_some())
            + usize::from(!self.paths.is_empty())
            + self.query.len()
            + usize::from(self.page_load)
    }

    /// Whether the URL meets the conditions that do not depend on the parameter.
    fn fits(&self, url: &UrlQuery<'_>) -> bool {
        let has_path = |path: &Pattern| glob::matches(path, url.lower_path());
        (!self.page_load || url.page_load)
            && (self.paths.is_empty() || self.paths.iter().any(has_path))
            && self.query.iter().all(|parameter| parameter.is_in(url.query, true))
    }
}

/// A URL whose query parameters are looked up.
///
/// Conditions of the URL are evaluated once per rule, so that the cost of a long query is linear.
#[derive(Debug)]
pub struct UrlQuery<'a> {
    /// The host of the site.
    pub(super) host: Option<&'a str>,
    path: &'a str,
    query: &'a str,
    /// The URL is that of a page, not of a subresource.
    pub(super) page_load: bool,
    lower_path: OnceCell<Vec<u8>>,
    /// The highest tier of the rules that keep the whole query.
    kept: OnceCell<Option<RulePriority>>,
    /// The conditions evaluated so far, by number.
    evaluated: RefCell<Vec<(usize, bool)>>,
}

impl<'a> UrlQuery<'a> {
    /// A URL with this path and query. `host` is the host of the site.
    pub fn new(host: Option<&'a str>, path: &'a str, query: &'a str, page_load: bool) -> Self {
        Self {
            host,
            path,
            query,
            page_load,
            lower_path: OnceCell::new(),
            kept: OnceCell::new(),
            evaluated: RefCell::default(),
        }
    }

    /// The path as an origin interprets it, in lower case.
    pub(super) fn lower_path(&self) -> &[u8] {
        self.lower_path.get_or_init(|| lower(&normalised(self.path)).into_owned())
    }

    /// Whether the URL meets the conditions of a rule.
    fn meets(&self, rule: &ParameterRule) -> bool {
        match rule.paths.is_empty() && rule.query.is_empty() {
            true => rule.fits(self),
            false => self.evaluate(rule.number, || rule.fits(self)),
        }
    }

    /// The result of a condition with this number, evaluated once.
    pub(super) fn evaluate(&self, number: usize, condition: impl FnOnce() -> bool) -> bool {
        let mut evaluated = self.evaluated.borrow_mut();
        if let Some((_, met)) = evaluated.iter().find(|(known, _)| *known == number) {
            return *met;
        }
        let met = condition();
        evaluated.push((number, met));
        met
    }
}

/// The compiled parameter rules of a rule set.
#[derive(Debug, Default)]
pub(super) struct ParameterRules {
    /// Names of rules that ignore the case are in lower case.
    names: Matcher<ParameterRule>,
    /// Rules that keep the whole query.
    keep_all: Vec<ParameterRule>,
}

impl ParameterRules {
    /// Compiles rules, with numbers from `first` on.
    pub(super) fn compile(first: usize, rules: impl IntoIterator<Item = ParameterRule>) -> Self {
        let (mut names, mut keep_all) = (Vec::new(), Vec::new());
        for rule in rules {
            match &rule.name {
                None => keep_all.push(rule),
                Some(name) => {
                    let folded = || Pattern::new(&name.as_str().to_ascii_lowercase()).ok();
                    let key = rule.ignore_case.then(folded).flatten();
                    names.push((key.unwrap_or_else(|| name.clone()), rule));
                }
            }
        }
        let compiled = (first..).zip(names).map(|(number, (key, rule))| {
            let weight = Weight { conditions: rule.conditions(), ..Weight::of(rule.tier) };
            (key, weight, ParameterRule { number, ..rule })
        });
        Self { names: Matcher::compile(compiled), keep_all }
    }

    /// The number of rules with a name.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The rule with this index.
    pub(super) fn get(&self, index: usize) -> Option<&ParameterRule> {
        self.names.get(index)
    }

    /// The rule for a parameter.
    fn find(&self, name: &[u8], value: &str, url: &UrlQuery<'_>) -> Option<&ParameterRule> {
        let accepts = |rule: &ParameterRule| {
            let fits = |pattern| glob::matches(pattern, &form_decoded(value));
            rule.value.as_ref().is_none_or(fits) && url.meets(rule)
        };
        self.names.best(name, |rule, _| accepts(rule)).or_else(|| {
            let folded = name.iter().any(u8::is_ascii_uppercase).then(|| name.to_ascii_lowercase());
            self.names.best(&folded?, |rule, _| rule.ignore_case && accepts(rule))
        })
    }

    /// The highest tier of the rules that keep the whole query of this URL.
    fn keeps(&self, url: &UrlQuery<'_>) -> Option<RulePriority> {
        let kept = self.keep_all.iter().filter(|rule| rule.fits(url));
        kept.map(|rule| rule.tier).max()
    }
}

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
        self.lists.as_ref().map(super::FilterLists::parameters)
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
    use crate::catalogue::{RuleSet, rule_path};
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
