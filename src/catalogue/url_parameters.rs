//! Identifiers in URLs (link decoration): rules for query parameters that identify a person, a
//! click or a session.
//!
//! Free of side effects. `config` collects the rules, `parameter_lookup` finds the rule of a
//! parameter, and the filter removes the parameters without consent from requests.

use std::cell::{OnceCell, RefCell};

use super::beacon_path::{lower, normalised};
use super::glob;
use super::matcher::{Matcher, Weight};
use super::pattern::Pattern;
use super::query_parameter::{QueryParameter, form_decoded};
use super::rule::{Entry, RulePriority};

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
    pub(super) kept: OnceCell<Option<RulePriority>>,
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
    /// A rule ignores the case.
    ignores_case: bool,
    /// Rules that keep the whole query.
    keep_all: Vec<ParameterRule>,
}

/// Maximum length of a name that is converted to lower case without an allocation.
const SHORT_NAME_BYTES: usize = 64;

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
        let names = Matcher::compile(compiled);
        let ignores_case = names.values().any(|rule| rule.ignore_case);
        Self { names, ignores_case, keep_all }
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
    pub(super) fn find(
        &self,
        name: &[u8],
        value: &str,
        url: &UrlQuery<'_>,
    ) -> Option<&ParameterRule> {
        let accepts = |rule: &ParameterRule| {
            let fits = |pattern| glob::matches(pattern, &form_decoded(value));
            rule.value.as_ref().is_none_or(fits) && url.meets(rule)
        };
        self.names.best(name, |rule, _| accepts(rule)).or_else(|| {
            if !self.ignores_case || !name.iter().any(u8::is_ascii_uppercase) {
                return None;
            }
            let mut buffer = [0; SHORT_NAME_BYTES];
            let folded = match buffer.get_mut(..name.len()) {
                Some(buffer) => {
                    buffer.copy_from_slice(name);
                    buffer.make_ascii_lowercase();
                    &*buffer
                }
                None => &name.to_ascii_lowercase(),
            };
            self.names.best(folded, |rule, _| rule.ignore_case && accepts(rule))
        })
    }

    /// The highest tier of the rules that keep the whole query of this URL.
    pub(super) fn keeps(&self, url: &UrlQuery<'_>) -> Option<RulePriority> {
        let kept = self.keep_all.iter().filter(|rule| rule.fits(url));
        kept.map(|rule| rule.tier).max()
    }
}
