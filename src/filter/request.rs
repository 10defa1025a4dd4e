//! Request filter: reads the consent, detects beacons, strips `Cookie` pairs.
//!
//! `service` or `proxy` (which selects the site) calls this module. The inner service then forwards
//! the request, and `response` filters the response. The remaining bytes of a `Cookie` field are
//! unchanged.

use std::borrow::Cow;
use std::sync::Arc;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use ::http::uri::Authority;
use ::http::{Method, Response, StatusCode, Uri};
use bytes::Bytes;

use super::beacon_reply::{self, ExpectedType};
use super::client_info::ClientInfo;
use super::cookie_deletion::{MAX_NAMES, PageLoadDeletions, is_deletable};
use super::cookie_rewrite::{CookieFieldDecision, Remaining};
use super::decision_cache::{self, DecisionCache};
use super::edits::Edits;
use super::observation::ItemDecision;
use super::presumed;
use super::report::Report;
use super::site_filter::Filter;
use super::tracking_headers;
use crate::catalogue::{BeaconProbe, BeaconRule, FieldLookup};
use crate::consent::{CategorySet, Consent};
use crate::cookie::Cookies;
use crate::http::{
    self, Fields, SEC_FETCH_DEST, folds_to, is_navigation, joined_cookies, without_parameters,
};

/// Maximum number of unclassified names recorded per request: a visitor can send thousands.
const MOST_UNKNOWN_NOTED: usize = 64;

/// Request facts that the response filter needs.
#[derive(Debug)]
pub(super) struct RequestContext {
    pub(super) report: Box<Report>,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The host, in lower case, without port.
    pub(super) host: Option<Box<str>>,
    pub(super) wanted: ExpectedType,
    pub(super) ping: bool,
    /// A beacon rule matches the request, so that the response needs no beacon detection.
    pub(super) known_beacon: bool,
    /// Number of the wide rule without consent that applies if the origin replies with a pixel.
    pub(super) looked_at: Option<usize>,
    /// The request's `Cookie` fields, if they contain a list of presumed cookies.
    pub(super) lists: Vec<Bytes>,
    /// Set if the response has to delete cookies.
    pub(super) page_load: Option<Box<PageLoadDeletions>>,
    /// The `Set-Cookie` value that renews an old refusal.
    pub(super) renewal: Option<HeaderValue>,
}

impl RequestContext {
    /// Context of a response without a request. The visitor may have refused everything, so no
    /// default applies.
    #[cfg(feature = "ext-proc")]
    pub(super) fn without_request() -> Self {
        let consent = Consent::undecided(CategorySet::NECESSARY);
        Self {
            report: Box::new(Report::new(consent)),
            method: Method::GET,
            uri: Uri::from_static("/"),
            host: None,
            wanted: ExpectedType::by(&::http::HeaderMap::new(), "/"),
            ping: false,
            known_beacon: false,
            looked_at: None,
            lists: Vec::new(),
            page_load: None,
            renewal: None,
        }
    }

    pub(super) fn granted(&self) -> CategorySet {
        self.report.consent.granted
    }
}

/// The head of a request as sent by its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestHead<'a, F> {
    pub(crate) method: &'a Method,
    /// Path and query, with or without authority.
    pub(crate) uri: &'a Uri,
    /// The requested host, without port. `None` if it is invalid.
    pub(crate) host: Option<&'a str>,
    pub(crate) fields: &'a F,
}

/// A local reply to a request that is not forwarded.
pub(crate) type LocalReply = Box<(Response<Bytes>, Box<Report>)>;

