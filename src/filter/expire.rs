//! Tells the browser to delete cookies that should not be there (RFC 6265bis section 5.7).
//!
//! A deletion has to name the cookie's `Domain` and `Path`, which the browser never sends. So it is sent for each
//! place that the cookie can live in: where a rule says, where the site was seen to set it, and where it can be
//! guessed to be. What does not fit into one response goes with the next ones, in turn.
//!
//! Only on page loads and bounded in number: the browser deletes at once, and responses to images or scripts stay
//! cacheable.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use http::HeaderValue;
use http::header::HeaderMap;

use super::learned::Place;
use super::peer::Peer;
use super::state::Filter;
use crate::catalogue::CookieRule;
use crate::config::settings::SiblingNeeds;
use crate::consent::sources::Native;
use crate::consent::{Consent, Signals};
use crate::cookie::{Cookies, Deletion, Demands, domain_matches, registrable_domain};

/// The most cookies of one request that are deleted: browsers keep some 180 for a site.
pub(super) const MAX_NAMES: usize = 192;
/// The most prefixes of a request's path that a cookie is looked for at.
const MAX_PATHS: usize = 24;
/// The most domains of a host that a cookie is looked for at.
const MAX_DOMAINS: usize = 8;
/// The most header fields of a response to which deletions are added: Envoy rejects more than 100, and adds its own.
const MAX_FIELDS: usize = 90;

/// The cookies that the response to a page load deletes.
#[derive(Debug)]
pub(super) struct PageLoad {
    /// The names of cookies without consent that the browser sent, each once.
    pub(super) names: Vec<Box<[u8]>>,
    /// Whether the visitor's side is https.
    pub(super) secure: bool,
}

impl PageLoad {
    /// The `Set-Cookie` values for a response with so many fields to a request for this host and path.
    pub(super) fn deletions(
        &self,
        filter: &Filter,
        (host, path): (&str, &str),
        fields: usize,
    ) -> Vec<HeaderValue> {
        let reach = Reach::new(host, path, self.secure);
        let cookies: Vec<_> =
            self.names.iter().map(|name| Doomed::sent(filter, name, &reach)).collect();
        let room = MAX_FIELDS.saturating_sub(fields);
        let most = filter.settings.expire.max_per_response.min(room);
        let turn = filter.page_loads.fetch_add(1, Relaxed);
        plan(&cookies, &reach, most, turn.wrapping_mul(most))
    }
}

impl Filter {
    /// The `Set-Cookie` values that delete what a consent does not allow, in the answer to a withdrawal: cookies that
    /// the browser sent, and those that this site is known to set, wherever they live. None while observing.
    ///
    /// `host` is without port.
    pub(crate) fn deletions(
        &self,
        consent: &Consent,
        host: &str,
        headers: &HeaderMap,
        peer: Peer,
        now: i64,
    ) -> Vec<HeaderValue> {
        if !self.enforces() {
            return Vec::new();
        }
        let host = host.to_ascii_lowercase();
        let reach = Reach::new(&host, "/", peer.secure);
        let needs = self.sibling_needs(&host, headers, peer.trusted, consent, now);
        let cookies = Cookies::of(headers);
        let sent: HashSet<&[u8]> = cookies.pairs().map(|pair| pair.name).take(MAX_NAMES).collect();
        let learned = self.learned.exact_names();
        let catalogue = &self.settings.policy.catalogue;
        let rules =
            (0..catalogue.cookie_rules()).filter_map(|number| catalogue.cookie_rule(number));
        let placed = rules.filter(|rule| rule.place.is_some() && rule.pattern.is_exact());
        let unsent = learned.iter().map(Vec::as_slice);
        let unsent = unsent.chain(placed.map(|rule| rule.pattern.as_str().as_bytes()));
        let unsent: HashSet<&[u8]> = unsent.filter(|name| !sent.contains(name)).collect();
        let goes = |name: &&[u8]| {
            !self.settings.policy.cookie(name, consent).permitted && may_go(needs.as_ref(), name)
        };
        let sent = sent.into_iter().filter(goes).map(|name| Doomed::sent(self, name, &reach));
        let unsent = unsent.into_iter().filter(goes).map(|name| Doomed::unsent(self, name, &reach));
        let mut cookies: Vec<_> = sent.chain(unsent).collect();
        cookies.sort_by(|a, b| (a.paths == 0, a.name).cmp(&(b.paths == 0, b.name)));
        plan(&cookies, &reach, self.settings.expire.max_per_response, 0)
    }

