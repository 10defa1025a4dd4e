//! Plans `Set-Cookie` deletions. A deletion must repeat the cookie's `Domain` and `Path`, which
//! browsers never send.
//!
//! A deletion is therefore sent for each possible scope of the cookie. The scopes are those of
//! its rule, those seen in responses of the site, and guesses. Deletions that exceed the limits
//! of one response follow with the next page loads.

use http::HeaderValue;

use super::cookie_scopes::StoredScope;
use super::site_filter::Filter;
use crate::catalogue::CookieRule;
use crate::cookie::{Deletion, PrefixAttributes, cookie_domains, domain_matches};

/// Maximum number of guessed path prefixes of a request.
const MAX_PATHS: usize = 24;
/// Maximum length of a guessed path, in bytes: browsers ignore longer attribute values (RFC 6265bis
/// section 5.6).
const MAX_PATH_BYTES: usize = 1024;
/// Maximum bytes of deletions in a response: Envoy rejects header sections above 60 KiB.
const MAX_BYTES: usize = 32 * 1024;
/// Maximum bytes of a deletion besides its name, path and domain.
const ATTRIBUTE_BYTES: usize = 96;
/// Maximum number of guessed domains of a host.
const MAX_DOMAINS: usize = 8;

/// The scopes that a response can delete from: the domains of its host and the path prefixes of its
/// request.
pub(super) struct RequestScope<'a> {
    host: &'a str,
    /// The host and each parent domain up to the registrable one.
    domains: Vec<&'a str>,
    /// Every `Path` that matches the request path, shortest first.
    paths: Vec<&'a str>,
    secure: bool,
}

impl<'a> RequestScope<'a> {
    pub(super) fn new(host: &'a str, path: &'a str, secure: bool) -> Self {
        let mut domains: Vec<&str> = cookie_domains(host).collect();
        domains.drain(..domains.len().saturating_sub(MAX_DOMAINS));

        let slashes = path.match_indices('/').map(|(at, _)| at);
        // `/shop` and `/shop/` are two paths (RFC 6265bis section 5.1.4).
        let ends = slashes.flat_map(|at| [at, at + 1]).chain([path.len()]);
        let prefixes =
            ends.take_while(|end| *end <= MAX_PATH_BYTES).filter_map(|end| path.get(..end));
        let mut paths: Vec<&str> = prefixes.filter(|prefix| prefix.starts_with('/')).collect();
        paths.dedup();
        if paths.is_empty() {
            paths.push("/");
        }
        // Keeps the shortest and the longest paths: cookies are mostly set for the top of the site
        // or for the page itself.
        let surplus = paths.len().saturating_sub(MAX_PATHS);
        if surplus > 0 {
            paths.drain(MAX_PATHS / 2..MAX_PATHS / 2 + surplus);
        }
        Self { host, domains, paths, secure }
    }

    /// Whether this host can delete a cookie with this `Domain`.
    fn has(&self, domain: &[u8]) -> bool {
        let registrable = self.domains.last();
        domain == self.host.as_bytes()
            || domain_matches(self.host.as_bytes(), domain)
                && registrable.is_some_and(|registrable| domain.len() >= registrable.len())
    }
}

/// A cookie to delete, and the scopes to try.
pub(super) struct DeletionTarget<'a> {
    name: &'a [u8],
    prefix: PrefixAttributes,
    /// The scope in its rule, and the scopes in which the site was seen to set the cookie.
    known: Vec<StoredScope>,
    /// Number of guessed domains, not counting the host-only scope.
    domains: usize,
    /// Number of guessed paths.
    paths: usize,
}

impl<'a> DeletionTarget<'a> {
    /// A cookie that the browser sent. The cookie exists, possibly in an unknown scope.
    pub(super) fn sent(filter: &Filter, name: &'a [u8], scope: &RequestScope<'_>) -> Self {
        let rule = filter.settings.policy.catalogue.cookie(name);
        let prefix = PrefixAttributes::of(name);
        // A cookie without a rule may be the login of a sibling host under the same parent domain.
        let domains = if rule.is_some() && !prefix.host_only { scope.domains.len() } else { 0 };
        let paths = if prefix.host_only { 1 } else { scope.paths.len() };
        Self { domains, paths, ..Self::known(filter, rule, name, scope) }
    }

    /// A cookie that the browser may store without sending it in this request.
    pub(super) fn unsent(filter: &Filter, name: &'a [u8], scope: &RequestScope<'_>) -> Self {
        Self::known(filter, filter.settings.policy.catalogue.cookie(name), name, scope)
    }

    fn known(
        filter: &Filter,
        rule: Option<&CookieRule>,
        name: &'a [u8],
        scope: &RequestScope<'_>,
    ) -> Self {
        let rule_scope = rule.and_then(|rule| rule.scope.as_ref()).map(|scope| StoredScope {
            domain: scope.domain.as_ref().map(|domain| domain.as_bytes().into()),
            path: scope.path.as_bytes().into(),
            ..StoredScope::default()
        });
        let mut known = filter.scopes.scopes_of(name);
        if let Some(stored) = rule_scope.filter(|stored| !known.contains(stored)) {
            known.insert(0, stored);
        }
        known.retain(|stored| stored.domain.as_deref().is_none_or(|domain| scope.has(domain)));
        Self { name, prefix: PrefixAttributes::of(name), known, domains: 0, paths: 0 }
    }

