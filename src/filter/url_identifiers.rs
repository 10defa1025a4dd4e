//! Removes query parameters without consent that identify a person, a click or a session (link
//! decoration), from the request target and from `Referer`.
//!
//! Used by `request`. The target of requests other than GET and HEAD is never changed. `redirect`
//! mode redirects page loads from other sites, so that scripts of the page cannot read the
//! parameters either.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, REFERER};
use http::{Method, Response, StatusCode, Uri};

use super::edits::Edits;
use super::filtered_head::FilteredHead;
use super::observation::ItemDecision;
use super::report::Report;
use super::site_filter::Filter;
use crate::catalogue::{ParameterRule, UrlQuery};
use crate::config::settings::UrlIdentifiers;
use crate::http::{
    Authority, Change, Destination, Fields, QueryEdit, SEC_FETCH_SITE, query_parameters,
    split_query,
};

/// The edit of a request target, or the redirect in place of the request.
pub(super) enum TargetDecision {
    /// Forward the request, with this edit of the query.
    Forward(Option<QueryEdit>),
    /// Answer with a redirect to the URL without the parameters.
    Redirect(Response<Bytes>),
}

/// Decides about the parameters of a request. In observe mode, they are only counted.
pub(super) fn filter<F: Fields>(
    filter: &Filter,
    request: &FilteredHead<'_, F>,
    navigation: bool,
    report: &mut Report,
    edits: &mut Edits,
    now: i64,
) -> TargetDecision {
    let mode = filter.settings.url_identifiers;
    let mut target = None;
    if mode != UrlIdentifiers::Off {
        let mut parameters = Parameters { filter, report, now };
        if let Some(query) = target_query(request, mode) {
            let url = UrlQuery::new(request.host, request.uri.path(), query, navigation);
            target = parameters.without_consent(query, &url);
        }
        parameters.strip_referer(request, edits);
    }
    let target = target.filter(|_| filter.enforces());
    if let Some(edit) = target.as_ref().filter(|_| mode == UrlIdentifiers::Redirect)
        && navigation
        && Destination::of(request.fields) == Destination::Window
        && comes_from_elsewhere(request.fields, request.host)
        && let Some(location) = location(request.uri, edit)
    {
        return TargetDecision::Redirect(redirect(location));
    }
    TargetDecision::Forward(target)
}

/// The query of a request whose target may be changed in this mode.
pub(super) fn target_query<'a, F>(
    request: &FilteredHead<'a, F>,
    mode: UrlIdentifiers,
) -> Option<&'a str> {
    let may_change =
        mode != UrlIdentifiers::Off && matches!(*request.method, Method::GET | Method::HEAD);
    request.uri.query().filter(|_| may_change)
}

/// Looks up the parameters of one request, and records them.
struct Parameters<'a> {
    filter: &'a Filter,
    report: &'a mut Report,
    now: i64,
}

impl Parameters<'_> {
    /// The removal of the parameters without consent from a query.
    fn without_consent(&mut self, query: &str, url: &UrlQuery<'_>) -> Option<QueryEdit> {
        let policy = &self.filter.settings.policy;
        let mut removed = Vec::new();
        for (index, parameter) in query_parameters(query).enumerate() {
            if let Some(rule) = policy.catalogue.url_parameter(parameter, url) {
                let permitted = policy.permits(&rule.entry, &self.report.consent);
                self.record(rule, permitted);
                if !permitted {
                    removed.push(index);
                }
            }
        }
        QueryEdit::new(query, removed)
    }

    fn record(&mut self, rule: &ParameterRule, permitted: bool) {
        let decided = self.report.consent.is_decided();
        let outcome = ItemDecision { permitted, decided, presumed: None };
        self.filter.inventory.record_parameter(rule, outcome, self.now);
        if !permitted {
            self.report.parameters_stripped.add(Some(rule.entry.category));
            tracing::debug!(parameter = rule.name(), "stripped a parameter from a URL");
        }
    }

    /// Removes the parameters without consent from `Referer`. The page of the referrer may be
    /// another site's; its URL is treated alike.
    fn strip_referer<F: Fields>(&mut self, request: &FilteredHead<'_, F>, edits: &mut Edits) {
        let mut change = |line: &[u8]| -> Option<Vec<u8>> {
            let (url, query) = split_query(std::str::from_utf8(line).ok()?)?;
            let path = url.split_once("://").map_or(url, |(_, rest)| {
                rest.find('/').and_then(|start| rest.get(start..)).unwrap_or("/")
            });
            let url = UrlQuery::new(request.host, path, query, true);
            Some(self.without_consent(query, &url)?.apply(line))
        };
        // An empty vector does not allocate.
        let mut changes = Vec::new();
        for (index, line) in request.fields.values(&REFERER).enumerate() {
            if let Some(value) = change(line) {
                changes.resize_with(index, || Change::Keep);
                changes.push(Change::Set(value.into()));
            } else if !changes.is_empty() {
                changes.push(Change::Keep);
            }
        }
        if !changes.is_empty() && self.filter.enforces() {
            edits.each(REFERER, changes);
        }
    }
}

