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

use super::beacon_detection::BeaconPost;
use super::beacon_reply::{self, ExpectedType};
use super::client_info::ClientInfo;
use super::cookie_deletion::{MAX_NAMES, PageLoadDeletions, is_deletable};
use super::cookie_rewrite::{CookieFieldDecision, Remaining};
use super::decision_cache::{self, DecisionCache};
use super::edits::{Edits, RequestEdits};
use super::filtered_head::FilteredHead;
use super::observation::ItemDecision;
use super::presumed;
use super::report::Report;
use super::site_filter::Filter;
use super::tracking_headers;
use super::url_identifiers::{self, TargetDecision};
use crate::catalogue::{BeaconProbe, BeaconRule, BodyStart, FieldLookup};
use crate::config::settings::FilterSettings;
use crate::consent::{CategorySet, Consent};
use crate::cookie::Cookies;
use crate::http::{
    self, Fields, SEC_FETCH_DEST, folds_to, is_navigation, joined_cookies, without_parameters,
};

/// Maximum number of unclassified names recorded per request: a visitor can send thousands.
const MAX_UNCLASSIFIED_RECORDED: usize = 64;

/// Request facts that the response filter needs.
#[derive(Debug)]
pub(super) struct RequestContext {
    pub(super) report: Box<Report>,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The host, in lower case, without port.
    pub(super) host: Option<Box<str>>,
    pub(super) expected: ExpectedType,
    pub(super) ping: bool,
    pub(super) navigation: bool,
    /// Set if the request is a POST whose response no script can read.
    pub(super) post: Option<BeaconPost>,
    /// A beacon rule matches the request, so that the response needs no beacon detection.
    pub(super) known_beacon: bool,
    /// Number of the wide rule without consent that applies if the origin replies with a pixel.
    pub(super) wide_rule: Option<usize>,
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
            expected: ExpectedType::by(&::http::HeaderMap::new(), "/"),
            ping: false,
            navigation: false,
            post: None,
            known_beacon: false,
            wide_rule: None,
            lists: Vec::new(),
            page_load: None,
            renewal: None,
        }
    }

    pub(super) fn granted(&self) -> CategorySet {
        self.report.consent.granted
    }
}

/// A local reply to a request that is not forwarded.
pub(crate) type LocalReply = Box<(Response<Bytes>, Box<Report>)>;

/// Why a request is not forwarded.
#[derive(Debug)]
pub(crate) enum Unforwarded {
    /// It gets a local reply.
    Reply(LocalReply),
    /// The decision depends on the start of its body. Filter the request again with it.
    NeedsBody,
}

impl From<LocalReply> for Unforwarded {
    fn from(reply: LocalReply) -> Self {
        Self::Reply(reply)
    }
}

impl Unforwarded {
    /// The reply to a request whose body cannot be read. Its decision never depends on the body, so
    /// such a dependency is a fault and gets a 502.
    pub(crate) fn reply(self, filter: &Filter) -> LocalReply {
        match self {
            Self::Reply(reply) => reply,
            Self::NeedsBody => refusal(filter, StatusCode::BAD_GATEWAY, Bytes::new()),
        }
    }
}