    /// What other sites need of the cookies of a request for this host; `None` if there is no such site.
    pub(super) fn sibling_needs<'a>(
        &'a self,
        host: &'a str,
        headers: &HeaderMap,
        trusted: bool,
        consent: &Consent,
        now: i64,
    ) -> Option<SiblingNeeds<'a>> {
        let siblings = self.settings.siblings.as_ref()?;
        let (cookies, signals) = (Cookies::of(headers), Signals::of(headers));
        Some(siblings.needs(host, |reader| {
            if std::ptr::eq(reader, &*self.settings.reader) {
                return consent.granted;
            }
            reader.read(&cookies, signals, reader.region_of(headers, trusted), now).granted
        }))
    }
}

/// Whether a cookie may be deleted: it is neither consentry's record of the visitor's choice nor needed elsewhere.
pub(super) fn may_go(needs: Option<&SiblingNeeds<'_>>, name: &[u8]) -> bool {
    name != Native::COOKIE.as_bytes() && needs.is_none_or(|needs| !needs.include(name))
}
/// What a response can delete: the domains of its host and the prefixes of its request's path.
struct Reach<'a> {
    host: &'a str,
    /// The host and each parent domain up to the registrable one.
    domains: Vec<&'a str>,
    /// Every `Path` with which a cookie is sent to this one, the shortest first.
    paths: Vec<&'a str>,
    secure: bool,
}

impl<'a> Reach<'a> {
    fn new(host: &'a str, path: &'a str, secure: bool) -> Self {
        let registrable = registrable_domain(host);
        let parents = std::iter::successors(registrable.map(|_| host), |domain| {
            let (_, parent) = domain.split_once('.')?;
            registrable.filter(|registrable| parent.len() >= registrable.len()).map(|_| parent)
        });
        let slashes = path.match_indices('/').map(|(at, _)| at);
        // `/shop` and `/shop/` are two paths (RFC 6265bis section 5.1.4).
        let ends = slashes.flat_map(|at| [at, at + 1]).chain([path.len()]);
        let mut paths: Vec<&str> = ends.filter_map(|end| path.get(..end)).collect();
        paths.retain(|prefix| prefix.starts_with('/'));
        paths.dedup();
        paths.truncate(MAX_PATHS);
        if paths.is_empty() {
            paths.push("/");
        }
        Self { host, domains: parents.take(MAX_DOMAINS).collect(), paths, secure }
    }

    /// Whether a cookie of this `Domain` can be deleted from the host.
    fn has(&self, domain: &[u8]) -> bool {
        domain == self.host.as_bytes()
            || domain_matches(self.host.as_bytes(), domain)
                && registrable_domain(self.host).is_some_and(|least| domain.len() >= least.len())
    }
}

/// One cookie that is to be deleted, and where it is looked for.
struct Doomed<'a> {
    name: &'a [u8],
    demands: Demands,
    /// Where a rule says that it lives, and where the site was seen to set it.
    known: Vec<Place>,
    /// How many domains are guessed besides the host alone.
    domains: usize,
    /// How many paths are guessed.
    paths: usize,
}

impl<'a> Doomed<'a> {
    /// A cookie that the browser sent: it is here, perhaps in a place that nobody knows.
    fn sent(filter: &Filter, name: &'a [u8], reach: &Reach<'_>) -> Self {
        let rule = filter.settings.policy.catalogue.cookie(name);
        let demands = Demands::of(name);
        // Without a rule it may be the login of a neighbour under the same parent domain.
        let domains = if rule.is_some() && !demands.host_only { reach.domains.len() } else { 0 };
        let paths = if demands.host_only { 1 } else { reach.paths.len() };
        Self { domains, paths, ..Self::known(filter, rule, name, reach) }
    }

