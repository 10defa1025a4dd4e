//! One exchange, independent of the transport: filter the request, wait for the response elsewhere,
//! then filter the response with the facts of the request.
//!
//! Used by `service` (tower), the proxy and Envoy's external processor. Each caller applies the
//! edits to its own carrier.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

use super::beacon_detection::{self, Candidate};
use super::body::FilterBody;
use super::client_info::ClientInfo;
use super::decision_cache::DecisionCache;
use super::edits::{Edits, RequestEdits};
use super::filtered_head::FilteredHead;
use super::observation::ItemDecision;
use super::report::Report;
use super::request::{self, RequestContext, Unforwarded};
use super::site_filter::Filter;
use super::{beacon_reply, response, tracking_headers};
use crate::clock::unix_now;
use crate::config::settings::Detect;
use crate::consent::{Category, Consent};
use crate::http::{FieldSection, Fields, make_private};

/// Turns a local reply into a filtered response.
pub(crate) fn into_response<R: Body>(
    filter: &Arc<Filter>,
    (reply, report): (Response<Bytes>, Box<Report>),
) -> Response<FilterBody<R>> {
    reply.map(|body| FilterBody::reply(body, Arc::clone(filter), report))
}

impl Filter {
    /// Filters an interim (1xx) response for a visitor with this consent.
    pub(crate) fn interim(&self, fields: &mut FieldSection, consent: &Consent) {
        let mut report = Report::new(*consent);
        response::filter_trailers(self, &mut report, fields, unix_now()).apply(fields);
    }
}

/// A filtered request that waits for its response.
#[derive(Debug)]
pub(crate) struct PendingExchange {
    filter: Arc<Filter>,
    context: RequestContext,
    /// Request fields that a reply in place of the origin's response needs.
    headers: Option<HeaderMap>,
}

/// The decision about a response.
pub(crate) enum ResponseDecision<R: Body> {
    /// Forward the response with the edited head.
    Pass(FilterBody<R>),
    /// Send a local reply instead.
    Reply(Response<FilterBody<R>>),
}

impl<R: Body> ResponseDecision<R> {
    /// The final response. `parts` is the head after the edits.
    pub(super) fn of(self, parts: Parts) -> Response<FilterBody<R>> {
        match self {
            Self::Reply(reply) => reply,
            Self::Pass(body) => Response::from_parts(parts, body),
        }
    }
}

/// The decision after the response head.
pub(crate) enum HeadDecision<R: Body> {
    Decided(ResponseDecision<R>),
    /// The start of the body must be inspected.
    Inspect(Box<BodyInspection<R>>),
}

impl PendingExchange {
    /// Filters a request.
    ///
    /// # Errors
    /// The local reply, if the request must not be forwarded; or that its body must be read first.
    pub(crate) fn of<F: Fields>(
        filter: &Arc<Filter>,
        request: FilteredHead<'_, F>,
        client_info: ClientInfo,
        cache: Option<&DecisionCache>,
    ) -> Result<(Self, RequestEdits), Unforwarded> {
        if filter.has_too_many_cookies(request.fields) {
            return Err(request::too_many_cookies(filter).into());
        }
        let fields = request.fields;
        let (context, edits) = request::filter(filter, request, client_info, cache, unix_now())?;
        let headers = needs_headers(filter, &context).then(|| beacon_reply::cors_fields(fields));
        Ok((Self { filter: Arc::clone(filter), context, headers }, edits))
    }

    /// The visitor's consent.
    pub(crate) fn consent(&self) -> Consent {
        self.context.report.consent
    }

    /// Decides about a response by its head.
    pub(crate) fn filter_response<R: Body<Data = Bytes>>(
        self,
        status: StatusCode,
        fields: &impl Fields,
        body: R,
    ) -> (Edits, HeadDecision<R>) {
        let Self { filter, mut context, headers } = self;
        let candidate = classify(&filter, &context, status, fields);
        let mut edits = response::filter(&filter, &mut context, fields, unix_now());
        let decision = match candidate {
            Candidate::Ordinary => HeadDecision::Decided(ResponseDecision::Pass(
                FilterBody::inner(body, filter, context.report),
            )),
            Candidate::Beacon => {
                let edits = (fields, &mut edits);
                HeadDecision::Decided(beacon(&filter, context, headers, edits, body))
            }
            Candidate::SmallImage | Candidate::UnknownLength => {
                let start = BytesMut::new();
                HeadDecision::Inspect(Box::new(BodyInspection {
                    candidate,
                    body,
                    start,
                    context,
                    headers,
                    filter,
                }))
            }
        };
        (edits, decision)
    }
}

