//! Deletion of cookies without consent in the browser (RFC 6265bis section 5.7).
//!
//! Deletions are sent only with page loads, and their number is bounded. Browsers delete at once,
//! and responses to images or scripts stay cacheable. `deletion_plan` selects the scopes of each
//! deletion.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use http::HeaderValue;

use super::client_info::ClientInfo;
use super::deletion_plan::{DeletionTarget, RequestScope, plan};
use super::site_filter::Filter;
use crate::catalogue::LIST_COOKIE;
use crate::config::settings::SiblingNeeds;
use crate::consent::sources::Native;
use crate::consent::{Consent, Signals};
use crate::cookie::Cookies;
use crate::http::Fields;

/// Maximum number of cookies of a request to delete: browsers store about 180 per site.
pub(super) const MAX_NAMES: usize = 192;
/// Maximum number of header fields of a response with deletions: Envoy rejects more than 100, and
/// adds its own.
const MAX_FIELDS: usize = 90;
/// Header fields reserved for a consent UI page besides its deletions.
const OWN_PAGE_FIELDS: usize = 30;

/// The cookies that the response to a page load deletes.
#[derive(Debug)]
pub(super) struct PageLoadDeletions {
    /// Names of cookies without consent that the browser sent, without duplicates.
    pub(super) names: Vec<Box<[u8]>>,
    /// Whether the client uses HTTPS.
    pub(super) secure: bool,
}

impl PageLoadDeletions {
    /// The `Set-Cookie` values for a response with `fields` header fields, to a request for this
    /// host and path.
    pub(super) fn deletions(
        &self,
        filter: &Filter,
        (host, path): (&str, &str),
        fields: usize,
    ) -> Vec<HeaderValue> {
        let scope = RequestScope::new(host, path, self.secure);
        let target = |name| DeletionTarget::sent(filter, name, &scope);
        let cookies: Vec<_> = self.names.iter().map(|name| target(name)).collect();
        let max_lines =
            filter.settings.expire.max_per_response.min(MAX_FIELDS.saturating_sub(fields));
        let rotation = filter.page_loads.fetch_add(1, Relaxed);
        plan(&cookies, &scope, max_lines, rotation)
    }
}

impl Filter {
    /// The `Set-Cookie` values that delete all cookies without consent, in the reply to a
    /// withdrawal. They cover cookies that the browser sent and cookies that this site is known to
    /// set, in all known scopes. Empty in observe mode.
    ///
    /// `host` has no port. `path` is the request path. Its prefixes are guessed as cookie paths,
    /// whatever this process has seen.
    pub(crate) fn deletions(
        &self,
        consent: &Consent,
        (host, path): (&str, &str),
        fields: &impl Fields,
        client_info: ClientInfo,
        now: i64,
    ) -> Vec<HeaderValue> {
        if !self.enforces() {
            return Vec::new();
        }
        let host = host.to_ascii_lowercase();
        let scope = RequestScope::new(&host, path, client_info.secure);
        let cookies = Cookies::of(fields);
        let needs = self.sibling_needs(&host, &cookies, fields, client_info.trusted, consent, now);
        let is_deletion_needed = |name: &&[u8]| {
            !self.settings.policy.stored_cookie(name, &cookies, consent).permitted
                && is_deletable(needs.as_ref(), name)
        };
        let sent: BTreeSet<&[u8]> = cookies.pairs().map(|pair| pair.name).take(MAX_NAMES).collect();
        let scopes = self.scopes.exact_names();
        let catalogue = &self.settings.policy.catalogue;
        let rules =
            (0..catalogue.cookie_rules()).filter_map(|number| catalogue.cookie_rule(number));
        let with_scope = rules.filter(|rule| rule.scope.is_some() && rule.pattern.is_exact());
        let with_scope = with_scope.map(|rule| rule.pattern.as_str().as_bytes());
        let unsent: BTreeSet<&[u8]> = scopes.iter().map(Vec::as_slice).chain(with_scope).collect();
        let unsent = unsent.difference(&sent).copied().filter(is_deletion_needed);
        let unsent = unsent.map(|name| DeletionTarget::unsent(self, name, &scope));
        let sent = sent
            .iter()
            .copied()
            .filter(is_deletion_needed)
            .map(|name| DeletionTarget::sent(self, name, &scope));
        let cookies: Vec<_> = sent.chain(unsent).collect();
        let max_lines = self.settings.expire.max_per_response.min(MAX_FIELDS - OWN_PAGE_FIELDS);
        plan(&cookies, &scope, max_lines, 0)
    }

