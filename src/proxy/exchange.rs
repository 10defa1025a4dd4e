//! One request sent, one response head received: on an idle connection or on a new one, within the
//! timeouts, and a second time only where that changes nothing.
//!
//! Previous step: `forward`, which made the request fit for the upstream.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::UPGRADE;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::driven::Sent;
use super::error::ProxyError;
use super::pool::{Lease, Need, PrivateConnections, Upstream};
use super::request_body::{Progress, VisitorBody};
use super::site::{Site, Snapshot};
use super::visitor::Visitor;
use crate::config::settings::Timeouts;
use crate::http::{Client, binds_connection};

/// What forwarding a request needs besides the request.
#[derive(Clone, Copy)]
pub(super) struct Forward<'a> {
    pub(super) visitor: &'a Arc<Visitor>,
    pub(super) client: &'a Client,
    /// The connections that belong to the client connection; none of HTTP/2, which is for many requests at a time.
    pub(super) private: Option<&'a Arc<PrivateConnections>>,
    pub(super) site: &'a Site,
    pub(super) snapshot: &'a Snapshot,
    /// When the request came here.
    pub(super) began: Instant,
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
            replay: Option<Box<Replay>>,
            to: Forward<'a>,
        },
        // On a new connection.
        Boxed { answer: Pin<Box<dyn Future<Output = Answer> + Send + 'a>> },
    }
}

/// Sends a request on a connection that stands, or begins to open one. `kept` is the place of the upstream that
/// the visitor is kept at; with `switches` the request asks to switch protocols.
pub(super) fn begin<'a>(
    request: Request<VisitorBody>,
    kept: Option<usize>,
    switches: bool,
    to: Forward<'a>,
) -> Exchange<'a, impl Future<Output = Sent>> {
    let need = need_of(&request, switches);
    if let Some(lease) = private(to) {
        return Exchange::Boxed { answer: Box::pin(send_private(request, (lease, need), to)) };
    }
    let first = to.site.balance.next(kept);
    let Some(mut lease) = pooled(to, first, need) else {
        let answer = Box::pin(connect_and_send(request, (first, need), to));
        return Exchange::Boxed { answer };
    };
    if need == Need::Private {
        lease.make_private(to.private);
    }
    let progress = request.body().progress();
    let replay = Replay::of(&request);
    let sent = match lease.sender.send(request) {
        Ok(sent) => sent,
        Err(error) => return Exchange::Boxed { answer: Box::pin(std::future::ready(Err(error))) },
    };
    let counted = to.site.balance.count(lease.upstream());
    let head = Head::of(sent, lease.counted(counted), progress, to);
    Exchange::Sent { head, replay, to }
}

impl<F: Future<Output = Sent>> Future for Exchange<'_, F> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let failed = match self.as_mut().project() {
                ExchangeProjection::Boxed { answer } => return answer.as_mut().poll(context),
                ExchangeProjection::Sent { head, replay, to } => {
                    match ready!(head.poll(context))? {
                        Ok(answered) => return Poll::Ready(Ok(answered)),
                        Err(failed) => Box::pin(send_again(failed, replay.take(), *to)),
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
        lease: Option<Lease>,
        progress: Option<Arc<Progress>>,
        until: Instant,
        first_byte: Duration,
        idle: Duration,
    }
}

impl<F> Head<F> {
    fn of(sent: F, lease: Lease, progress: Option<Arc<Progress>>, to: Forward<'_>) -> Self {
        let Timeouts { first_byte, idle, .. } = to.snapshot.timeouts;
        let until = to.began + first_byte;
        Self { sent, lease: Some(lease), progress, until, first_byte, idle }
    }
}

/// A response with the connection that its body comes on, or the request that was not sent.
type Answered = Result<(Response<Incoming>, Lease), TrySendError<Request<VisitorBody>>>;

impl<F: Future<Output = Sent>> Future for Head<F> {
    type Output = Result<Answered, ProxyError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(lease) = this.lease else { return Poll::Ready(Err(ProxyError::Internal)) };
        lease.sender.drive(context);
        if let Poll::Ready(sent) = this.sent.poll(context) {
            let progress = this.progress.as_ref();
            let too_large = progress.is_some_and(|progress| progress.is_too_large());
            // The upstream is not to blame for what it was not sent.
            let broken = progress.is_some_and(|progress| progress.is_broken());
            return Poll::Ready(match (sent, this.lease.take()) {
                (Err(_), _) if too_large => Err(ProxyError::BodyTooLarge),
                (Err(_), _) if broken => Err(ProxyError::BrokenBody),
                (Ok(response), Some(lease)) => Ok(Ok((response, lease))),
                (Ok(_), None) => Err(ProxyError::Internal),
                (Err(failed), _) => Ok(Err(failed)),
            });
        }
        while lease.patience.poll_until(*this.until, context).is_ready() {
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
            *this.until = Instant::now() + left;
        }
        Poll::Pending
    }
}