/// Whether a page load comes from another site, or from outside of pages. A page of the site that
/// adds a parameter by itself would be redirected in a loop.
fn comes_from_elsewhere(fields: &impl Fields, host: Option<&str>) -> bool {
    match fields.value(&SEC_FETCH_SITE) {
        Some(site) => matches!(site, b"cross-site" | b"none"),
        None => fields.value(&REFERER).is_none_or(|referer| {
            let referer = std::str::from_utf8(referer).ok();
            let authority = referer.and_then(|referer| {
                let (_, rest) = referer.split_once("://")?;
                rest.split(['/', '?', '#']).next()
            });
            let from = authority.and_then(|text| Authority::parse(text.as_bytes()));
            let is_own =
                |from: Authority<'_>| host.is_some_and(|host| from.host.eq_ignore_ascii_case(host));
            !from.is_some_and(is_own)
        }),
    }
}

/// The URL without the parameters, relative to the requested one. A proxy in front may serve the
/// site below another path. An absolute path that begins with `//` would name another host.
fn location(uri: &Uri, edit: &QueryEdit) -> Option<HeaderValue> {
    let edited = edit.uri(uri);
    let (_, last_segment) = edited.path().rsplit_once('/')?;
    let query = edited.query().map(|query| format!("?{query}")).unwrap_or_default();
    HeaderValue::from_maybe_shared(Bytes::from(format!("./{last_segment}{query}"))).ok()
}