    /// The guessed scopes: for each path first the host-only scope, then each domain.
    fn guesses<'r>(
        &'r self,
        scope: &'r RequestScope<'_>,
    ) -> impl Iterator<Item = (Option<&'r [u8]>, &'r [u8])> + 'r {
        let paths = scope.paths.iter().take(self.paths).map(|path| path.as_bytes());
        let domains = scope.domains.iter().take(self.domains);
        let domains = std::iter::once(None).chain(domains.map(|domain| Some(domain.as_bytes())));
        paths.flat_map(move |path| domains.clone().map(move |domain| (domain, path)))
    }

    /// Upper bound of the bytes of one line.
    fn max_line_bytes(&self, scope: &RequestScope<'_>) -> usize {
        let known = self.known.iter();
        let guessed = scope.paths.iter().map(|path| path.len());
        let paths = known.clone().map(|stored| stored.path.len()).chain(guessed);
        let domains = known.filter_map(|stored| stored.domain.as_ref()).map(|domain| domain.len());
        let domain = domains.chain([scope.host.len()]).max().unwrap_or_default();
        self.name.len() + paths.max().unwrap_or_default() + domain + ATTRIBUTE_BYTES
    }

    /// Number of scopes to try.
    fn scope_count(&self, scope: &RequestScope<'_>) -> usize {
        let guessed = |stored: &&StoredScope| {
            let matches = (stored.domain.as_deref(), &*stored.path);
            !stored.partitioned && self.guesses(scope).any(|guess| guess == matches)
        };
        let doubled = self.known.iter().filter(guessed).count();
        self.known.len() + self.paths * (1 + self.domains) - doubled
    }

    /// The line for one scope. Known scopes come first.
    fn line(&self, number: usize, scope: &RequestScope<'_>) -> Option<HeaderValue> {
        let known = |(domain, path): &(Option<&[u8]>, &[u8])| {
            let matches = |stored: &StoredScope| {
                !stored.partitioned && stored.domain.as_deref() == *domain && *stored.path == **path
            };
            self.known.iter().any(matches)
        };
        let (domain, path, partitioned) = match self.known.get(number) {
            Some(stored) => (stored.domain.as_deref(), &*stored.path, stored.partitioned),
            None => {
                let mut guesses = self.guesses(scope).filter(|guess| !known(guess));
                let (domain, path) = guesses.nth(number.checked_sub(self.known.len())?)?;
                (domain, path, false)
            }
        };
        let deletion = Deletion {
            name: self.name,
            domain,
            path: Some(path),
            // Browsers reject `Secure` lines over HTTP.
            secure: scope.secure || partitioned || self.prefix.secure,
            http_only: self.prefix.http_only,
            same_site: None,
            partitioned,
        };
        deletion.line()
    }
}

/// The `Set-Cookie` lines that delete the cookies: at most `max_lines` lines and [`MAX_BYTES`].
///
/// If there are more, each `rotation` continues after the previous one. The order is the first scope of
/// every cookie, then the second scope of every cookie, and so on, and then the first again.
pub(super) fn plan(
    cookies: &[DeletionTarget<'_>],
    scope: &RequestScope<'_>,
    max_lines: usize,
    rotation: usize,
) -> Vec<HeaderValue> {
    let max_line_bytes =
        cookies.iter().map(|cookie| cookie.max_line_bytes(scope)).max().unwrap_or(1);
    let max_lines = max_lines.min((MAX_BYTES / max_line_bytes).max(1));
    let cookies: Vec<_> =
        cookies.iter().map(|cookie| (cookie, cookie.scope_count(scope))).collect();
    let total: usize = cookies.iter().map(|(_, scope_count)| scope_count).sum();
    let line = |(cookie, stored): (&DeletionTarget<'_>, usize)| cookie.line(stored, scope);
    if total <= max_lines {
        let by_cookie = cookies.iter().flat_map(|(cookie, scope_count)| {
            (0..*scope_count).map(move |stored| (*cookie, stored))
        });
        return by_cookie.filter_map(line).collect();
    }
    let rounds = cookies.iter().map(|(_, scope_count)| *scope_count).max().unwrap_or_default();
    let of_round = |round| {
        let has_scope =
            move |(_, scope_count): &&(&DeletionTarget<'_>, usize)| round < *scope_count;
        cookies.iter().filter(has_scope).map(move |(cookie, _)| (*cookie, round))
    };
    let all = (0..rounds).flat_map(of_round);
    all.cycle()
        .skip(rotation.wrapping_mul(max_lines) % total)
        .take(max_lines)
        .filter_map(line)
        .collect()
}