/// Filters a request. Joins its `Cookie` field lines into one. `Err` contains the reply to a request
/// that must not reach the origin: to a beacon, or to a page load that is redirected.
pub(super) fn filter<F: Fields>(
    filter: &Arc<Filter>,
    request: FilteredHead<'_, F>,
    client_info: ClientInfo,
    cache: Option<&DecisionCache>,
    now: i64,
) -> Result<(RequestContext, RequestEdits), Unforwarded> {
    let settings = &filter.settings;
    let FilteredHead { method, uri, host, fields, body } = request;
    // HTTP/2 clients may send one field line per cookie. Consent and decisions cover all lines.
    let cookie = joined_cookies(fields);
    let cookies = cookie.as_deref().unwrap_or_default();
    let cached = decision_cache::decision(filter, fields, cookies, client_info.trusted, cache, now);
    let consent = cached.consent;
    let mut report = Box::new(Report::new(consent));

    let navigation = is_navigation(fields);
    let media_type = fields.value(&CONTENT_TYPE).map(without_parameters);
    let expected = ExpectedType::by(fields, uri.path());
    let beacon = matching_beacon(settings, &request, &consent, (navigation, expected));
    if beacon.is_some_and(|(rule, _)| rule.body.is_some()) && body == BodyStart::Unread {
        return Err(Unforwarded::NeedsBody);
    }
    let rule_with = |outcome| beacon.filter(|found| found.1 == outcome).map(|(rule, _)| rule);
    let wide_rule = rule_with(BeaconOutcome::ByResponse);
    let denied = rule_with(BeaconOutcome::Denied);
    if let Some((rule, _)) = beacon.filter(|_| wide_rule.is_none()) {
        filter.record_beacon(rule, &report, denied.is_none(), now);
    }
    if let Some(rule) = denied {
        report.beacon = Some(Some(rule.entry.category));
        if filter.enforces() {
            let reply = beacon_reply::to_beacon(method, fields, expected);
            return Err(Box::new((reply, report)).into());
        }
    }
    let mut edits = Edits::default();
    let query =
        match url_identifiers::filter(filter, &request, navigation, &mut report, &mut edits, now) {
            TargetDecision::Forward(query) => query,
            TargetDecision::Redirect(reply) => return Err(Box::new((reply, report)).into()),
        };
    let mut context = RequestContext {
        report,
        method: method.clone(),
        host: host.map(|host| host.to_ascii_lowercase().into()),
        uri: uri.clone(),
        expected,
        ping: media_type.is_some_and(|sent| sent.eq_ignore_ascii_case(b"text/ping")),
        navigation,
        post: BeaconPost::of(method, fields),
        known_beacon: beacon.is_some(),
        wide_rule: wide_rule.map(|rule| rule.number),
        lists: presumed::fields_with_list(fields, &settings.policy),
        page_load: None,
        renewal: None,
    };

    if let Some(name) = &settings.forward_header {
        remove_same_names(fields, name, &mut edits);
        if filter.enforces() {
            let names = settings.reader.categories.names_of(consent.granted).join(",");
            edits.set(name.clone(), names);
        }
    }
    let known_beacon = context.known_beacon;
    tracking_headers::strip_request(fields, filter, known_beacon, &mut context.report, &mut edits);
    let page_load = navigation && *method == Method::GET;
    let expires = settings.expire.enabled && page_load;
    let secure = client_info.secure || context.uri.scheme_str() == Some("https");
    if page_load
        && settings.reader.may_need_renewal(&consent, now)
        && let Some(host) = context.host.as_deref()
    {
        context.renewal = settings.reader.renewal(&Cookies::new([cookies]), host, secure, now);
    }
    if let Some(field) = cookie.as_deref() {
        let decision = cached.field_decision(field, &settings.policy);
        let mut names = record_cookies(filter, field, decision, &mut context.report, expires, now);
        if let Some(host) = context.host.as_deref().filter(|_| !names.is_empty()) {
            // Sibling sites may read their consent from cookies that are stripped for this site.
            let cookies = Cookies::new([field]);
            let needs =
                filter.sibling_needs(host, &cookies, fields, client_info.trusted, &consent, now);
            names.retain(|name| is_deletable(needs.as_ref(), name));
        }
        if !names.is_empty() {
            context.page_load = Some(Box::new(PageLoadDeletions { names, secure }));
        }
        let remaining = if filter.enforces() { &decision.remaining } else { &Remaining::Unchanged };
        match (remaining, &cookie) {
            (Remaining::Unchanged, Some(Cow::Owned(joined))) => edits.set(COOKIE, joined.clone()),
            (Remaining::Unchanged, _) => {}
            (Remaining::Empty, _) => edits.remove(COOKIE),
            (Remaining::Rewritten(value), _) => edits.set(COOKIE, value.clone()),
        }
    }
    Ok((context, RequestEdits { fields: edits, query }))
}