    /// A cookie that the browser may have without sending it here.
    fn unsent(filter: &Filter, name: &'a [u8], reach: &Reach<'_>) -> Self {
        Self::known(filter, filter.settings.policy.catalogue.cookie(name), name, reach)
    }

    fn known(
        filter: &Filter,
        rule: Option<&CookieRule>,
        name: &'a [u8],
        reach: &Reach<'_>,
    ) -> Self {
        let of_rule = rule.and_then(|rule| rule.place.as_ref()).map(|place| Place {
            domain: place.domain.as_ref().map(|domain| domain.as_bytes().into()),
            path: place.path.as_bytes().into(),
            ..Place::default()
        });
        let mut known = filter.learned.places(name);
        if let Some(place) = of_rule.filter(|place| !known.contains(place)) {
            known.insert(0, place);
        }
        known.retain(|place| place.domain.as_deref().is_none_or(|domain| reach.has(domain)));
        Self { name, demands: Demands::of(name), known, domains: 0, paths: 0 }
    }

    /// The places where it is guessed to be: each path for the host alone, then for each domain.
    fn guesses<'r>(
        &'r self,
        reach: &'r Reach<'_>,
    ) -> impl Iterator<Item = (Option<&'r [u8]>, &'r [u8])> + 'r {
        let paths = reach.paths.iter().take(self.paths).map(|path| path.as_bytes());
        let domains = reach.domains.iter().take(self.domains);
        let domains = std::iter::once(None).chain(domains.map(|domain| Some(domain.as_bytes())));
        paths.flat_map(move |path| domains.clone().map(move |domain| (domain, path)))
    }

    /// How many places it is looked for in.
    fn places(&self, reach: &Reach<'_>) -> usize {
        let guessed = |place: &&Place| {
            let here = (place.domain.as_deref(), &*place.path);
            !place.partitioned && self.guesses(reach).any(|guess| guess == here)
        };
        let doubled = self.known.iter().filter(guessed).count();
        self.known.len() + self.paths * (1 + self.domains) - doubled
    }

    /// The line for one of them. The known ones come first.
    fn line(&self, number: usize, reach: &Reach<'_>) -> Option<HeaderValue> {
        let known = |(domain, path): &(Option<&[u8]>, &[u8])| {
            let here = |place: &Place| {
                !place.partitioned && place.domain.as_deref() == *domain && *place.path == **path
            };
            self.known.iter().any(here)
        };
        let (domain, path, partitioned) = match self.known.get(number) {
            Some(place) => (place.domain.as_deref(), &*place.path, place.partitioned),
            None => {
                let mut guesses = self.guesses(reach).filter(|guess| !known(guess));
                let (domain, path) = guesses.nth(number.checked_sub(self.known.len())?)?;
                (domain, path, false)
            }
        };
        let deletion = Deletion {
            name: self.name,
            domain,
            path: Some(path),
            // Over http browsers ignore a line with it.
            secure: reach.secure || partitioned || self.demands.secure,
            http_only: self.demands.http_only,
            same_site: None,
            partitioned,
        };
        deletion.line()
    }
}

