//! Query parameters in filter lists: lines with `$removeparam`, the syntax of AdGuard and uBlock
//! Origin.
//!
//! A line names one parameter. It applies to all URLs, to a host with its subdomains
//! (`||shop.example^`), or to the beginning of a path (`||shop.example/shop/*`). Exceptions begin
//! with `@@`. Lines apply to page loads only, as in AdGuard. Lines with a regular expression, a negated
//! name or other conditions have no effect.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::glob;
use super::pattern::Pattern;
use super::rule::{Entry, RulePriority};
use super::url_parameters::{ParameterRule, UrlQuery};
use crate::consent::Category;

/// The name of the common rule of all lists.
const RULE_NAME: &str = "(filter list)";

/// The parameters of filter lists.
#[derive(Debug, Clone)]
pub(super) struct ListedParameters {
    names: Arc<HashMap<Box<[u8]>, Scopes, RandomState>>,
    /// Exceptions for all parameters.
    exceptions: Arc<[Scope]>,
    /// The rule of every parameter that the lists remove.
    rule: ParameterRule,
}

/// Where a parameter is removed, and where it is not.
#[derive(Debug, Default)]
struct Scopes {
    /// The number among the names.
    index: usize,
    removed: Vec<Scope>,
    kept: Vec<Scope>,
}

/// The URLs that a line applies to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Scope {
    /// The host, with its subdomains. `None` for every host.
    host: Option<Box<str>>,
    /// The path in lower case. `None` for every path.
    path: Option<Pattern>,
    /// The hosts in `domain`, with their subdomains. Empty for every host.
    domains: Vec<Box<str>>,
    /// The negated hosts in `domain`.
    other_domains: Vec<Box<str>>,
}

/// A line of a filter list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParameterLine<'a> {
    /// The name. `None` for an exception for every parameter.
    name: Option<&'a str>,
    exception: bool,
    scope: Scope,
}

/// Parses a line. `None` if it has no `$removeparam`, `Some(None)` if it has an unsupported one.
pub(super) fn parse(line: &str) -> Option<Option<ParameterLine<'_>>> {
    let line = line.trim();
    if line.starts_with(['!', '[', '#']) {
        return None;
    }
    let (pattern, options) = line.rsplit_once('$')?;
    let is_removal = |option: &str| option == "removeparam" || option.starts_with("removeparam=");
    if !options.split(',').any(is_removal) {
        // A regular expression can contain `$` and commas.
        return line.contains("$removeparam").then_some(None);
    }
    Some(supported(pattern, options))
}

fn supported<'a>(pattern: &str, options: &'a str) -> Option<ParameterLine<'a>> {
    let (pattern, exception) = match pattern.strip_prefix("@@") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut scope = scope(pattern)?;
    let mut name = None;
    for option in options.split(',') {
        let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| {
            (key, Some(value).filter(|value| !value.is_empty()))
        });
        match (key, value) {
            ("removeparam", value) => name = value,
            ("domain" | "from", Some(domains)) => {
                for domain in domains.split('|') {
                    let (domain, hosts) = match domain.strip_prefix('~') {
                        Some(domain) => (domain, &mut scope.other_domains),
                        None => (domain, &mut scope.domains),
                    };
                    hosts.push(host(domain)?.into());
                }
            }
            ("document" | "doc" | "subdocument" | "important" | "all", None) => {}
            _ => return None,
        }
    }
    match name {
        Some(name) if name.starts_with(['~', '/']) || name.contains(['*', '|', '&', '=']) => None,
        None if !exception => None,
        name => Some(ParameterLine { name, exception, scope }),
    }
}

/// Parses a pattern: empty, `*`, or `||` with a host, and optionally a path.
fn scope(pattern: &str) -> Option<Scope> {
    if matches!(pattern, "" | "*") {
        return Some(Scope::default());
    }
    let rest = pattern.strip_prefix("||")?;
    let end = rest.find(['/', '^', '*', '|', '?', ':']).unwrap_or(rest.len());
    let (name, path) = rest.split_at_checked(end)?;
    let path = match path {
        "" | "^" | "/" | "*" | "^*" | "/*" => None,
        path if path.starts_with('/') && !path.contains(['^', '|', '?', '{', '}']) => {
            let path = path.trim_end_matches('*').to_ascii_lowercase();
            Some(Pattern::new(&format!("{path}*")).ok()?)
        }
        _ => return None,
    };
    Some(Scope { host: Some(host(name)?.into()), path, ..Scope::default() })
}

/// Parses a host name.
fn host(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain);
    is_host.then(|| text.to_ascii_lowercase())
}

impl Scope {
    fn contains(&self, url: &UrlQuery<'_>) -> bool {
        let is_in = |domain: &str| url.host.is_some_and(|host| is_below(host, domain));
        self.host.as_deref().is_none_or(is_in)
            && (self.domains.is_empty() || self.domains.iter().any(|domain| is_in(domain)))
            && !self.other_domains.iter().any(|domain| is_in(domain))
            && self.path.as_ref().is_none_or(|path| glob::matches(path, url.lower_path()))
    }
}

