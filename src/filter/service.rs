//! The filter as a tower service: request in, inner service, response out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, Uri, response::Parts};
use http_body::Body;
use http_body_util::Empty;
use tower::{Layer, Service};

use super::body::FilterBody;
use super::cache::keep_private;
use super::clock::unix_now;
use super::detect::{self, Look};
use super::peer::{ClientUri, Peer};
use super::recall::Recall;
use super::reload::{ReloadHandle, Source};
use super::report::Report;
use super::request::{self, Visit};
use super::seen::Outcome;
use super::state::Filter;
use super::visitor_consent::VisitorConsent;
use super::{answer, response, technologies};
use crate::config::settings::{Detect, FilterSettings};
use crate::consent::Category;
use crate::http::join_cookies;

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
        // HTTP/2 clients may send a field line for each cookie: one consent and one decision for all of them.
        join_cookies(request.headers_mut());
        if filter.has_too_many_cookies(request.headers()) {
            return Err(own(&filter, request::too_many_cookies(&filter)));
        }
        let (uri, peer) = self.client(request);
        match request::filter(&filter, request, uri, peer, self.recall.as_deref(), unix_now()) {
            Err(answered) => Err(own(&filter, *answered)),
            Ok(visit) => {
                let headers = needs_headers(&filter, &visit).then(|| request.headers().clone());
                if self.extensions {
                    let consent = VisitorConsent::new(Arc::clone(&filter), visit.report.consent);
                    request.extensions_mut().insert(consent);
                }
                Ok(Begun { filter, visit, headers })
            }
        }
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
fn own<R: Body>(
    filter: &Arc<Filter>,
    (answer, report): (Response<Bytes>, Box<Report>),
) -> Box<Response<FilterBody<R>>> {
    Box::new(answer.map(|body| FilterBody::answer(body, Arc::clone(filter), report)))
}

/// A filtered request whose response has not come yet.
#[derive(Debug)]
pub struct Begun {
    filter: Arc<Filter>,
    visit: Visit,
    /// The request's headers, where an answer in the origin's stead needs them.
    headers: Option<HeaderMap>,
}

impl Begun {
    /// Filters the head of the response. Its body is elsewhere and cannot be inspected.
    pub fn response(self, response: Response<()>) -> Response<FilterBody<Empty<Bytes>>> {
        let response = response.map(|()| Empty::new());
        match received(self, response) {
            Received::Done(response) => response,
            Received::Look(looking) => looking.judge(None),
        }
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
        Looking { looking: Option<Box<LookingAt<R>>> },
    }
}

/// A response whose first octets tell whether it is a beacon.
struct LookingAt<R> {
    parts: Parts,
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
                    match received(begun, response) {
                        Received::Done(response) => return Poll::Ready(Ok(response)),
                        Received::Look(looking) => looking,
                    }
                }
                StateProjection::Looking { looking } => {
                    let Some(at) = looking.as_mut() else { return Poll::Pending };
                    let end = ready!(at.poll_start(context));
                    let Some(at) = looking.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(at.judge(end)));
                }
            };
            self.as_mut().project().state.set(State::Looking { looking: Some(looking) });
        }
    }
}

enum Received<R: Body> {
    Done(Response<FilterBody<R>>),
    Look(Box<LookingAt<R>>),
}

/// Filters the head of a response and decides whether its body must be looked at.
fn received<R: Body<Data = Bytes>>(begun: Begun, mut response: Response<R>) -> Received<R> {
    let Begun { filter, mut visit, headers } = begun;
    let look = if visit.looked_at.is_some() {
        detect::look_at_image(response.status(), response.headers())
    } else if filter.settings.detect == Detect::Off || visit.known_beacon {
        Look::Ordinary
    } else {
        let status = response.status();
        let query = visit.uri.query();
        let headers = response.headers();
        detect::look(&visit.method, query, visit.wanted, visit.ping, status, headers)
    };
    response::filter(&filter, &mut visit, response.headers_mut(), unix_now());
    match look {
        Look::Ordinary => {
            let wrap = |body| FilterBody::inner(body, filter, visit.report);
            Received::Done(response.map(wrap))
        }
        Look::Beacon => Received::Done(beacon(&filter, visit, headers, response)),
        Look::SmallImage => {
            let (parts, body) = response.into_parts();
            let taken = BytesMut::new();
            Received::Look(Box::new(LookingAt { parts, body, taken, visit, headers, filter }))
        }
    }
}

/// Notes what the origin's answer has shown to be a beacon, and answers it in the origin's stead where the site says so.
fn beacon<R: Body<Data = Bytes>>(
    filter: &Arc<Filter>,
    mut visit: Visit,
    headers: Option<HeaderMap>,
    mut response: Response<R>,
) -> Response<FilterBody<R>> {
    if technologies::strip_validators(response.headers_mut(), filter, &mut visit.report) {
        keep_private(response.headers_mut());
    }
    let beacon = match visit.looked_at {
        Some(number) => known(filter, &visit, number).map(Some),
        None => unknown(filter, &visit).then_some(None),
    };
    visit.report.beacon = beacon;
    let owned = Arc::clone(filter);
    match headers.filter(|_| beacon.is_some() && filter.enforces()) {
        Some(headers) => answer::to_beacon(&visit.method, &headers, visit.wanted)
            .map(|body| FilterBody::answer(body, owned, visit.report)),
        None => response.map(|body| FilterBody::inner(body, owned, visit.report)),
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

impl<R: Body<Data = Bytes> + Unpin> LookingAt<R> {
    fn poll_start(&mut self, context: &mut Context<'_>) -> Poll<Ended<R::Error>> {
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

    fn judge(self, ended: Ended<R::Error>) -> Response<FilterBody<R>> {
        let Self { parts, body, taken, visit, headers, filter } = self;
        let taken = taken.freeze();
        let response = Response::from_parts(parts, body);
        let mut response = if taken.len() <= detect::MAX_PIXEL_OCTETS && detect::is_pixel(&taken) {
            beacon(&filter, visit, headers, response)
        } else {
            response.map(|body| FilterBody::inner(body, Arc::clone(&filter), visit.report))
        };
        response.body_mut().give_back(taken, ended);
        response
    }
}