/// The decision about a request that a beacon rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BeaconOutcome {
    /// With consent.
    Permitted,
    /// Without consent.
    Denied,
    /// Ordinary images also match the rule, so the response decides.
    ByResponse,
}

/// The beacon rule that matches a request, and the decision.
pub(super) fn matching_beacon<'f, F: Fields>(
    settings: &'f FilterSettings,
    request: &FilteredHead<'_, F>,
    consent: &Consent,
    (navigation, expected): (bool, ExpectedType),
) -> Option<(&'f BeaconRule, BeaconOutcome)> {
    let FilteredHead { method, uri, host, fields, body } = *request;
    let rule = settings.policy.catalogue.beacon(&BeaconProbe {
        method,
        host,
        path: uri.path(),
        query: uri.query(),
        fetch_dest: fields.value(&SEC_FETCH_DEST),
        content_type: fields.value(&CONTENT_TYPE),
        fields: FieldLookup(&|name| fields.value(name)),
        body,
        navigation,
    })?;
    // A page load is the visitor's own request, whatever its path looks like.
    if navigation && !rule.matches_navigations() {
        return None;
    }
    let expects_image =
        expected == ExpectedType::Image && matches!(*method, Method::GET | Method::HEAD);
    let outcome = if (rule.email_open && settings.email_opens)
        || settings.policy.permits(&rule.entry, consent)
    {
        BeaconOutcome::Permitted
    } else if expects_image && rule.is_wide_image_rule() {
        BeaconOutcome::ByResponse
    } else {
        BeaconOutcome::Denied
    };
    Some((rule, outcome))
}

/// The reply to a request with more cookies than `limits.cookies` (RFC 6585 section 5).
pub(super) fn too_many_cookies(filter: &Filter) -> LocalReply {
    let text = Bytes::from_static(b"The request has too many cookies.\n");
    refusal(filter, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text)
}

fn refusal(filter: &Filter, status: StatusCode, text: Bytes) -> LocalReply {
    let mut reply = Response::new(text);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let default = filter.settings.reader.default;
    Box::new((reply, Box::new(Report::new(Consent::undecided(default)))))
}

/// Removes client-sent fields with the name of `forward_header` in every mode, because the origin
/// would trust them. Also removes names that the origin may treat as the same.
fn remove_same_names(fields: &impl Fields, name: &HeaderName, edits: &mut Edits) {
    let same_names = fields.names().filter(|field| folds_to(field, name.as_str()));
    for name in same_names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
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
fn record_cookies(
    filter: &Filter,
    field: &[u8],
    decision: &CookieFieldDecision,
    report: &mut Report,
    collect: bool,
    now: i64,
) -> Vec<Box<[u8]>> {
    let mut recorder =
        DecisionRecorder { filter, report, now, unknown: 0, stripped: collect.then(Vec::new) };
    recorder.record(field, decision);
    recorder.stripped.unwrap_or_default()
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
    fn record(&mut self, field: &[u8], decision: &CookieFieldDecision) {
        let Filter { settings, inventory, .. } = self.filter;
        let decided = self.report.consent.is_decided();
        for pair in &decision.pairs {
            let permitted = pair.permitted;
            let name = field.get(pair.name.clone()).unwrap_or_default();
            let rule = pair.rule.and_then(|number| settings.policy.catalogue.cookie_rule(number));
            self.unknown += usize::from(rule.is_none());
            if rule.is_some() || self.unknown <= MAX_UNCLASSIFIED_RECORDED {
                let outcome = ItemDecision { permitted, decided, presumed: pair.presumed };
                inventory.record_sent(rule, name, outcome, self.now);
            }
            if let Some(evidence) = pair.presumed {
                self.report.record_presumed(evidence);
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
