//! One exchange, whatever carries it: the request is filtered, its response awaited elsewhere, and then filtered by what
//! is known of the request.
//!
//! Used by `service` (tower), the proxy and Envoy's external processor. Each applies the edits to its own carrier.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

use super::body::FilterBody;
use super::clock::unix_now;
use super::detect::{self, Look};
use super::edits::Edits;
use super::peer::Peer;
use super::recall::Recall;
use super::report::Report;
use super::request::{self, OwnAnswer, RequestHead, Visit};
use super::seen::Outcome;
use super::state::Filter;
use super::{answer, cache, response, technologies};
use crate::config::settings::Detect;
use crate::consent::{Category, Consent};
use crate::http::{FieldSection, Fields};

/// An answer of the filter's own.
pub(crate) fn own<R: Body>(
    filter: &Arc<Filter>,
    (answer, report): (Response<Bytes>, Box<Report>),
) -> Response<FilterBody<R>> {
    answer.map(|body| FilterBody::answer(body, Arc::clone(filter), report))
}

impl Filter {
    /// Filters an interim response to a visitor with this consent.
    pub(crate) fn interim(&self, fields: &mut FieldSection, consent: &Consent) {
        let mut report = Report::new(*consent);
        response::filter_trailers(self, &mut report, fields, unix_now()).apply(fields);
    }
}

/// A filtered request whose response has not come yet.
#[derive(Debug)]
pub(crate) struct Begun {
    filter: Arc<Filter>,
    visit: Visit,
    /// The fields of the request that an answer in the origin's stead needs.
    headers: Option<HeaderMap>,
}

/// What comes of a response.
pub(crate) enum Judged<R: Body> {
    /// It passes, with the changes of its head.
    Pass(FilterBody<R>),
    /// Another one in its stead.
    Answer(Response<FilterBody<R>>),
}

impl<R: Body> Judged<R> {
    /// The response with this head, to which the changes were applied.
    pub(super) fn of(self, parts: Parts) -> Response<FilterBody<R>> {
        match self {
            Self::Answer(answer) => answer,
            Self::Pass(body) => Response::from_parts(parts, body),
        }
    }
}

/// What is known of a response by its head.
pub(crate) enum Received<R: Body> {
    Judged(Judged<R>),
    /// Its body has to be looked at.
    Look(Box<Looking<R>>),
}

impl Begun {
    /// Filters a request.
    ///
    /// # Errors
    /// With the answer to a request that must not be forwarded.
    pub(crate) fn of<F: Fields>(
        filter: &Arc<Filter>,
        request: RequestHead<'_, F>,
        peer: Peer,
        recall: Option<&Recall>,
    ) -> Result<(Self, Edits), OwnAnswer> {
        if filter.has_too_many_cookies(request.fields) {
            return Err(request::too_many_cookies(filter));
        }
        let fields = request.fields;
        let (visit, edits) = request::filter(filter, request, peer, recall, unix_now())?;
        let headers = needs_headers(filter, &visit).then(|| answer::needed_of(fields));
        Ok((Self { filter: Arc::clone(filter), visit, headers }, edits))
    }

    /// What the visitor allowed.
    pub(crate) fn consent(&self) -> Consent {
        self.visit.report.consent
    }

    /// Decides on a response by its head.
    pub(crate) fn received<R: Body<Data = Bytes>>(
        self,
        status: StatusCode,
        fields: &impl Fields,
        body: R,
    ) -> (Edits, Received<R>) {
        let Self { filter, mut visit, headers } = self;
        let look = if visit.looked_at.is_some() {
            detect::look_at_image(status, fields)
        } else if filter.settings.detect == Detect::Off || visit.known_beacon {
            Look::Ordinary
        } else {
            let query = visit.uri.query();
            detect::look(&visit.method, query, visit.wanted, visit.ping, status, fields)
        };
        let mut edits = response::filter(&filter, &mut visit, fields, unix_now());
        let received = match look {
            Look::Ordinary => {
                Received::Judged(Judged::Pass(FilterBody::inner(body, filter, visit.report)))
            }
            Look::Beacon => {
                let edits = (fields, &mut edits);
                Received::Judged(beacon(&filter, visit, headers, edits, body))
            }
            Look::SmallImage => {
                let taken = BytesMut::new();
                Received::Look(Box::new(Looking { body, taken, visit, headers, filter }))
            }
        };
        (edits, received)
    }
}

