//! The filter as a tower service: request in, inner service, response out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Uri, response::Parts};
use http_body::Body;
use http_body_util::Empty;
use tower::{Layer, Service};

use super::body::FilterBody;
use super::clock::unix_now;
use super::detect::{self, Look};
use super::edits::Edits;
use super::peer::{ClientUri, Peer};
use super::recall::Recall;
use super::reload::{ReloadHandle, Source};
use super::report::Report;
use super::request::{self, OwnAnswer, RequestHead, Visit};
use super::seen::Outcome;
use super::state::Filter;
use super::visitor_consent::VisitorConsent;
use super::{answer, cache, response, technologies};
use crate::config::settings::{Detect, FilterSettings};
use crate::consent::{Category, Consent};
use crate::http::Fields;

/// Puts a [`Filter`] in front of a service.
#[derive(Debug, Clone)]
pub struct ConsentLayer {
    filter: Source,
    peer: Peer,
    recall: Option<Arc<Recall>>,
    extensions: bool,
}

impl ConsentLayer {
    /// A layer for clients without HTTPS, behind no trusted proxy.
    ///
    /// It reads [`Peer`] and [`ClientUri`] from the extensions of a request, and adds [`VisitorConsent`].
    pub fn new(filter: Arc<Filter>) -> Self {
        Self::of(Source::Fixed(filter))
    }

    /// A layer whose settings the handle replaces, also in clones of the layer and in services that use it.
    pub fn reloadable(settings: FilterSettings) -> (Self, ReloadHandle) {
        let handle = ReloadHandle::new(Filter::new(settings));
        (Self::of(Source::Reloadable(handle.clone())), handle)
    }

    fn of(filter: Source) -> Self {
        Self { filter, peer: Peer::default(), recall: None, extensions: true }
    }

    /// Neither reads nor adds request extensions.
    pub fn without_extensions(self) -> Self {
        Self { extensions: false, ..self }
    }

    /// Sets whether clients use HTTPS: deletions then carry `Secure`. [`Peer`] overrides it per request.
    pub fn secure(self, secure: bool) -> Self {
        Self { peer: Peer { secure, ..self.peer }, ..self }
    }

    /// Sets whether requests come through a trusted proxy, whose region header counts. [`Peer`] overrides it per request.
    pub fn trusted(self, trusted: bool) -> Self {
        Self { peer: Peer { trusted, ..self.peer }, ..self }
    }

    /// Remembers the last request of a connection: its cookies need not be read again for the next one.
    pub fn recalling(self, recall: Arc<Recall>) -> Self {
        Self { recall: Some(recall), ..self }
    }

    /// Filters a request whose response comes from elsewhere. `Err` is the response to a request that must not be
    /// forwarded.
    pub fn begin<B, R: Body>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Begun, Box<Response<FilterBody<R>>>> {
        let filter = self.filter.current();
        let (uri, peer) = self.client(request);
        let authority = uri.authority().or(request.uri().authority());
        let host = request::host(authority, request.headers());
        let head =
            RequestHead { method: request.method(), uri: &uri, host, fields: request.headers() };
        let (begun, edits) = match Begun::of(&filter, head, peer, self.recall.as_deref()) {
            Err(answered) => return Err(Box::new(own(&filter, *answered))),
            Ok(begun) => begun,
        };
        edits.apply(request.headers_mut());
        if self.extensions {
            let consent = VisitorConsent::new(filter, begun.visit.report.consent);
            request.extensions_mut().insert(consent);
        }
        Ok(begun)
    }

    /// The URI that the client sent, and its connection.
    fn client<B>(&self, request: &Request<B>) -> (Uri, Peer) {
        let extensions = Some(request.extensions()).filter(|_| self.extensions);
        let uri = extensions.and_then(ClientUri::kept).unwrap_or(request.uri());
        let peer = extensions.and_then(|extensions| extensions.get()).unwrap_or(&self.peer);
        (uri.clone(), *peer)
    }
}