/// Filters a request. Joins its `Cookie` field lines into one. `Err` is the reply to a beacon that
/// must not reach the origin.
pub(super) fn filter<F: Fields>(
    filter: &Arc<Filter>,
    request: RequestHead<'_, F>,
    peer: ClientInfo,
    recall: Option<&DecisionCache>,
    now: i64,
) -> Result<(RequestContext, Edits), LocalReply> {
    let settings = &filter.settings;
    let RequestHead { method, uri, host, fields } = request;
    // HTTP/2 clients may send one field line per cookie. Consent and decisions cover all lines.
    let cookie = joined_cookies(fields);
    let cookies = cookie.as_deref().unwrap_or_default();
    let known = decision_cache::known(filter, fields, cookies, peer.trusted, recall, now);
    let consent = known.consent;
    let mut report = Box::new(Report::new(consent));

    let path = uri.path();
    let navigation = is_navigation(fields);
    let content_type = fields.value(&CONTENT_TYPE);
    let media_type = content_type.map(without_parameters);
    let beacon = settings.policy.catalogue.beacon(&BeaconProbe {
        method,
        host,
        path,
        query: uri.query(),
        fetch_dest: fields.value(&SEC_FETCH_DEST),
        content_type,
        fields: FieldLookup(&|name| fields.value(name)),
        navigation,
    });
    let wanted = ExpectedType::by(fields, path);
    let permits = |rule: &BeaconRule| {
        (rule.email_open && settings.email_opens) || settings.policy.permits(&rule.entry, &consent)
    };
    // A page load is the visitor's own request, whatever its path looks like.
    let beacon = beacon.filter(|rule| !navigation || rule.takes_navigations());
    let denied = beacon.filter(|rule| !permits(rule));
    // Ordinary images also match a wide rule: only the response decides.
    let looks = wanted == ExpectedType::Image && matches!(*method, Method::GET | Method::HEAD);
    let looked_at = denied.filter(|rule| looks && rule.is_wide_image_rule());
    if let Some(rule) = beacon.filter(|_| looked_at.is_none()) {
        filter.note_beacon(rule, &report, denied.is_none(), now);
    }
    if let Some(rule) = denied.filter(|_| looked_at.is_none()) {
        report.beacon = Some(Some(rule.entry.category));
        if filter.enforces() {
            let answer = beacon_reply::to_beacon(method, fields, wanted);
            return Err(Box::new((answer, report)));
        }
    }
    let mut visit = RequestContext {
        report,
        method: method.clone(),
        host: host.map(|host| host.to_ascii_lowercase().into()),
        uri: uri.clone(),
        wanted,
        ping: media_type.is_some_and(|sent| sent.eq_ignore_ascii_case(b"text/ping")),
        known_beacon: beacon.is_some(),
        looked_at: looked_at.map(|rule| rule.number),
        lists: presumed::fields_with_list(fields, &settings.policy),
        page_load: None,
        renewal: None,
    };

    let mut edits = Edits::default();
    if let Some(name) = &settings.forward_header {
        remove_alike(fields, name, &mut edits);
        if filter.enforces() {
            let names = settings.reader.categories.names_of(consent.granted).join(",");
            edits.set(name.clone(), names);
        }
    }
    let known_beacon = visit.known_beacon;
    tracking_headers::strip_request(fields, filter, known_beacon, &mut visit.report, &mut edits);
    let page_load = navigation && *method == Method::GET;
    let expires = settings.expire.enabled && page_load;
    let secure = peer.secure || visit.uri.scheme_str() == Some("https");
    if page_load
        && settings.reader.may_need_renewal(&consent, now)
        && let Some(host) = visit.host.as_deref()
    {
        visit.renewal = settings.reader.renewal(&Cookies::new([cookies]), host, secure, now);
    }
    if let Some(field) = cookie.as_deref() {
        let verdict = known.verdict(field, &settings.policy);
        let mut names = note_cookies(filter, field, verdict, &mut visit.report, expires, now);
        if let Some(host) = visit.host.as_deref().filter(|_| !names.is_empty()) {
            // Sibling sites may read their consent from cookies that are stripped for this site.
            let cookies = Cookies::new([field]);
            let needs = filter.sibling_needs(host, &cookies, fields, peer.trusted, &consent, now);
            names.retain(|name| is_deletable(needs.as_ref(), name));
        }
        if !names.is_empty() {
            visit.page_load = Some(Box::new(PageLoadDeletions { names, secure }));
        }
        let left = if filter.enforces() { &verdict.left } else { &Remaining::Unchanged };
        match (left, &cookie) {
            (Remaining::Unchanged, Some(Cow::Owned(joined))) => edits.set(COOKIE, joined.clone()),
            (Remaining::Unchanged, _) => {}
            (Remaining::Empty, _) => edits.remove(COOKIE),
            (Remaining::Rewritten(value), _) => edits.set(COOKIE, value.clone()),
        }
    }
    Ok((visit, edits))
}