/// Whether a host is a domain or one of its subdomains.
fn is_below(host: &str, domain: &str) -> bool {
    let at = host.len().checked_sub(domain.len());
    let parts = at.and_then(|at| host.split_at_checked(at));
    parts.is_some_and(|(before, end)| {
        end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.'))
    })
}

impl ListedParameters {
    /// Compiles the lines of filter lists. All parameters have the same category.
    pub(super) fn compile<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        category: Category,
    ) -> Option<Self> {
        let mut names: HashMap<Box<[u8]>, Scopes, RandomState> = HashMap::default();
        let mut exceptions = Vec::new();
        let lines = texts.into_iter().flat_map(str::lines).filter_map(|line| parse(line).flatten());
        for ParameterLine { name, exception, scope } in lines {
            let Some(name) = name else {
                exceptions.push(scope);
                continue;
            };
            let index = names.len();
            let new = || Scopes { index, ..Scopes::default() };
            let scopes = names.entry(name.as_bytes().into()).or_insert_with(new);
            if exception { &mut scopes.kept } else { &mut scopes.removed }.push(scope);
        }
        let vendor = Some(Arc::from("a filter list"));
        let entry = Entry { vendor, ..Entry::new(category) };
        // The lowest tier, so that every other rule takes precedence.
        let tier = RulePriority::Catalogue(0);
        let rule = ParameterRule::new(Some(Pattern::new(RULE_NAME).ok()?), tier, entry);
        Some(Self { names: Arc::new(names), exceptions: exceptions.into(), rule })
    }

    /// The rule, if the lists remove the parameter from this URL.
    pub(super) fn find(&self, name: &[u8], url: &UrlQuery<'_>) -> Option<&ParameterRule> {
        let scopes = self.names.get(name).filter(|_| url.page_load)?;
        let contains = |scopes: &[Scope]| scopes.iter().any(|scope| scope.contains(url));
        let is_removed =
            || contains(&scopes.removed) && !contains(&scopes.kept) && !contains(&self.exceptions);
        let number = self.rule.number.saturating_add(scopes.index);
        url.evaluate(number, is_removed).then_some(&self.rule)
    }

    /// The rule of every parameter that the lists remove.
    pub(super) fn rule(&self) -> &ParameterRule {
        &self.rule
    }

    /// Sets the number of the rule in the catalogue.
    pub(super) fn number(&mut self, number: usize) {
        self.rule.number = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_apply_to_the_hosts_paths_and_page_loads_that_they_name() {
        let text = "! $removeparam=comment\n\
                    $removeparam=everywhere\n\
                    ||shop.example^$removeparam=host\n\
                    ||shop.example/Sale/*$removeparam=path\n\
                    *$removeparam=listed,domain=shop.example|other.example\n\
                    $removeparam=excluded,domain=~shop.example\n\
                    @@||shop.example/pay$removeparam=everywhere\n\
                    @@||safe.example^$removeparam\n\
                    /^x/$removeparam=/^ab,c/\n\
                    ||shop.example^$removeparam=~kept\n";
        let lists = ListedParameters::compile([text], Category::ANALYTICS).expect("a rule");
        let found = |host, path, name: &str, page_load| {
            let url = UrlQuery::new(Some(host), path, "", page_load);
            lists.find(name.as_bytes(), &url).is_some()
        };
        for (host, path, name, expected) in [
            ("shop.example", "/", "everywhere", true),
            ("shop.example", "/pay/1", "everywhere", false),
            ("www.safe.example", "/", "everywhere", false),
            ("www.shop.example", "/", "host", true),
            ("myshop.example", "/", "host", false),
            ("shop.example", "/sale/1", "path", true),
            ("shop.example", "/", "path", false),
            ("shop.example", "/", "listed", true),
            ("third.example", "/", "listed", false),
            ("shop.example", "/", "excluded", false),
            ("third.example", "/", "excluded", true),
            ("shop.example", "/", "comment", false),
            ("shop.example", "/", "kept", false),
        ] {
            assert_eq!(found(host, path, name, true), expected, "{host}{path} {name}");
        }
        assert!(!found("shop.example", "/", "everywhere", false), "not a page load");
    }

    #[test]
    fn lines_with_other_conditions_are_unsupported() {
        for (line, supports) in [
            ("$removeparam=x", Some(true)),
            ("||h.example^$removeparam=x,document", Some(true)),
            ("@@||h.example^$removeparam", Some(true)),
            ("$removeparam", Some(false)),
            ("$removeparam=/^utm/", Some(false)),
            ("||h.example^$removeparam=/a,b$/", Some(false)),
            ("$removeparam=~x", Some(false)),
            ("$removeparam=x,script", Some(false)),
            ("$removeparam=x,app=y", Some(false)),
            ("h.example/$removeparam=x", Some(false)),
            ("||h.example^path$removeparam=x", Some(false)),
            ("$removeparam=x,domain=a.*", Some(false)),
            ("||h.example^$third-party", None),
            ("! $removeparam=x", None),
            ("", None),
        ] {
            assert_eq!(parse(line).map(|line| line.is_some()), supports, "{line}");
        }
    }
}