/// Classifies a response by its head. Records the paths of pages.
fn classify(
    filter: &Filter,
    context: &RequestContext,
    status: StatusCode,
    fields: &impl Fields,
) -> Candidate {
    if context.wide_rule.is_some() {
        return beacon_detection::classify_for_wide_rule(status, fields);
    }
    if filter.settings.detect == Detect::Off {
        return Candidate::Ordinary;
    }
    let path = context.uri.path();
    if context.navigation {
        filter.page_paths.record(path, status, fields);
    }
    if context.known_beacon {
        return Candidate::Ordinary;
    }
    if context.post.is_some() {
        let candidate = beacon_detection::classify_post(status, fields);
        let is_ordinary = candidate == Candidate::Ordinary
            || filter.page_paths.contains(path)
            || response::changes_session(filter, context, fields, unix_now());
        return if is_ordinary { Candidate::Ordinary } else { candidate };
    }
    let RequestContext { method, uri, expected, ping, .. } = context;
    beacon_detection::classify(method, uri.query(), *expected, *ping, status, fields)
}

/// A response that needs the first bytes of its body for beacon detection.
pub(crate) struct BodyInspection<R> {
    candidate: Candidate,
    body: R,
    start: BytesMut,
    context: RequestContext,
    headers: Option<HeaderMap>,
    filter: Arc<Filter>,
}

/// Whether a local reply may be needed later. Only a local reply needs the request's headers again.
fn needs_headers(filter: &Filter, context: &RequestContext) -> bool {
    let may_reply = filter.settings.detect == Detect::Block || context.wide_rule.is_some();
    may_reply && filter.enforces()
}

/// Records a detected beacon, and replaces the origin's response where the site blocks the beacon.
fn beacon<R: Body>(
    filter: &Arc<Filter>,
    mut context: RequestContext,
    headers: Option<HeaderMap>,
    (fields, edits): (&impl Fields, &mut Edits),
    body: R,
) -> ResponseDecision<R> {
    if tracking_headers::strip_validators(fields, filter, &mut context.report, edits) {
        make_private(fields, |name, value| edits.set(name, value));
    }
    let beacon = match context.wide_rule {
        Some(number) => known(filter, &context, number).map(Some),
        None => unknown(filter, &context).then_some(None),
    };
    context.report.beacon = beacon;
    match headers.filter(|_| beacon.is_some() && filter.enforces()) {
        Some(headers) => {
            let reply = beacon_reply::to_beacon(&context.method, &headers, context.expected);
            ResponseDecision::Reply(into_response(filter, (reply, context.report)))
        }
        None => ResponseDecision::Pass(FilterBody::inner(body, Arc::clone(filter), context.report)),
    }
}

/// Records a beacon of this rule without consent. Returns its category.
fn known(filter: &Filter, context: &RequestContext, number: usize) -> Option<Category> {
    let rule = filter.settings.policy.catalogue.beacon_rule(number)?;
    filter.record_beacon(rule, &context.report, false, unix_now());
    Some(rule.entry.category)
}

/// Records an unclassified beacon. Returns whether to replace the origin's response.
fn unknown(filter: &Filter, context: &RequestContext) -> bool {
    let permitted = filter.settings.policy.permits_unclassified(context.granted());
    let decided = context.report.consent.is_decided();
    let outcome = ItemDecision { permitted, decided, presumed: None };
    let path = context.uri.path();
    filter.inventory.record_unclassified_beacon(path, context.post, outcome, unix_now());
    filter.settings.detect == Detect::Block && !permitted
}

/// The end of a body during inspection. `None` if the body continues or has just ended without
/// trailers.
type InspectionEnd<E> = Option<Result<HeaderMap, E>>;

#[cfg(feature = "ext-proc")]
impl<R: Body<Data = Bytes>> BodyInspection<R> {
    /// The response, if its body cannot be inspected.
    pub(crate) fn without_body(self) -> FilterBody<R> {
        FilterBody::inner(self.body, self.filter, self.context.report)
    }
}

impl<R: Body<Data = Bytes> + Unpin> BodyInspection<R> {
    /// Reads the first bytes of the body.
    pub(crate) fn poll_start(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<InspectionEnd<R::Error>> {
        while self.start.len() < self.candidate.enough_bytes() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => break,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.start.extend_from_slice(&data),
                    Err(frame) => return Poll::Ready(frame.into_trailers().ok().map(Ok)),
                },
            }
        }
        Poll::Ready(None)
    }

    /// Decides about the response by the first bytes of its body.
    pub(crate) fn decide(
        self,
        ended: InspectionEnd<R::Error>,
        fields: &impl Fields,
    ) -> (Edits, ResponseDecision<R>) {
        let Self { candidate, body, start, context, headers, filter } = self;
        let start = start.freeze();
        let mut edits = Edits::default();
        let failed = matches!(ended, Some(Err(_)));
        let mut decision = match candidate.is_beacon(&start, failed) {
            true => beacon(&filter, context, headers, (fields, &mut edits), body),
            false => ResponseDecision::Pass(FilterBody::inner(body, filter, context.report)),
        };
        if let ResponseDecision::Pass(body) = &mut decision {
            body.prepend(start, ended);
        }
        (edits, decision)
    }
}
