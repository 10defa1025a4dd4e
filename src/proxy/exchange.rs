//! One request sent, one response head received: on an idle connection or on a new one, within the
//! timeouts, and a second time only where that changes nothing.
//!
//! Previous step: `forward`, which made the request fit for the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep};

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

pin_project_lite::pin_project! {
    /// A request on its way to its answer.
    ///
    /// The usual way is a small future written by hand, since the state of a request is moved several
    /// times; what happens seldom is boxed.
    #[project = ExchangeProjection]
    pub(super) enum Exchange<'a, F> {
        // On an idle connection.
        Sent {
            #[pin]
            head: Head<F>,
            lease: Option<Lease>,
            replay: Option<Box<Replay>>,
            to: Forward<'a>,
        },
        // On a new connection.
        Boxed { answer: Pin<Box<dyn Future<Output = Answer> + Send + 'a>> },
    }
}

/// Sends a request on an idle connection, or begins to open one.
pub(super) fn begin<'a>(
    request: Request<VisitorBody>,
    to: Forward<'a>,
) -> Exchange<'a, impl Future<Output = Sent>> {
    let turn = to.site.next_turn();
    let Some(mut lease) = pooled(to, turn) else {
        return Exchange::Boxed { answer: Box::pin(connect_and_send(request, turn, to)) };
    };
    let progress = request.body().progress();
    let replay =
        (progress.is_none() && is_idempotent(request.method())).then(|| Replay::of(&request));
    let head = Head::of(lease.sender.try_send_request(request), progress, &to.snapshot.timeouts);
    Exchange::Sent { head, lease: Some(lease), replay, to }
}

impl<F: Future<Output = Sent>> Future for Exchange<'_, F> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let failed = match self.as_mut().project() {
                ExchangeProjection::Boxed { answer } => return answer.as_mut().poll(context),
                ExchangeProjection::Sent { head, lease, replay, to } => {
                    match (ready!(head.poll(context))?, lease.take()) {
                        (Ok(response), Some(lease)) => return Poll::Ready(Ok((response, lease))),
                        (Ok(_), None) => return Poll::Ready(Err(ProxyError::Internal)),
                        (Err(failed), _) => Box::pin(send_again(failed, replay.take(), *to)),
                    }
                }
            };
            self.set(Exchange::Boxed { answer: failed });
        }
    }
}

pin_project_lite::pin_project! {
    /// The head of a response: from the last octet of the request, or from the last movement of its
    /// body, it is waited for no longer than allowed.
    pub(super) struct Head<F> {
        #[pin]
        sent: F,
        #[pin]
        patience: Sleep,
        progress: Option<Arc<Progress>>,
        first_byte: Duration,
        idle: Duration,
    }
}

impl<F> Head<F> {
    fn of(sent: F, progress: Option<Arc<Progress>>, timeouts: &Timeouts) -> Self {
        let Timeouts { first_byte, idle, .. } = *timeouts;
        Self { sent, patience: tokio::time::sleep(first_byte), progress, first_byte, idle }
    }
}

impl<F: Future<Output = Sent>> Future for Head<F> {
    type Output = Result<Sent, ProxyError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(sent) = this.sent.poll(context) {
            return Poll::Ready(Ok(sent));
        }
        while this.patience.as_mut().poll(context).is_ready() {
            let Some(progress) = this.progress else {
                return Poll::Ready(Err(ProxyError::UpstreamTimeout));
            };
            let awaits_visitor = progress.awaits_visitor();
            let longest = if awaits_visitor { *this.idle } else { *this.first_byte };
            let left = longest.saturating_sub(progress.stalled_for());
            if left < Duration::from_millis(1) {
                return Poll::Ready(Err(if awaits_visitor {
                    ProxyError::RequestTimeout
                } else {
                    ProxyError::UpstreamTimeout
                }));
            }
            this.patience.as_mut().reset(Instant::now() + left);
        }
        Poll::Pending
    }
}

/// Sends a request on a new connection.
async fn connect_and_send(request: Request<VisitorBody>, turn: usize, to: Forward<'_>) -> Answer {
    let progress = request.body().progress();
    let mut lease = connect(to, turn).await?;
    let sent = lease.sender.try_send_request(request);
    match Head::of(sent, progress, &to.snapshot.timeouts).await? {
        Ok(response) => Ok((response, lease)),
        Err(failed) => Err(ProxyError::Upstream(failed.into_error())),
    }
}

/// Sends a request once more, on a new connection, after a pooled one has failed it.
async fn send_again(
    mut failed: TrySendError<Request<VisitorBody>>,
    replay: Option<Box<Replay>>,
    to: Forward<'_>,
) -> Answer {
    let unsent = failed.take_message();
    let error = failed.into_error();
    let died = !error.is_parse() && !error.is_user();
    // Where the connection was dead before a single octet was written, the request comes back.
    let again = unsent.or_else(|| replay.filter(|_| died).map(|replay| replay.request()));
    let Some(again) = again else { return Err(ProxyError::Upstream(error)) };
    to.visitor.worker.metrics().retried();
    connect_and_send(again, to.site.next_turn(), to).await
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
