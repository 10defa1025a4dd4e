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
use super::edits::Edits;
use super::observation::ItemDecision;
use super::report::Report;
use super::request::{self, LocalReply, RequestContext, RequestHead};
use super::site_filter::Filter;
use super::{beacon_reply, response, tracking_headers};
use crate::clock::unix_now;
use crate::config::settings::Detect;
use crate::consent::{Category, Consent};
use crate::http::{FieldSection, Fields, make_private};

/// Turns a local reply into a filtered response.
pub(crate) fn own<R: Body>(
    filter: &Arc<Filter>,
    (answer, report): (Response<Bytes>, Box<Report>),
) -> Response<FilterBody<R>> {
    answer.map(|body| FilterBody::answer(body, Arc::clone(filter), report))
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
    visit: RequestContext,
    /// Request fields that a reply in place of the origin's response needs.
    headers: Option<HeaderMap>,
}

/// The decision about a response.
pub(crate) enum ResponseDecision<R: Body> {
    /// Forward the response with the edited head.
    Pass(FilterBody<R>),
    /// Send a local reply instead.
    Answer(Response<FilterBody<R>>),
}

impl<R: Body> ResponseDecision<R> {
    /// The final response. `parts` is the head after the edits.
    pub(super) fn of(self, parts: Parts) -> Response<FilterBody<R>> {
        match self {
            Self::Answer(answer) => answer,
            Self::Pass(body) => Response::from_parts(parts, body),
        }
    }
}

/// The decision after the response head.
pub(crate) enum HeadDecision<R: Body> {
    Judged(ResponseDecision<R>),
    /// The start of the body must be inspected.
    Look(Box<BodyInspection<R>>),
}

impl PendingExchange {
    /// Filters a request.
    ///
    /// # Errors
    /// The local reply, if the request must not be forwarded.
    pub(crate) fn of<F: Fields>(
        filter: &Arc<Filter>,
        request: RequestHead<'_, F>,
        peer: ClientInfo,
        recall: Option<&DecisionCache>,
    ) -> Result<(Self, Edits), LocalReply> {
        if filter.has_too_many_cookies(request.fields) {
            return Err(request::too_many_cookies(filter));
        }
        let fields = request.fields;
        let (visit, edits) = request::filter(filter, request, peer, recall, unix_now())?;
        let headers = needs_headers(filter, &visit).then(|| beacon_reply::needed_of(fields));
        Ok((Self { filter: Arc::clone(filter), visit, headers }, edits))
    }

    /// The visitor's consent.
    pub(crate) fn consent(&self) -> Consent {
        self.visit.report.consent
    }

    /// Decides about a response by its head.
    pub(crate) fn received<R: Body<Data = Bytes>>(
        self,
        status: StatusCode,
        fields: &impl Fields,
        body: R,
    ) -> (Edits, HeadDecision<R>) {
        let Self { filter, mut visit, headers } = self;
        let look = if visit.looked_at.is_some() {
            beacon_detection::look_at_image(status, fields)
        } else if filter.settings.detect == Detect::Off || visit.known_beacon {
            Candidate::Ordinary
        } else {
            let query = visit.uri.query();
            beacon_detection::classify(
                &visit.method,
                query,
                visit.wanted,
                visit.ping,
                status,
                fields,
            )
        };
        let mut edits = response::filter(&filter, &mut visit, fields, unix_now());
        let received = match look {
            Candidate::Ordinary => HeadDecision::Judged(ResponseDecision::Pass(FilterBody::inner(
                body,
                filter,
                visit.report,
            ))),
            Candidate::Beacon => {
                let edits = (fields, &mut edits);
                HeadDecision::Judged(beacon(&filter, visit, headers, edits, body))
            }
            Candidate::SmallImage => {
                let taken = BytesMut::new();
                HeadDecision::Look(Box::new(BodyInspection { body, taken, visit, headers, filter }))
            }
        };
        (edits, received)
    }
}