/// The reply to a request with more cookies than `limits.cookies` (RFC 6585 section 5).
pub(super) fn too_many_cookies(filter: &Filter) -> LocalReply {
    let mut answer = Response::new(Bytes::from_static(b"The request has too many cookies.\n"));
    *answer.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let default = filter.settings.reader.default;
    Box::new((answer, Box::new(Report::new(Consent::undecided(default)))))
}

/// Removes client-sent fields with the name of `forward_header` in every mode, because the origin
/// would trust them. Also removes names that the origin may treat as the same.
fn remove_alike(fields: &impl Fields, name: &HeaderName, edits: &mut Edits) {
    let alike = fields.names().filter(|field| folds_to(field, name.as_str()));
    for name in alike.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
        edits.remove(name);
    }
}

/// The host of the authority, else of the `Host` field, without port. `None` if it is invalid.
pub(super) fn host<'a>(
    authority: Option<&'a Authority>,
    fields: &'a impl Fields,
) -> Option<&'a str> {
    match authority {
        Some(authority) => {
            http::Authority::parse(authority.as_str().as_bytes()).map(|authority| authority.host)
        }
        None => http::named_host(fields),
    }
}

/// Records the verdict on a request's cookies. With `collect`, returns the names of cookies without
/// consent, without duplicates.
fn note_cookies(
    filter: &Filter,
    field: &[u8],
    verdict: &CookieFieldDecision,
    report: &mut Report,
    collect: bool,
    now: i64,
) -> Vec<Box<[u8]>> {
    let mut account =
        DecisionRecorder { filter, report, now, unknown: 0, stripped: collect.then(Vec::new) };
    account.note(field, verdict);
    account.stripped.unwrap_or_default()
}

/// Records decisions about a request's cookies in the report, the inventory and the log.
struct DecisionRecorder<'a> {
    filter: &'a Filter,
    report: &'a mut Report,
    now: i64,
    /// Number of unclassified cookies so far.
    unknown: usize,
    /// Names of the stripped cookies without duplicates, if requested.
    stripped: Option<Vec<Box<[u8]>>>,
}

impl DecisionRecorder<'_> {
    fn note(&mut self, field: &[u8], verdict: &CookieFieldDecision) {
        let Filter { settings, inventory, .. } = self.filter;
        let decided = self.report.consent.is_decided();
        for pair in &verdict.pairs {
            let permitted = pair.permitted;
            let name = field.get(pair.name.clone()).unwrap_or_default();
            let rule = pair.rule.and_then(|number| settings.policy.catalogue.cookie_rule(number));
            self.unknown += usize::from(rule.is_none());
            if rule.is_some() || self.unknown <= MOST_UNKNOWN_NOTED {
                let outcome = ItemDecision { permitted, decided, presumed: pair.presumed };
                inventory.note_sent(rule, name, outcome, self.now);
            }
            if let Some(grounds) = pair.presumed {
                self.report.note_presumed(grounds);
            }
            if permitted {
                continue;
            }
            self.report.request_stripped.add(rule.map(|rule| rule.entry.category));
            tracing::debug!(cookie = %name.escape_ascii(), "stripped a cookie from the request");
            if let Some(stripped) = &mut self.stripped
                && stripped.len() < MAX_NAMES
                && !stripped.iter().any(|stripped| **stripped == *name)
            {
                stripped.push(name.into());
            }
        }
    }
}