fn redirect(location: HeaderValue) -> Response<Bytes> {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = StatusCode::FOUND;
    reply.headers_mut().insert(LOCATION, location);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};
    use crate::consent::{Category, CategorySet, Consent};
    use crate::http::FieldSection;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    fn site(toml: &str) -> Filter {
        let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
        let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
        Filter::new(config.sites[0].filter.clone())
    }

    /// What becomes of a request: its target, its `Referer` and the location of a redirect.
    #[derive(Debug, PartialEq, Eq)]
    struct Outcome {
        target: String,
        referer: Option<String>,
        location: Option<String>,
        stripped: u32,
    }

    fn outcome(
        site: &Filter,
        granted: CategorySet,
        method: &Method,
        target: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Outcome {
        let mut section = FieldSection::from_lines(fields);
        let mut report = Report::new(Consent::undecided(granted));
        let mut edits = Edits::default();
        let uri: Uri = target.parse().expect("a URI");
        let head = FilteredHead {
            method,
            uri: &uri,
            host: Some("shop.example"),
            fields: &section,
            body: crate::catalogue::BodyStart::Unavailable,
        };
        let navigation = crate::http::is_navigation(&section);
        let decision = filter(site, &head, navigation, &mut report, &mut edits, 0);
        let (edit, location) = match decision {
            TargetDecision::Forward(edit) => (edit, None),
            TargetDecision::Redirect(reply) => {
                let location = reply.headers().get(LOCATION).expect("a location");
                (None, Some(location.to_str().expect("text").to_owned()))
            }
        };
        edits.apply(&mut section);
        let target = edit.map_or(uri.clone(), |edit| edit.uri(&uri)).to_string();
        let referer = section.texts("referer").first().map(|text| (*text).to_owned());
        Outcome { target, referer, location, stripped: report.parameters_stripped.total() }
    }

    fn target(site: &Filter, target: &str) -> String {
        outcome(site, CategorySet::NECESSARY, &Method::GET, target, PAGE).target
    }

    const PAGE: &[(&str, &str)] = &[
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "cross-site"),
    ];

    #[test]
    fn identifiers_without_consent_are_stripped_and_the_rest_is_unchanged() {
        let site = site("");
        for (sent, expected) in [
            ("/", "/"),
            ("/?a=1", "/?a=1"),
            ("/?fbclid=x", "/"),
            ("/p?a=1&fbclid=x&b=%2F&&c", "/p?a=1&b=%2F&&c"),
            (
                "/p?gclid=x&utm_source=g&gad_source=1&gbraid=2",
                "/p?utm_source=g&gad_source=1&gbraid=2",
            ),
            ("/p?fbclid", "/p?fbclid"),
            ("/p?fbclid=&a", "/p?fbclid=&a"),
            ("/p?x=fbclid=1", "/p?x=fbclid=1"),
            ("/p?a;fbclid=1", "/p?a;fbclid=1"),
            ("/p?FBCLID=1", "/p?FBCLID=1"),
            ("/p?sccid=1&ScCid=2&oft_id=3&oft_other=4", "/p?oft_other=4"),
            ("/p?__s=abcdef12&__s=ab", "/p?__s=ab"),
            ("/p?ct=YToyOnt9&ct=checkout", "/p?ct=checkout"),
            ("/unsubscribe?mc_eid=1&a=2", "/unsubscribe?mc_eid=1&a=2"),
            ("/Email-Preferences/?_hsenc=1", "/Email-Preferences/?_hsenc=1"),
            ("/hs/manage?_hsenc=1&mc_eid=2", "/hs/manage?_hsenc=1"),
            ("/p?mkt_tok=1&mkt_unsubscribe=1", "/p?mkt_tok=1&mkt_unsubscribe=1"),
            ("/file?fbclid=1&X-Amz-Signature=2", "/file?fbclid=1&X-Amz-Signature=2"),
        ] {
            assert_eq!(target(&site, sent), expected);
        }
    }

    #[test]
    fn consent_to_the_category_keeps_the_parameter() {
        let site = site("");
        let granted: CategorySet = [Category::NECESSARY, Category::TARGETING].into_iter().collect();
        let sent = "/?fbclid=1&_gl=2&igshid=3";
        let outcome = outcome(&site, granted, &Method::GET, sent, PAGE);
        assert_eq!((outcome.target.as_str(), outcome.stripped), ("/?fbclid=1", 2));
    }

    #[test]
    fn only_get_and_head_targets_change_and_the_referer_of_all_methods() {
        let site = site("");
        let fields = &[("referer", "https://shop.example/p?gclid=1&a=2#c")];
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::OPTIONS] {
            let outcome = outcome(&site, CategorySet::NECESSARY, &method, "/?fbclid=1&b=2", fields);
            let safe = matches!(method, Method::GET | Method::HEAD);
            assert_eq!(outcome.target, if safe { "/?b=2" } else { "/?fbclid=1&b=2" }, "{method}");
            assert_eq!(outcome.referer.as_deref(), Some("https://shop.example/p?a=2#c"));
            assert_eq!(outcome.stripped, if safe { 2 } else { 1 });
        }
    }

    #[test]
    fn the_referer_keeps_needed_and_unknown_parameters() {
        let site = site("");
        for (sent, expected) in [
            ("https://shop.example", "https://shop.example"),
            ("https://shop.example?fbclid=1", "https://shop.example"),
            (
                "https://shop.example/unsubscribe?mc_eid=1",
                "https://shop.example/unsubscribe?mc_eid=1",
            ),
            ("https://other.example/unsubscribe?a&b=1", "https://other.example/unsubscribe?a&b=1"),
            ("https://other.example/p?yclid=1&a=b", "https://other.example/p?a=b"),
            ("?fbclid=1", ""),
        ] {
            let fields = [("referer", sent)];
            let outcome = outcome(&site, CategorySet::NECESSARY, &Method::GET, "/", &fields);
            assert_eq!(outcome.referer.as_deref(), Some(expected));
        }
    }

    #[test]
    fn redirects_are_for_page_loads_from_elsewhere() {
        let site = site("url_identifiers = 'redirect'");
        let navigate = ("sec-fetch-mode", "navigate");
        let document = ("sec-fetch-dest", "document");
        let of_site = |site| ("sec-fetch-site", site);
        let html = ("accept", "text/html");
        for (fields, redirects) in [
            (&[navigate, document, of_site("cross-site")][..], true),
            (&[navigate, document, of_site("none")], true),
            (&[navigate, document, of_site("same-origin")], false),
            (&[navigate, document, of_site("same-site")], false),
            (&[navigate, ("sec-fetch-dest", "iframe"), of_site("cross-site")], false),
            (
                &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), of_site("cross-site")],
                false,
            ),
            (&[html], true),
            (&[html, ("referer", "https://other.example/shop.example")], true),
            (&[html, ("referer", "http://SHOP.example:8080/a")], false),
            (&[], false),
        ] {
            let sent = "/a/b?fbclid=1&c=2";
            let outcome = outcome(&site, CategorySet::NECESSARY, &Method::GET, sent, fields);
            assert_eq!(outcome.location.as_deref(), redirects.then_some("./b?c=2"), "{fields:?}");
            assert_eq!(outcome.target, if redirects { sent } else { "/a/b?c=2" }, "{fields:?}");
        }
        let post = outcome(&site, CategorySet::NECESSARY, &Method::POST, "/?fbclid=1", PAGE);
        assert_eq!((post.location, post.target.as_str()), (None, "/?fbclid=1"));
    }

    #[test]
    fn the_location_is_relative_and_stays_on_the_host() {
        let site = site("url_identifiers = 'redirect'");
        for (sent, expected) in [
            ("/?fbclid=1", "./"),
            ("/a?fbclid=1", "./a"),
            ("/a/?fbclid=1&x=y", "./?x=y"),
            ("//evil.example/a?fbclid=1", "./a"),
            ("//evil.example?fbclid=1", "./evil.example"),
            ("/javascript:x?fbclid=1", "./javascript:x"),
        ] {
            let outcome = outcome(&site, CategorySet::NECESSARY, &Method::GET, sent, PAGE);
            assert_eq!(outcome.location.as_deref(), Some(expected), "{sent}");
            let base = url::Url::parse(&format!("https://shop.example{sent}")).expect("a URL");
            let resolved = base.join(expected).expect("a URL");
            assert_eq!((resolved.host_str(), resolved.path()), (base.host_str(), base.path()));
        }
    }

    #[test]
    fn observe_mode_and_off_change_nothing_and_only_observe_counts() {
        for (toml, stripped) in [
            ("mode = 'observe'", 2),
            ("mode = 'observe'\nurl_identifiers = 'redirect'", 2),
            ("url_identifiers = 'off'", 0),
        ] {
            let mut fields = PAGE.to_vec();
            fields.push(("referer", "https://shop.example/?fbclid=1"));
            let (method, sent) = (&Method::GET, "/?gclid=1");
            let outcome = outcome(&site(toml), CategorySet::NECESSARY, method, sent, &fields);
            let referer = Some("https://shop.example/?fbclid=1".to_owned());
            let expected = Outcome { target: sent.to_owned(), referer, location: None, stripped };
            assert_eq!(outcome, expected, "{toml}");
        }
    }

    #[test]
    fn rules_of_the_config_and_of_a_site_win_over_the_catalogue() {
        let site = site(
            "[[parameter]]\nname = 'gclid'\ncategory = 'necessary'\npath = '/API/*'\n\
             [[parameter]]\nname = 'visitor*'\ncategory = 'analytics'\n\
             [[parameter]]\nname = 'mc_eid'\ncategory = 'targeting'\n\
             [[parameter]]\nname = '*'\ncategory = 'necessary'\npath = '/keep'\n",
        );
        for (sent, expected) in [
            ("/api/x?gclid=1", "/api/x?gclid=1"),
            ("/x?gclid=1", "/x"),
            ("/x?visitor_id=1&visit=2", "/x?visit=2"),
            ("/unsubscribe?mc_eid=1", "/unsubscribe"),
            ("/keep?fbclid=1&visitor=2", "/keep?fbclid=1&visitor=2"),
        ] {
            assert_eq!(target(&site, sent), expected);
        }
    }

    proptest! {
        #[test]
        fn more_consent_never_strips_more_and_the_rest_keeps_its_order(
            parameters in proptest::collection::vec(
                prop_oneof![
                    "[a-z%]{0,3}(=[a-z0-9]{0,3})?",
                    "(fbclid|gclid|_gl|igshid|mc_eid|necessary)=[a-z0-9]{0,2}",
                ],
                0..8,
            ),
            fewer in any::<u8>(),
            more in any::<u8>(),
        ) {
            static SITE: LazyLock<Filter> = LazyLock::new(|| {
                site("[[parameter]]\nname = 'necessary'\ncategory = 'necessary'")
            });
            let sent = format!("/p?{}", parameters.join("&"));
            let categories =
                [Category::FUNCTIONAL, Category::ANALYTICS, Category::TARGETING, Category::SOCIAL];
            let set = |bits: u8| -> CategorySet {
                let granted = categories.iter().enumerate();
                granted.filter(|(at, _)| bits >> at & 1 == 1).map(|(_, granted)| *granted).collect()
            };
            let left = |bits| {
                let target = outcome(&SITE, set(bits), &Method::GET, &sent, PAGE).target;
                let query = target.strip_prefix("/p").expect("the path").trim_start_matches('?');
                query.split('&').map(str::to_owned).collect::<Vec<_>>()
            };
            let is_part = |part: &[String], whole: &[String]| {
                let mut whole = whole.iter();
                part.iter().all(|one| one.is_empty() || whole.any(|other| other == one))
            };
            let (few, many) = (left(fewer & more), left(more));
            prop_assert!(is_part(&few, &many), "{few:?} {many:?}");
            prop_assert!(is_part(&many, &parameters), "{many:?}");
            for parameter in parameters.iter().filter(|text| text.starts_with("necessary=")) {
                prop_assert!(few.contains(parameter), "{few:?}");
            }
        }
    }
}
