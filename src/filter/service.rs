//! The filter as a tower service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response, Uri};
use http_body::Body;
use tower::{Layer, Service};

use super::body::FilterBody;
use super::client_info::{ClientInfo, ClientUri};
use super::decision_cache::DecisionCache;
use super::exchange::{BodyInspection, HeadDecision, PendingExchange, own};
use super::reload::{ReloadHandle, Source};
use super::request::{self, RequestHead};
use super::site_filter::Filter;
use super::visitor_consent::VisitorConsent;
use crate::config::settings::FilterSettings;

/// A tower layer that applies a [`Filter`] to a service.
#[derive(Debug, Clone)]
pub struct ConsentLayer {
    filter: Source,
    peer: ClientInfo,
    recall: Option<Arc<DecisionCache>>,
    extensions: bool,
}

impl ConsentLayer {
    /// A layer for clients without HTTPS and without a trusted proxy.
    ///
    /// The layer reads [`ClientInfo`] and [`ClientUri`] from the request extensions, and adds
    /// [`VisitorConsent`].
    pub fn new(filter: Arc<Filter>) -> Self {
        Self::of(Source::Fixed(filter))
    }

    /// A layer with a handle that replaces its settings, including those of clones and of services
    /// that use the layer.
    pub fn reloadable(settings: FilterSettings) -> (Self, ReloadHandle) {
        let handle = ReloadHandle::new(Filter::new(settings));
        (Self::of(Source::Reloadable(handle.clone())), handle)
    }

    fn of(filter: Source) -> Self {
        Self { filter, peer: ClientInfo::default(), recall: None, extensions: true }
    }

    /// Disables reading and adding request extensions.
    pub fn without_extensions(self) -> Self {
        Self { extensions: false, ..self }
    }

    /// Sets whether clients use HTTPS. Deletions then carry `Secure`. [`ClientInfo`] overrides the
    /// setting per request.
    pub fn secure(self, secure: bool) -> Self {
        Self { peer: ClientInfo { secure, ..self.peer }, ..self }
    }

    /// Sets whether requests come through a trusted proxy, whose region header is honoured.
    /// [`ClientInfo`] overrides the setting per request.
    pub fn trusted(self, trusted: bool) -> Self {
        Self { peer: ClientInfo { trusted, ..self.peer }, ..self }
    }

    /// Caches the last decision of a connection, so that repeated cookies are not parsed again.
    pub fn recalling(self, recall: Arc<DecisionCache>) -> Self {
        Self { recall: Some(recall), ..self }
    }

    /// Filters a request. `Err` is the reply to a request that must not be forwarded.
    fn begin<B, R: Body>(
        &self,
        request: &mut Request<B>,
    ) -> Result<PendingExchange, Box<Response<FilterBody<R>>>> {
        let filter = self.filter.current();
        let (uri, peer) = self.client(request);
        let authority = uri.authority().or(request.uri().authority());
        let host = request::host(authority, request.headers());
        let head =
            RequestHead { method: request.method(), uri: &uri, host, fields: request.headers() };
        let (begun, edits) = match PendingExchange::of(&filter, head, peer, self.recall.as_deref())
        {
            Err(answered) => return Err(Box::new(own(&filter, *answered))),
            Ok(begun) => begun,
        };
        edits.apply(request.headers_mut());
        if self.extensions {
            let consent = VisitorConsent::new(filter, begun.consent());
            request.extensions_mut().insert(consent);
        }
        Ok(begun)
    }

    /// The URI that the client sent, and the client connection.
    fn client<B>(&self, request: &Request<B>) -> (Uri, ClientInfo) {
        let extensions = Some(request.extensions()).filter(|_| self.extensions);
        let uri = extensions.and_then(ClientUri::kept).unwrap_or(request.uri());
        let peer = extensions.and_then(|extensions| extensions.get()).unwrap_or(&self.peer);
        (uri.clone(), *peer)
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
        // The filter sends a local reply.
        Answered { response: Option<Response<FilterBody<R>>> },
        // The inner service handles the request.
        Forwarded {
            #[pin]
            future: F,
            begun: Option<PendingExchange>,
        },
        // Waiting for the start of a small image.
        Looking { looking: Option<Box<(Parts, BodyInspection<R>)>> },
    }
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
                        HeadDecision::Judged(judged) => return Poll::Ready(Ok(judged.of(parts))),
                        HeadDecision::Look(looking) => Box::new((parts, *looking)),
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