/// A response whose first octets tell whether it is a beacon.
pub(crate) struct Looking<R> {
    body: R,
    taken: BytesMut,
    visit: Visit,
    headers: Option<HeaderMap>,
    filter: Arc<Filter>,
}

/// Only an answer in the origin's stead needs the request's headers again.
fn needs_headers(filter: &Filter, visit: &Visit) -> bool {
    let may_answer = filter.settings.detect == Detect::Block || visit.looked_at.is_some();
    may_answer && filter.enforces()
}

/// Notes what the origin's answer has shown to be a beacon, and answers it in the origin's stead where the site says so.
fn beacon<R: Body>(
    filter: &Arc<Filter>,
    mut visit: Visit,
    headers: Option<HeaderMap>,
    (fields, edits): (&impl Fields, &mut Edits),
    body: R,
) -> Judged<R> {
    if technologies::strip_validators(fields, filter, &mut visit.report, edits) {
        cache::private(fields, edits);
    }
    let beacon = match visit.looked_at {
        Some(number) => known(filter, &visit, number).map(Some),
        None => unknown(filter, &visit).then_some(None),
    };
    visit.report.beacon = beacon;
    match headers.filter(|_| beacon.is_some() && filter.enforces()) {
        Some(headers) => {
            let answer = answer::to_beacon(&visit.method, &headers, visit.wanted);
            Judged::Answer(own(filter, (answer, visit.report)))
        }
        None => Judged::Pass(FilterBody::inner(body, Arc::clone(filter), visit.report)),
    }
}

/// Notes a beacon of this rule without consent; returns its category.
fn known(filter: &Filter, visit: &Visit, number: usize) -> Option<Category> {
    let rule = filter.settings.policy.catalogue.beacon_rule(number)?;
    filter.note_beacon(rule, &visit.report, false, unix_now());
    Some(rule.entry.category)
}

/// Notes a beacon that no rule knows; returns whether it is to be answered in the origin's stead.
fn unknown(filter: &Filter, visit: &Visit) -> bool {
    let permitted = filter.settings.policy.permits_unclassified(visit.granted());
    let decided = visit.report.consent.is_decided();
    let outcome = Outcome { permitted, decided, presumed: None };
    filter.inventory.note_unknown_beacon(visit.uri.path(), outcome, unix_now());
    filter.settings.detect == Detect::Block && !permitted
}

/// How a body ended while its start was looked at; `None` when it goes on or has just ended.
type Ended<E> = Option<Result<HeaderMap, E>>;

#[cfg(feature = "ext-proc")]
impl<R: Body<Data = Bytes>> Looking<R> {
    /// The response where its body cannot be looked at.
    pub(crate) fn without_body(self) -> FilterBody<R> {
        FilterBody::inner(self.body, self.filter, self.visit.report)
    }
}

impl<R: Body<Data = Bytes> + Unpin> Looking<R> {
    /// Takes the first octets of the body.
    pub(crate) fn poll_start(&mut self, context: &mut Context<'_>) -> Poll<Ended<R::Error>> {
        while self.taken.len() < detect::ENOUGH_OCTETS {
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

    /// Decides on the response by the first octets of its body.
    pub(crate) fn judge(self, ended: Ended<R::Error>, fields: &impl Fields) -> (Edits, Judged<R>) {
        let Self { body, taken, visit, headers, filter } = self;
        let taken = taken.freeze();
        let mut edits = Edits::default();
        let mut judged = match detect::is_small_pixel(&taken) {
            true => beacon(&filter, visit, headers, (fields, &mut edits), body),
            false => Judged::Pass(FilterBody::inner(body, filter, visit.report)),
        };
        if let Judged::Pass(body) = &mut judged {
            body.give_back(taken, ended);
        }
        (edits, judged)
    }
}