/// An answer of the filter's own.
pub(crate) fn own<R: Body>(
    filter: &Arc<Filter>,
    (answer, report): (Response<Bytes>, Box<Report>),
) -> Response<FilterBody<R>> {
    answer.map(|body| FilterBody::answer(body, Arc::clone(filter), report))
}

/// A filtered request whose response has not come yet.
#[derive(Debug)]
pub struct Begun {
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
    fn of(self, parts: Parts) -> Response<FilterBody<R>> {
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

    /// Filters the head of the response. Its body is elsewhere and cannot be inspected.
    pub fn response(self, mut response: Response<()>) -> Response<FilterBody<Empty<Bytes>>> {
        let received = self.received(response.status(), response.headers(), Empty::new());
        let (edits, received) = received;
        edits.apply(response.headers_mut());
        match received {
            Received::Judged(Judged::Answer(answer)) => answer,
            Received::Judged(Judged::Pass(body)) => response.map(|()| body),
            Received::Look(looking) => response.map(|()| looking.without_body()),
        }
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

impl<S> Layer<S> for ConsentLayer {
    type Service = ConsentService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConsentService { layer: self.clone(), inner }
    }
}

/// A service whose requests and responses are filtered by consent.
#[derive(Debug, Clone)]
pub struct ConsentService<S> {
    layer: ConsentLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for ConsentService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
{
    type Response = Response<FilterBody<R>>;
    type Error = S::Error;
    type Future = ConsentFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let state = match self.layer.begin(&mut request) {
            Err(answer) => State::Answered { response: Some(*answer) },
            Ok(begun) => State::Forwarded { future: self.inner.call(request), begun: Some(begun) },
        };
        ConsentFuture { state }
    }
}

/// Only an answer in the origin's stead needs the request's headers again.
fn needs_headers(filter: &Filter, visit: &Visit) -> bool {
    let may_answer = filter.settings.detect == Detect::Block || visit.looked_at.is_some();
    may_answer && filter.enforces()
}

pin_project_lite::pin_project! {
    /// The future of a [`ConsentService`].
    pub struct ConsentFuture<F, R: Body> {
        #[pin]
        state: State<F, R>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<F, R: Body> {
        // The filter answers itself.
        Answered { response: Option<Response<FilterBody<R>>> },
        // The inner service is at work.
        Forwarded {
            #[pin]
            future: F,
            begun: Option<Begun>,
        },
        // The start of a small image is awaited.
        Looking { looking: Option<Box<(Parts, Looking<R>)>> },
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

impl<F, R, E> Future for ConsentFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes> + Unpin,
{
    type Output = Result<Response<FilterBody<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let looking = match self.as_mut().project().state.project() {
                StateProjection::Answered { response } => {
                    return response.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)));
                }
                StateProjection::Forwarded { future, begun } => {
                    let response = ready!(future.poll(context))?;
                    let Some(begun) = begun.take() else { return Poll::Pending };
                    let (mut parts, body) = response.into_parts();
                    let (edits, received) = begun.received(parts.status, &parts.headers, body);
                    edits.apply(&mut parts.headers);
                    match received {
                        Received::Judged(judged) => return Poll::Ready(Ok(judged.of(parts))),
                        Received::Look(looking) => Box::new((parts, *looking)),
                    }
                }
                StateProjection::Looking { looking } => {
                    let Some(at) = looking.as_mut() else { return Poll::Pending };
                    let end = ready!(at.1.poll_start(context));
                    let Some(at) = looking.take() else { return Poll::Pending };
                    let (mut parts, looking) = *at;
                    let (edits, judged) = looking.judge(end, &parts.headers);
                    edits.apply(&mut parts.headers);
                    return Poll::Ready(Ok(judged.of(parts)));
                }
            };
            self.as_mut().project().state.set(State::Looking { looking: Some(looking) });
        }
    }
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