/// Sends a request on a new connection; once more by HTTP/1.1, where the upstream asks for that.
async fn connect_and_send(
    request: Request<VisitorBody>,
    (first, need): (usize, Need),
    to: Forward<'_>,
) -> Answer {
    let replay = Replay::of(&request);
    let failed = match send_on_new(request, (first, need), to).await? {
        Ok(answered) => return Ok(answered),
        Err((failed, upstream)) => {
            let error = failed.into_error();
            let replay = replay.filter(|_| requires_http1(&error) && upstream.require_http1());
            replay.ok_or(ProxyError::Upstream(error))?
        }
    };
    let answered = send_on_new(failed.request(), (first, need), to).await?;
    answered.map_err(|(failed, _)| ProxyError::Upstream(failed.into_error()))
}

type Failed = (TrySendError<Request<VisitorBody>>, Arc<Upstream>);

async fn send_on_new(
    request: Request<VisitorBody>,
    (first, need): (usize, Need),
    to: Forward<'_>,
) -> Result<Result<(Response<Incoming>, Lease), Failed>, ProxyError> {
    let progress = request.body().progress();
    let mut lease = connect(to, first, need).await?;
    if need == Need::Private {
        lease.own(to.private);
    }
    let upstream = Arc::clone(lease.upstream());
    let counted = to.site.balance.count(&upstream);
    let sent = lease.sender.send(request)?;
    let to = Forward { began: Instant::now(), ..to };
    let answered = Head::of(sent, lease.counted(counted), progress, to).await?;
    Ok(answered.map_err(|failed| (failed, upstream)))
}

/// Sends a request on the connection that belongs to the client connection, or on a new one if that has ended.
async fn send_private(
    request: Request<VisitorBody>,
    (mut lease, need): (Lease, Need),
    to: Forward<'_>,
) -> Answer {
    // Its last response may only just have ended.
    if lease.sender.ready().await.is_err() {
        let kept = to.site.balance.kept(request.headers());
        return connect_and_send(request, (to.site.balance.next(kept), need), to).await;
    }
    let (progress, replay) = (request.body().progress(), Replay::of(&request));
    let counted = to.site.balance.count(lease.upstream());
    let sent = lease.sender.send(request)?;
    match Head::of(sent, lease.counted(counted), progress, to).await? {
        Ok(answered) => Ok(answered),
        Err(failed) => send_again(failed, replay, to).await,
    }
}

/// What a request needs of its connection.
fn need_of<B>(request: &Request<B>, switches: bool) -> Need {
    match (binds_connection(request.headers()), switches) {
        (true, _) => Need::Private,
        (false, true) => Need::Upgrade,
        (false, false) => Need::Any,
    }
}

/// Whether an upstream has rejected a request because it came by HTTP/2.
fn requires_http1(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED);
        }
        cause = error.source();
    }
    false
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
    let again = again.filter(|_| to.visitor.worker.may_retry(to.snapshot));
    let Some(again) = again else { return Err(ProxyError::Upstream(error)) };
    let kept = to.site.balance.kept(again.headers());
    let need = need_of(&again, again.headers().contains_key(UPGRADE));
    connect_and_send(again, (to.site.balance.next(kept), need), to).await
}

/// The connection to this site that belongs to the client connection.
fn private(to: Forward<'_>) -> Option<Lease> {
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    to.private?.take(to.site.upstreams(), to.visitor.worker.id(), within)
}

/// A connection that stands already, to the upstream in this place.
fn pooled(to: Forward<'_>, place: usize, need: Need) -> Option<Lease> {
    let upstream = to.site.balance.at(place)?;
    upstream.take(to.visitor.worker.id(), &to.snapshot.limits, need)
}

/// A new connection to the upstream in this place, or to the next one that takes one.
async fn connect(to: Forward<'_>, first: usize, need: Need) -> Result<Lease, ProxyError> {
    let worker = &to.visitor.worker;
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    let mut failed = ProxyError::Internal;
    for (number, upstream) in to.site.balance.order(first).into_iter().enumerate() {
        // Nothing has been sent yet: whatever the request is, another upstream may have it.
        if number > 0 && !worker.may_retry(to.snapshot) {
            break;
        }
        match upstream.connect(worker.id(), within, need, worker.metrics()).await {
            Ok(lease) => return Ok(lease),
            Err(error) => {
                tracing::debug!(upstream = %upstream.address(), %error, "an upstream takes no connection");
                failed = error;
            }
        }
    }
    Err(failed)
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
    /// `None` for a request that may be sent once only.
    fn of(request: &Request<VisitorBody>) -> Option<Box<Self>> {
        let again = request.body().progress().is_none() && is_idempotent(request.method());
        again.then(|| {
            Box::new(Self {
                method: request.method().clone(),
                uri: request.uri().clone(),
                headers: request.headers().clone(),
            })
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
