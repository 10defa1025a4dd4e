//! One request sent, one response head received: on an idle connection or on a new one, within the
//! timeouts, and a second time only where that changes nothing.
//!
//! Previous step: `forward`, which made the request fit for the upstream.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::error::ProxyError;
use super::pool::Lease;
use super::request_body::{Progress, VisitorBody};
use super::site::{Site, Snapshot};
use super::visitor::Visitor;
use crate::config::settings::Timeouts;

/// What forwarding a request needs besides the request.
#[derive(Clone, Copy)]
pub(super) struct Forward<'a> {
    pub(super) visitor: &'a Arc<Visitor>,
    pub(super) site: &'a Site,
    pub(super) snapshot: &'a Snapshot,
}

type Answer = Result<(Response<Incoming>, Lease), ProxyError>;

/// A request on its way.
///
/// The usual way is kept small, since the state of a request is moved several times; what happens
/// seldom is boxed.
pub(super) enum Exchange<'a, F> {
    /// On an idle connection.
    Sent { sent: F, lease: Lease, replay: Option<Box<Replay>>, progress: Option<Arc<Progress>> },
    /// Waiting for a new connection.
    Connecting(Pin<Box<dyn Future<Output = Answer> + Send + 'a>>),
}

/// Sends a request on an idle connection, or begins to open one.
pub(super) fn begin<'a>(
    request: Request<VisitorBody>,
    to: Forward<'a>,
) -> Exchange<'a, impl Future<Output = Sent>> {
    let turn = to.site.next_turn();
    match pooled(to, turn) {
        Some(mut lease) => {
            let progress = request.body().progress();
            let replay = (progress.is_none() && is_idempotent(request.method()))
                .then(|| Replay::of(&request));
            let sent = lease.sender.try_send_request(request);
            Exchange::Sent { sent, lease, replay, progress }
        }
        None => Exchange::Connecting(Box::pin(connect_and_send(request, turn, to))),
    }
}

impl<F: Future<Output = Sent>> Exchange<'_, F> {
    /// Waits for the head of the response.
    pub(super) async fn answered(self, to: Forward<'_>) -> Answer {
        match self {
            Self::Sent { sent, lease, replay, progress } => {
                match response_head(pin!(sent), progress.as_deref(), &to.snapshot.timeouts).await? {
                    Ok(response) => Ok((response, lease)),
                    Err(failed) => Box::pin(send_again(failed, replay, progress, to)).await,
                }
            }
            Self::Connecting(answer) => answer.await,
        }
    }
}

/// Sends a request on a new connection.
async fn connect_and_send(request: Request<VisitorBody>, turn: usize, to: Forward<'_>) -> Answer {
    let progress = request.body().progress();
    let mut lease = connect(to, turn).await?;
    let sent = pin!(lease.sender.try_send_request(request));
    match response_head(sent, progress.as_deref(), &to.snapshot.timeouts).await? {
        Ok(response) => Ok((response, lease)),
        Err(failed) => Err(ProxyError::Upstream(failed.into_error())),
    }
}

/// Sends a request once more, on a new connection, after a pooled one has failed it.
async fn send_again(
    mut failed: TrySendError<Request<VisitorBody>>,
    replay: Option<Box<Replay>>,
    progress: Option<Arc<Progress>>,
    to: Forward<'_>,
) -> Result<(Response<Incoming>, Lease), ProxyError> {
    let unsent = failed.take_message();
    let error = failed.into_error();
    let died = !error.is_parse() && !error.is_user();
    // Where the connection was dead before a single octet was written, the request comes back.
    let again = unsent.or_else(|| replay.filter(|_| died).map(|replay| replay.request()));
    let Some(again) = again else { return Err(ProxyError::Upstream(error)) };
    to.visitor.worker.metrics().retried();
    let mut lease = connect(to, to.site.next_turn()).await?;
    let sent = pin!(lease.sender.try_send_request(again));
    match response_head(sent, progress.as_deref(), &to.snapshot.timeouts).await? {
        Ok(response) => Ok((response, lease)),
        Err(failed) => Err(ProxyError::Upstream(failed.into_error())),
    }
}

/// An idle connection to the upstream whose turn it is.
fn pooled(to: Forward<'_>, turn: usize) -> Option<Lease> {
    let upstream = to.site.upstreams(turn).next()?;
    upstream.take(to.visitor.worker.id(), &to.snapshot.limits)
}

/// A new connection to the first upstream, in turn, that takes one.
async fn connect(to: Forward<'_>, turn: usize) -> Result<Lease, ProxyError> {
    let worker = &to.visitor.worker;
    let Snapshot { limits, timeouts, .. } = to.snapshot;
    let mut failed = ProxyError::Internal;
    for upstream in to.site.upstreams(turn) {
        match upstream.connect(worker.id(), limits, timeouts, worker.metrics()).await {
            Ok(lease) => return Ok(lease),
            Err(error) => {
                tracing::debug!(upstream = %upstream.address(), %error, "an upstream takes no connection");
                failed = error;
            }
        }
    }
    Err(failed)
}

/// What hyper says of a request that it was given.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<VisitorBody>>>;

/// Waits for the head of the response: from the last octet of the request, or from the last
/// movement of its body, no longer than allowed.
async fn response_head(
    mut sent: Pin<&mut impl Future<Output = Sent>>,
    progress: Option<&Progress>,
    timeouts: &Timeouts,
) -> Result<Sent, ProxyError> {
    let mut left = timeouts.first_byte;
    loop {
        if let Ok(sent) = tokio::time::timeout(left, sent.as_mut()).await {
            return Ok(sent);
        }
        let Some(progress) = progress else { return Err(ProxyError::UpstreamTimeout) };
        let awaits_visitor = progress.awaits_visitor();
        let longest = if awaits_visitor { timeouts.idle } else { timeouts.first_byte };
        left = longest.saturating_sub(progress.stalled_for());
        if left < Duration::from_millis(1) {
            let timeout = if awaits_visitor {
                ProxyError::RequestTimeout
            } else {
                ProxyError::UpstreamTimeout
            };
            return Err(timeout);
        }
    }
}

/// Whether a request may be sent a second time (RFC 9110 section 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// A request's head, kept to send it a second time.
pub(super) struct Replay {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Replay {
    fn of(request: &Request<VisitorBody>) -> Box<Self> {
        Box::new(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    fn request(self) -> Request<VisitorBody> {
        let mut request = Request::new(VisitorBody::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}