    /// The cookies of a request for this host that sibling sites need. `None` without sibling
    /// sites.
    pub(super) fn sibling_needs<'a>(
        &'a self,
        host: &'a str,
        cookies: &Cookies<'_>,
        fields: &impl Fields,
        trusted: bool,
        consent: &Consent,
        now: i64,
    ) -> Option<SiblingNeeds<'a>> {
        let siblings = self.settings.siblings.as_ref()?;
        let signals = Signals::of(fields);
        Some(siblings.needs(host, |reader| {
            if std::ptr::eq(reader, &*self.settings.reader) {
                return consent.granted;
            }
            reader.read(cookies, signals, reader.region_of(fields, trusted), now).granted
        }))
    }
}

/// Whether a cookie may be deleted: it is not one of consentry's own cookies, and no sibling site
/// needs it.
pub(super) fn is_deletable(needs: Option<&SiblingNeeds<'_>>, name: &[u8]) -> bool {
    let own_cookies = [Native::COOKIE, LIST_COOKIE];
    !own_cookies.iter().any(|own| own.as_bytes() == name)
        && needs.is_none_or(|needs| !needs.include(name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Overrides, parse};
    use crate::cookie::SetCookie;
    use http::HeaderMap;

    fn filter(toml: &str) -> Filter {
        let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
        let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
        Filter::new(config.sites[0].filter.clone())
    }

    /// The deletion lines of successive page loads for these cookies, one list per page load.
    fn loads(
        filter: &Filter,
        names: &[&str],
        (host, path): (&str, &str),
        loads: usize,
    ) -> Vec<Vec<String>> {
        let names = names.iter().map(|name| name.as_bytes().into()).collect();
        let page = PageLoadDeletions { names, secure: false };
        let lines = (0..loads).map(|_| page.deletions(filter, (host, path), 10));
        let text = |line: &HeaderValue| line.to_str().expect("ASCII").to_owned();
        lines.map(|lines| lines.iter().map(text).collect()).collect()
    }

    fn load(filter: &Filter, names: &[&str], host: &str, path: &str) -> Vec<String> {
        loads(filter, names, (host, path), 1).remove(0)
    }

    fn learn(filter: &Filter, line: &str) {
        let cookie = SetCookie::parse(line.as_bytes());
        filter.scopes.record(&cookie, &cookie.scope(), "/");
    }

    #[test]
    fn known_trackers_are_deleted_in_every_possible_scope() {
        assert_eq!(
            load(&filter(""), &["_ga"], "www.shop.example.co.uk", "/"),
            [
                "_ga=; Max-Age=0; Path=/",
                "_ga=; Max-Age=0; Path=/; Domain=www.shop.example.co.uk",
                "_ga=; Max-Age=0; Path=/; Domain=shop.example.co.uk",
                "_ga=; Max-Age=0; Path=/; Domain=example.co.uk",
            ]
        );
        assert_eq!(
            load(&filter(""), &["_ga"], "shop.example", "/a/b"),
            [
                "_ga=; Max-Age=0; Path=/",
                "_ga=; Max-Age=0; Path=/; Domain=shop.example",
                "_ga=; Max-Age=0; Path=/a",
                "_ga=; Max-Age=0; Path=/a; Domain=shop.example",
                "_ga=; Max-Age=0; Path=/a/",
                "_ga=; Max-Age=0; Path=/a/; Domain=shop.example",
                "_ga=; Max-Age=0; Path=/a/b",
                "_ga=; Max-Age=0; Path=/a/b; Domain=shop.example",
            ]
        );
    }

    #[test]
    fn unclassified_cookies_are_deleted_host_only_at_each_path_prefix() {
        assert_eq!(
            load(&filter(""), &["odd"], "www.shop.example", "/sub/deep/"),
            ["/", "/sub", "/sub/", "/sub/deep", "/sub/deep/"]
                .map(|path| format!("odd=; Max-Age=0; Path={path}"))
        );
        assert_eq!(
            load(&filter(""), &[""], "www.shop.example", "/"),
            ["=deleted; Max-Age=0; Path=/"]
        );
        for path in ["*", "", "/"] {
            assert_eq!(
                load(&filter(""), &["odd"], "a", path),
                ["odd=; Max-Age=0; Path=/"],
                "{path}"
            );
        }
    }

    #[test]
    fn for_long_paths_and_hosts_the_likeliest_scopes_are_deleted() {
        let path = "/x".repeat(1000);
        let lines = load(&filter("[expire]\nmax_per_response = 200"), &["odd"], "a", &path);
        assert_eq!(lines.len(), 24);
        assert_eq!(lines.first().map(String::as_str), Some("odd=; Max-Age=0; Path=/"));
        assert_eq!(lines.last().map(String::len), Some("odd=; Max-Age=0; Path=".len() + 1024));
        let host = "x.".repeat(50) + "shop.example";
        let lines = load(&filter(""), &["_ga"], &host, "/");
        assert_eq!(lines.len(), 9);
        assert!(lines.iter().any(|line| line.ends_with("; Domain=shop.example")));
    }

    #[test]
    fn addresses_single_labels_public_suffixes_and_trailing_dots_get_no_domain_attribute() {
        for host in [
            "127.0.0.1",
            "[::1]",
            "::1",
            "localhost",
            "github.io",
            "co.uk",
            "www.example.com.",
            "com.",
            "a;Secure",
            "",
        ] {
            assert_eq!(
                load(&filter(""), &["_ga"], host, "/"),
                ["_ga=; Max-Age=0; Path=/"],
                "{host}"
            );
        }
    }

    #[test]
    fn deletions_of_prefixed_names_have_the_required_attributes() {
        let filter = filter("");
        assert_eq!(
            load(&filter, &["__host-_ga"], "a.example.com", "/a/b"),
            ["__host-_ga=; Max-Age=0; Path=/; Secure"]
        );
        assert_eq!(
            load(&filter, &["__Secure-_ga"], "example.com", "/"),
            [
                "__Secure-_ga=; Max-Age=0; Path=/; Secure",
                "__Secure-_ga=; Max-Age=0; Path=/; Domain=example.com; Secure"
            ]
        );
        assert_eq!(
            load(&filter, &["__Host-Http-odd"], "example.com", "/"),
            ["__Host-Http-odd=; Max-Age=0; Path=/; Secure; HttpOnly"]
        );
    }

    #[test]
    fn known_scopes_precede_guesses_and_foreign_domains_are_skipped() {
        let filter = filter(
            "[[cookie]]\nname = 'uid'\ncategory = 'analytics'\npath = '/account'\ndomain = '.example.com'",
        );
        for line in [
            "x=1; Domain=.Example.com; Path=/",
            "x=1; Path=/shop; Partitioned",
            "x=1; Path=/; Domain=b.example.com",
            "x=1; Path=/; Domain=ample.com",
            "x=1; Path=/; Domain=com",
        ] {
            learn(&filter, line);
        }
        assert_eq!(
            load(&filter, &["x", "uid"], "a.example.com", "/"),
            [
                "x=; Max-Age=0; Path=/; Domain=example.com",
                "x=; Max-Age=0; Path=/shop; Secure; Partitioned",
                "x=; Max-Age=0; Path=/",
                "uid=; Max-Age=0; Path=/account; Domain=example.com",
                "uid=; Max-Age=0; Path=/",
                "uid=; Max-Age=0; Path=/; Domain=a.example.com",
                "uid=; Max-Age=0; Path=/; Domain=example.com",
            ]
        );
        assert_eq!(
            load(&filter, &["uid"], "other.example", "/").len(),
            2,
            "another domain than the rule's"
        );
    }

    #[test]
    fn consentrys_own_cookie_is_never_deleted() {
        for own in ["consentry", "consentry_presumed"] {
            assert!(!is_deletable(None, own.as_bytes()), "{own}");
        }
        assert!(is_deletable(None, b"_ga"));
    }

    #[test]
    fn a_withdrawal_deletes_sent_learned_and_configured_scopes() {
        let filter = Arc::new(filter(
            "[[cookie]]\nname = 'deep'\ncategory = 'analytics'\npath = '/a'\n\
             [[cookie]]\nname = 'wild_*'\ncategory = 'analytics'\npath = '/b'\n\
             [[cookie]]\nname = 'mine'\ncategory = 'necessary'\npath = '/c'",
        ));
        for line in
            ["_fbp=1; Path=/shop", "PHPSESSID=1; Path=/", "sess_8f14e45fceea167a=1; Path=/s"]
        {
            learn(&filter, line);
        }
        let mut headers = HeaderMap::new();
        let cookie = "consentry=x; odd=1; PHPSESSID=2; wild_1=3; odd=4; sess_00000000000000ff=5";
        headers.insert("cookie", HeaderValue::from_static(cookie));
        let consent = Consent::undecided(crate::consent::CategorySet::NECESSARY);
        let lines =
            filter.deletions(&consent, ("Shop.example", "/"), &headers, ClientInfo::default(), 0);
        assert_eq!(
            lines,
            [
                "odd=; Max-Age=0; Path=/",
                "sess_00000000000000ff=; Max-Age=0; Path=/s",
                "sess_00000000000000ff=; Max-Age=0; Path=/",
                "wild_1=; Max-Age=0; Path=/b",
                "wild_1=; Max-Age=0; Path=/",
                "wild_1=; Max-Age=0; Path=/; Domain=shop.example",
                "_fbp=; Max-Age=0; Path=/shop",
                "deep=; Max-Age=0; Path=/a",
            ]
        );
    }

    proptest! {
        #[test]
        fn every_scope_is_deleted_within_the_expected_number_of_page_loads(
            unknown in 0..40_usize, trackers in 0..8_usize, depth in 0..6_usize,
            max_lines in 1..40_usize, before in 0..100_usize,
        ) {
            let rule = "[[cookie]]\nname = '_ga_*'\ncategory = 'analytics'";
            let filter = filter(&format!("catalogue = []\n{rule}\n[expire]\nmax_per_response = {max_lines}"));
            filter.page_loads.store(before, Relaxed);
            let names: Vec<String> = (0..unknown)
                .map(|number| format!("odd{number}"))
                .chain((0..trackers).map(|number| format!("_ga_{number}")))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let path = "/x".repeat(depth) + "/";
            let (host, paths) = ("www.shop.example", 2 * depth + 1);
            let total = (unknown + 3 * trackers) * paths;
            let all = loads(&filter, &names, (host, &path), total.div_ceil(max_lines));
            prop_assert!(all.iter().all(|lines| lines.len() <= max_lines));
            let mut lines: Vec<String> = all.concat();
            lines.sort();
            lines.dedup();
            prop_assert_eq!(lines.len(), total);
        }
    }

    #[test]
    fn deletions_reserve_room_for_response_fields() {
        let filter = filter("[expire]\nmax_per_response = 200");
        let names: Vec<Box<[u8]>> =
            (0..150).map(|number| format!("odd{number}").into_bytes().into()).collect();
        let page = PageLoadDeletions { names, secure: false };
        let lines = |fields| page.deletions(&filter, ("a", "/"), fields).len();
        assert_eq!((lines(0), lines(80), lines(90), lines(200)), (90, 10, 0, 0));
    }

    #[test]
    fn a_withdrawal_and_long_paths_stay_within_the_limits_of_envoy() {
        let filter = filter("[expire]\nmax_per_response = 200");
        let cookies: Vec<String> = (0..150).map(|number| format!("odd{number}=1")).collect();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", cookies.join("; ").parse().expect("a value"));
        let consent = Consent::undecided(crate::consent::CategorySet::NECESSARY);
        let lines =
            filter.deletions(&consent, ("shop.example", "/"), &headers, ClientInfo::default(), 0);
        assert_eq!(lines.len(), MAX_FIELDS - OWN_PAGE_FIELDS);

        let names = cookies.iter().map(|pair| pair.as_bytes()[..pair.len() - 2].into());
        let page = PageLoadDeletions { names: names.collect(), secure: false };
        let path = "/".to_owned() + &"x".repeat(1000);
        let lines = page.deletions(&filter, ("a", &path), 0);
        let bytes: usize = lines.iter().map(HeaderValue::len).sum();
        assert!(!lines.is_empty() && bytes <= 32 * 1024, "{bytes}");
    }
}