/// The lines that delete the cookies. Where there are more than `most`, as many of them from number `start` on,
/// so that each has its turn: first one place of every cookie, then the next.
fn plan(cookies: &[Doomed<'_>], reach: &Reach<'_>, most: usize, start: usize) -> Vec<HeaderValue> {
    let cookies: Vec<_> = cookies.iter().map(|cookie| (cookie, cookie.places(reach))).collect();
    let total: usize = cookies.iter().map(|(_, places)| places).sum();
    let line = |(cookie, place): (&Doomed<'_>, usize)| cookie.line(place, reach);
    if total <= most {
        let by_cookie = cookies
            .iter()
            .flat_map(|(cookie, places)| (0..*places).map(move |place| (*cookie, place)));
        return by_cookie.filter_map(line).collect();
    }
    let rounds = cookies.iter().map(|(_, places)| *places).max().unwrap_or_default();
    let of_round = |round| {
        let has_place = move |(_, places): &&(&Doomed<'_>, usize)| round < *places;
        cookies.iter().filter(has_place).map(move |(cookie, _)| (*cookie, round))
    };
    let all = (0..rounds).flat_map(of_round);
    all.cycle().skip(start % total).take(most).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Overrides, parse};
    use crate::cookie::SetCookie;

    fn filter(toml: &str) -> Filter {
        let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
        let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
        Filter::new(config.sites[0].filter.clone())
    }

    /// The lines with which page loads delete these cookies, one list for each.
    fn loads(
        filter: &Filter,
        names: &[&str],
        (host, path): (&str, &str),
        loads: usize,
    ) -> Vec<Vec<String>> {
        let names = names.iter().map(|name| name.as_bytes().into()).collect();
        let page = PageLoad { names, secure: false };
        let lines = (0..loads).map(|_| page.deletions(filter, (host, path), 10));
        let text = |line: &HeaderValue| line.to_str().expect("ASCII").to_owned();
        lines.map(|lines| lines.iter().map(text).collect()).collect()
    }

    fn load(filter: &Filter, names: &[&str], host: &str, path: &str) -> Vec<String> {
        loads(filter, names, (host, path), 1).remove(0)
    }

    fn learn(filter: &Filter, line: &str) {
        let cookie = SetCookie::parse(line.as_bytes());
        filter.learned.note(&cookie, &cookie.scope(), "/");
    }

    #[test]
    fn a_known_tracker_is_deleted_everywhere_it_could_live() {
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
    fn a_cookie_without_a_rule_is_deleted_for_the_host_alone_at_each_prefix_of_the_path() {
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
    fn no_domain_is_named_for_addresses_single_labels_public_suffixes_and_trailing_dots() {
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
    fn prefixes_bring_the_attributes_that_they_demand() {
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
    fn known_places_come_before_guesses_and_foreign_domains_are_left_out() {
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
        assert!(!may_go(None, b"consentry") && may_go(None, b"_ga"));
    }

    #[test]
    fn a_withdrawal_deletes_what_was_sent_what_was_learned_and_what_rules_place() {
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
        let lines = filter.deletions(&consent, "Shop.example", &headers, Peer::default(), 0);
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
        fn every_place_has_its_turn_within_as_many_page_loads_as_it_takes(
            unknown in 0..40_usize, trackers in 0..8_usize, depth in 0..6_usize,
            most in 1..40_usize, before in 0..100_usize,
        ) {
            let rule = "[[cookie]]\nname = '_ga_*'\ncategory = 'analytics'";
            let filter = filter(&format!("catalogue = []\n{rule}\n[expire]\nmax_per_response = {most}"));
            filter.page_loads.store(before, Relaxed);
            let names: Vec<String> = (0..unknown)
                .map(|number| format!("odd{number}"))
                .chain((0..trackers).map(|number| format!("_ga_{number}")))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let path = "/x".repeat(depth) + "/";
            let (host, paths) = ("www.shop.example", 2 * depth + 1);
            let total = (unknown + 3 * trackers) * paths;
            let all = loads(&filter, &names, (host, &path), total.div_ceil(most));
            prop_assert!(all.iter().all(|lines| lines.len() <= most));
            let mut lines: Vec<String> = all.concat();
            lines.sort();
            lines.dedup();
            prop_assert_eq!(lines.len(), total);
        }
    }

    #[test]
    fn deletions_leave_room_for_the_fields_of_a_response() {
        let filter = filter("[expire]\nmax_per_response = 200");
        let names: Vec<Box<[u8]>> =
            (0..150).map(|number| format!("odd{number}").into_bytes().into()).collect();
        let page = PageLoad { names, secure: false };
        let lines = |fields| page.deletions(&filter, ("a", "/"), fields).len();
        assert_eq!((lines(0), lines(80), lines(90), lines(200)), (90, 10, 0, 0));
    }
}