/// A response that needs the first bytes of its body for beacon detection.
pub(crate) struct BodyInspection<R> {
    body: R,
    taken: BytesMut,
    visit: RequestContext,
    headers: Option<HeaderMap>,
    filter: Arc<Filter>,
}

/// Whether a local reply may be needed later. Only a local reply needs the request's headers again.
fn needs_headers(filter: &Filter, visit: &RequestContext) -> bool {
    let may_answer = filter.settings.detect == Detect::Block || visit.looked_at.is_some();
    may_answer && filter.enforces()
}

/// Records a detected beacon, and replaces the origin's response where the site blocks the beacon.
fn beacon<R: Body>(
    filter: &Arc<Filter>,
    mut visit: RequestContext,
    headers: Option<HeaderMap>,
    (fields, edits): (&impl Fields, &mut Edits),
    body: R,
) -> ResponseDecision<R> {
    if tracking_headers::strip_validators(fields, filter, &mut visit.report, edits) {
        make_private(fields, |name, value| edits.set(name, value));
    }
    let beacon = match visit.looked_at {
        Some(number) => known(filter, &visit, number).map(Some),
        None => unknown(filter, &visit).then_some(None),
    };
    visit.report.beacon = beacon;
    match headers.filter(|_| beacon.is_some() && filter.enforces()) {
        Some(headers) => {
            let answer = beacon_reply::to_beacon(&visit.method, &headers, visit.wanted);
            ResponseDecision::Answer(own(filter, (answer, visit.report)))
        }
        None => ResponseDecision::Pass(FilterBody::inner(body, Arc::clone(filter), visit.report)),
    }
}

/// Records a beacon of this rule without consent. Returns its category.
fn known(filter: &Filter, visit: &RequestContext, number: usize) -> Option<Category> {
    let rule = filter.settings.policy.catalogue.beacon_rule(number)?;
    filter.note_beacon(rule, &visit.report, false, unix_now());
    Some(rule.entry.category)
}

/// Records an unclassified beacon. Returns whether to replace the origin's response.
fn unknown(filter: &Filter, visit: &RequestContext) -> bool {
    let permitted = filter.settings.policy.permits_unclassified(visit.granted());
    let decided = visit.report.consent.is_decided();
    let outcome = ItemDecision { permitted, decided, presumed: None };
    filter.inventory.note_unknown_beacon(visit.uri.path(), outcome, unix_now());
    filter.settings.detect == Detect::Block && !permitted
}

/// The end of a body during inspection. `None` if the body continues or has just ended without
/// trailers.
type InspectionEnd<E> = Option<Result<HeaderMap, E>>;

#[cfg(feature = "ext-proc")]
impl<R: Body<Data = Bytes>> BodyInspection<R> {
    /// The response, if its body cannot be inspected.
    pub(crate) fn without_body(self) -> FilterBody<R> {
        FilterBody::inner(self.body, self.filter, self.visit.report)
    }
}

impl<R: Body<Data = Bytes> + Unpin> BodyInspection<R> {
    /// Reads the first bytes of the body.
    pub(crate) fn poll_start(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<InspectionEnd<R::Error>> {
        while self.taken.len() < beacon_detection::ENOUGH_BYTES {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => break,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.taken.extend_from_slice(&data),
                    Err(frame) => return Poll::Ready(frame.into_trailers().ok().map(Ok)),
                },
            }
        }
        Poll::Ready(None)
    }

    /// Decides about the response by the first bytes of its body.
    pub(crate) fn judge(
        self,
        ended: InspectionEnd<R::Error>,
        fields: &impl Fields,
    ) -> (Edits, ResponseDecision<R>) {
        let Self { body, taken, visit, headers, filter } = self;
        let taken = taken.freeze();
        let mut edits = Edits::default();
        let mut judged = match beacon_detection::is_small_pixel(&taken) {
            true => beacon(&filter, visit, headers, (fields, &mut edits), body),
            false => ResponseDecision::Pass(FilterBody::inner(body, filter, visit.report)),
        };
        if let ResponseDecision::Pass(body) = &mut judged {
            body.give_back(taken, ended);
        }
        (edits, judged)
    }
}
