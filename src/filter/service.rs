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
use super::exchange::{BodyInspection, HeadDecision, PendingExchange, into_response};
use super::filtered_head::FilteredHead;
use super::reload::{FilterSource, ReloadHandle};
use super::request;
use super::site_filter::Filter;
use super::visitor_consent::VisitorConsent;
use crate::catalogue::BodyStart;
use crate::config::settings::FilterSettings;

/// A tower layer that applies a [`Filter`] to a service.
#[derive(Debug, Clone)]
pub struct ConsentLayer {
    filter: FilterSource,
    client_info: ClientInfo,
    cache: Option<Arc<DecisionCache>>,
    extensions: bool,
}

impl ConsentLayer {
    /// A layer for clients without HTTPS and without a trusted proxy.
    ///
    /// The layer reads [`ClientInfo`] and [`ClientUri`] from the request extensions, and adds
    /// [`VisitorConsent`].
    pub fn new(filter: Arc<Filter>) -> Self {
        Self::of(FilterSource::Fixed(filter))
    }

    /// A layer with a handle that replaces its settings, including those of clones and of services
    /// that use the layer.
    pub fn reloadable(settings: FilterSettings) -> (Self, ReloadHandle) {
        let handle = ReloadHandle::new(Filter::new(settings));
        (Self::of(FilterSource::Reloadable(handle.clone())), handle)
    }

    fn of(filter: FilterSource) -> Self {
        Self { filter, client_info: ClientInfo::default(), cache: None, extensions: true }
    }

    /// Disables reading and adding request extensions.
    pub fn without_extensions(self) -> Self {
        Self { extensions: false, ..self }
    }

    /// Sets whether clients use HTTPS. Deletions then carry `Secure`. [`ClientInfo`] overrides the
    /// setting per request.
    pub fn secure(self, secure: bool) -> Self {
        Self { client_info: ClientInfo { secure, ..self.client_info }, ..self }
    }

    /// Sets whether requests come through a trusted proxy, whose region header is honoured.
    /// [`ClientInfo`] overrides the setting per request.
    pub fn trusted(self, trusted: bool) -> Self {
        Self { client_info: ClientInfo { trusted, ..self.client_info }, ..self }
    }

    /// Caches the last decision of a connection, so that repeated cookies are not parsed again.
    pub fn with_decision_cache(self, cache: Arc<DecisionCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Filters a request. `Err` is the reply to a request that must not be forwarded.
    fn begin<B, R: Body>(
        &self,
        request: &mut Request<B>,
    ) -> Result<PendingExchange, Box<Response<FilterBody<R>>>> {
        let filter = self.filter.current();
        let (uri, client_info) = self.client(request);
        let authority = uri.authority().or(request.uri().authority());
        let host = request::host(authority, request.headers());
        let head = FilteredHead {
            method: request.method(),
            uri: &uri,
            host,
            fields: request.headers(),
            // The body of a service's request may have any type.
            body: BodyStart::Unavailable,
        };
        let (pending, edits) =
            match PendingExchange::of(&filter, head, client_info, self.cache.as_deref()) {
                Err(stop) => return Err(Box::new(into_response(&filter, *stop.reply(&filter)))),
                Ok(pending) => pending,
            };
        edits.apply(request);
        if self.extensions {
            let consent = VisitorConsent::new(filter, pending.consent());
            request.extensions_mut().insert(consent);
        }
        Ok(pending)
    }

    /// The URI that the client sent, and the client connection.
    fn client<B>(&self, request: &Request<B>) -> (Uri, ClientInfo) {
        let extensions = Some(request.extensions()).filter(|_| self.extensions);
        let uri = extensions.and_then(ClientUri::original).unwrap_or(request.uri());
        let client_info =
            extensions.and_then(|extensions| extensions.get()).unwrap_or(&self.client_info);
        (uri.clone(), *client_info)
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
            Err(reply) => FutureState::Replied { response: Some(*reply) },
            Ok(pending) => {
                FutureState::Forwarded { future: self.inner.call(request), pending: Some(pending) }
            }
        };
        ConsentFuture { state }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`ConsentService`].
    pub struct ConsentFuture<F, R: Body> {
        #[pin]
        state: FutureState<F, R>,
    }
}

pin_project_lite::pin_project! {
    #[project = FutureStateProjection]
    enum FutureState<F, R: Body> {
        // The filter sends a local reply.
        Replied { response: Option<Response<FilterBody<R>>> },
        // The inner service handles the request.
        Forwarded {
            #[pin]
            future: F,
            pending: Option<PendingExchange>,
        },
        // Waiting for the start of a small image.
        Inspecting { inspection: Option<Box<(Parts, BodyInspection<R>)>> },
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
            let inspection = match self.as_mut().project().state.project() {
                FutureStateProjection::Replied { response } => {
                    return response.take().map_or(Poll::Pending, |reply| Poll::Ready(Ok(reply)));
                }
                FutureStateProjection::Forwarded { future, pending } => {
                    let response = ready!(future.poll(context))?;
                    let Some(pending) = pending.take() else { return Poll::Pending };
                    let (mut parts, body) = response.into_parts();
                    let (edits, decision) =
                        pending.filter_response(parts.status, &parts.headers, body);
                    edits.apply(&mut parts.headers);
                    match decision {
                        HeadDecision::Decided(decision) => {
                            return Poll::Ready(Ok(decision.of(parts)));
                        }
                        HeadDecision::Inspect(inspection) => Box::new((parts, *inspection)),
                    }
                }
                FutureStateProjection::Inspecting { inspection } => {
                    let Some(at) = inspection.as_mut() else { return Poll::Pending };
                    let end = ready!(at.1.poll_start(context));
                    let Some(at) = inspection.take() else { return Poll::Pending };
                    let (mut parts, inspection) = *at;
                    let (edits, decision) = inspection.decide(end, &parts.headers);
                    edits.apply(&mut parts.headers);
                    return Poll::Ready(Ok(decision.of(parts)));
                }
            };
            self.as_mut()
                .project()
                .state
                .set(FutureState::Inspecting { inspection: Some(inspection) });
        }
    }
}
