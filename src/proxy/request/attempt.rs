//! Sends one request to an upstream and waits for the response head.
//!
//! The request uses an idle or a new connection, within the timeouts. A retry happens only where it
//! is safe.
//!
//! Previous step: `forward`, which prepares the request for the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Version;
use http::header::UPGRADE;
use tokio::time::Instant;

use crate::config::settings::Timeouts;
use crate::consent::Consent;
use crate::http::{Client, Fields, Request, Response, binds_connection};
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::http1_io::{READ_SIZES, ReadSizes, STREAM_READ_SIZES};
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::hop_by_hop;
use crate::proxy::request::request_body::{Progress, UpstreamRequestBody};
use crate::proxy::site_router::{Site, Snapshot};
use crate::proxy::upstream::client::{Answer, FailedRequest};
use crate::proxy::upstream::failure::UpstreamError;
use crate::proxy::upstream::pool::{ConnectionRequirements, PooledConnection, UpstreamPool};

/// Context for forwarding a request.
#[derive(Clone, Copy)]
pub(crate) struct ForwardContext<'a> {
    pub(crate) visitor: &'a Arc<ConnectionState>,
    pub(crate) client: &'a Client,
    /// The client's HTTP version.
    pub(crate) version: Version,
    /// The client connection; `None` for HTTP/2, whose connections carry concurrent requests.
    pub(crate) http1: Option<&'a Arc<Http1Session>>,
    pub(crate) site: &'a Site,
    pub(crate) snapshot: &'a Snapshot,
    /// The visitor's consent, used to filter interim responses.
    pub(crate) consent: &'a Consent,
    /// When forwarding began.
    pub(crate) began: Instant,
}

impl ForwardContext<'_> {
    /// Read sizes for the response.
    fn reads(&self) -> ReadSizes {
        self.http1.map_or(STREAM_READ_SIZES, |_| READ_SIZES)
    }
}

/// A final response and the connection that carries its body.
pub(crate) type ForwardedResponse = (Answer, PooledConnection);

type AttemptOutcome = Result<ForwardedResponse, ProxyError>;

/// Maximum attempts on new connections, while the upstream reports each request as not processed.
const MAX_ATTEMPTS: u32 = 3;
/// Maximum interim responses handled in one poll, before the task yields to other connections.
const MAX_INTERIMS: usize = 64;

/// A request that waits for its response.
///
/// The common path is a small hand-written future, because the state of a request is moved several
/// times. The rare paths are boxed.
pub(crate) enum AttemptExchange<'a> {
    /// Sent on an idle connection.
    Sent(HeadFuture<'a>),
    /// A new connection, a private connection or a retry.
    Boxed(Pin<Box<dyn Future<Output = AttemptOutcome> + Send + 'a>>),
}

/// Sends a request on an idle connection, or starts to open a new one.
///
/// `kept` is the index of the upstream from session affinity. `switches` is true if the request
/// asks to switch protocols.
pub(crate) fn send(
    request: Request<UpstreamRequestBody>,
    kept: Option<usize>,
    switches: bool,
    to: ForwardContext<'_>,
) -> AttemptExchange<'_> {
    let need = need_of(&request, switches);
    if let Some(lease) = private(to) {
        return AttemptExchange::Boxed(Box::pin(send_private(request, (lease, need), to)));
    }
    let first = to.site.balance.next(kept);
    let Some(mut lease) = pooled(to, first, need) else {
        return AttemptExchange::Boxed(Box::pin(connect_and_send(request, (first, need), to)));
    };
    if need == ConnectionRequirements::Private {
        lease.make_private(to.http1.map(|session| &session.private));
    }
    let progress = request.body.progress();
    if let Err(error) = lease.sender.start(request, to.reads()) {
        return AttemptExchange::Boxed(Box::pin(std::future::ready(Err(error))));
    }
    let counted = to.site.balance.count(lease.upstream());
    AttemptExchange::Sent(HeadFuture::of(lease.counted(counted), progress, to))
}

impl Future for AttemptExchange<'_> {
    type Output = AttemptOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<AttemptOutcome> {
        loop {
            let failed = match &mut *self {
                AttemptExchange::Boxed(answer) => return answer.as_mut().poll(context),
                AttemptExchange::Sent(head) => match ready!(Pin::new(&mut *head).poll(context))? {
                    Ok(answered) => return Poll::Ready(Ok(answered)),
                    Err(failed) => Box::pin(send_again(failed, head.to)),
                },
            };
            *self = AttemptExchange::Boxed(failed);
        }
    }
}

/// Waits for the response head.
///
/// The deadline counts from the last byte of the request, or from the last progress of the request
/// body.
pub(crate) struct HeadFuture<'a> {
    lease: Option<PooledConnection>,
    progress: Option<Arc<Progress>>,
    until: Instant,
    to: ForwardContext<'a>,
}

impl<'a> HeadFuture<'a> {
    fn of(
        lease: PooledConnection,
        progress: Option<Arc<Progress>>,
        to: ForwardContext<'a>,
    ) -> Self {
        let until = to.began + to.snapshot.timeouts.first_byte;
        Self { lease: Some(lease), progress, until, to }
    }
}

/// The failed request and the upstream that failed it.
type FailedAttempt = (Box<FailedRequest>, Arc<UpstreamPool>);

impl Future for HeadFuture<'_> {
    type Output = Result<Result<ForwardedResponse, FailedAttempt>, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut interims = 0;
        let lease = loop {
            let Some(lease) = &mut this.lease else {
                return Poll::Ready(Err(ProxyError::Internal));
            };
            let answer = match lease.sender.poll_answer(context) {
                Poll::Pending => break lease,
                Poll::Ready(Ok(Answer::Interim(response))) => {
                    if let Some(session) = this.to.http1 {
                        interim(*response, &session.client, this.to, context);
                    }
                    interims += 1;
                    if interims >= MAX_INTERIMS {
                        // Yield: a flood of interim responses must not starve other connections.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    continue;
                }
                Poll::Ready(answer) => answer,
            };
            let progress = this.progress.as_ref();
            let too_large = progress.is_some_and(|progress| progress.is_too_large());
            // A body error on the client side is not the upstream's fault.
            let broken = progress.is_some_and(|progress| progress.is_broken());
            return Poll::Ready(match (answer, this.lease.take()) {
                (Err(_), _) if too_large => Err(ProxyError::BodyTooLarge),
                (Err(_), _) if broken => Err(ProxyError::BrokenBody),
                (Ok(answer), Some(lease)) => Ok(Ok((answer, lease))),
                (Err(failed), Some(lease)) => Ok(Err((failed, Arc::clone(lease.upstream())))),
                (_, None) => Err(ProxyError::Internal),
            });
        };
        while lease.patience.poll_until(this.until, context).is_ready() {
            let Some(progress) = &this.progress else {
                lease.sender.timed_out();
                return Poll::Ready(Err(ProxyError::UpstreamTimeout));
            };
            let awaits_visitor = progress.awaits_visitor();
            let Timeouts { first_byte, idle, .. } = this.to.snapshot.timeouts;
            let longest = if awaits_visitor { idle } else { first_byte };
            let left = longest.saturating_sub(progress.stalled_for());
            if left < Duration::from_millis(1) {
                if awaits_visitor {
                    return Poll::Ready(Err(ProxyError::RequestTimeout));
                }
                lease.sender.timed_out();
                return Poll::Ready(Err(ProxyError::UpstreamTimeout));
            }
            this.until = Instant::now() + left;
        }
        Poll::Pending
    }
}

/// Filters an interim response and forwards it to the client. A 100 from the upstream is dropped:
/// the client gets its own 100 when the request body is read.
fn interim(
    mut response: Response<()>,
    client: &Http1Client,
    to: ForwardContext<'_>,
    context: &mut Context<'_>,
) {
    if response.status == http::StatusCode::CONTINUE {
        return;
    }
    hop_by_hop::remove_hop_by_hop(&mut response.fields, None);
    to.site.filter.interim(&mut response.fields, to.consent);
    client.send_interim(context, &response);
}

/// Sends a request on a new connection, with retries while an HTTP/2 upstream has not processed it.
///
/// A retry uses HTTP/1.1 where the upstream requires it. After a GOAWAY the retry uses another
/// connection.
async fn connect_and_send(
    mut request: Request<UpstreamRequestBody>,
    (mut first, need): (usize, ConnectionRequirements),
    to: ForwardContext<'_>,
) -> AttemptOutcome {
    let mut attempt = 1;
    loop {
        let (failed, upstream) = match send_on_new(request, (first, need), to).await? {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let FailedRequest { error, repeatable } = *failed;
        let again = repeatable.filter(|_| {
            attempt < MAX_ATTEMPTS
                && error.was_not_processed()
                && may_send_again(&error, &upstream, to)
        });
        request = again.ok_or(ProxyError::Upstream(error))?;
        first = next_place(&request, to);
        attempt += 1;
    }
}

async fn send_on_new(
    request: Request<UpstreamRequestBody>,
    (first, need): (usize, ConnectionRequirements),
    to: ForwardContext<'_>,
) -> Result<Result<ForwardedResponse, FailedAttempt>, ProxyError> {
    let progress = request.body.progress();
    let mut lease = connect(to, first, need).await?;
    if need == ConnectionRequirements::Private {
        lease.own(to.http1.map(|session| &session.private));
    }
    let counted = to.site.balance.count(lease.upstream());
    lease.sender.start(request, to.reads())?;
    let to = ForwardContext { began: Instant::now(), ..to };
    HeadFuture::of(lease.counted(counted), progress, to).await
}

/// Sends a request on the client connection's private upstream connection. If that connection has
/// ended, opens a new one.
async fn send_private(
    request: Request<UpstreamRequestBody>,
    (mut lease, need): (PooledConnection, ConnectionRequirements),
    to: ForwardContext<'_>,
) -> AttemptOutcome {
    if !lease.sender.is_ready() {
        let first = next_place(&request, to);
        return connect_and_send(request, (first, need), to).await;
    }
    let progress = request.body.progress();
    let counted = to.site.balance.count(lease.upstream());
    lease.sender.start(request, to.reads())?;
    match HeadFuture::of(lease.counted(counted), progress, to).await? {
        Ok(answered) => Ok(answered),
        Err(failed) => send_again(failed, to).await,
    }
}

/// Returns the request's requirements for its upstream connection.
fn need_of<B>(request: &Request<B>, switches: bool) -> ConnectionRequirements {
    match (binds_connection(&request.fields), switches) {
        (true, _) => ConnectionRequirements::Private,
        (false, true) => ConnectionRequirements::Upgrade,
        (false, false) => ConnectionRequirements::Any,
    }
}

/// Retries a request on a new connection, after a pooled connection to `upstream` failed.
async fn send_again((failed, upstream): FailedAttempt, to: ForwardContext<'_>) -> AttemptOutcome {
    let FailedRequest { error, repeatable } = *failed;
    let again = repeatable.filter(|_| may_send_again(&error, &upstream, to));
    let Some(again) = again else { return Err(ProxyError::Upstream(error)) };
    let need = need_of(&again, again.fields.has(&UPGRADE));
    let first = next_place(&again, to);
    connect_and_send(again, (first, need), to).await
}

/// Returns the index of the next upstream for a request.
fn next_place<B>(request: &Request<B>, to: ForwardContext<'_>) -> usize {
    to.site.balance.next(to.site.balance.affinity(&request.fields))
}

/// Returns whether a failed request may be retried.
///
/// An upstream that requires HTTP/1.1 must support it here. All other errors need room in the retry
/// budget.
fn may_send_again(error: &UpstreamError, upstream: &UpstreamPool, to: ForwardContext<'_>) -> bool {
    match error.requires_http1() {
        true => upstream.require_http1(),
        false => to.visitor.worker.may_retry(to.snapshot),
    }
}

/// Returns the client connection's private connection to this site.
fn private(to: ForwardContext<'_>) -> Option<PooledConnection> {
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    to.http1?.private.take(to.site.upstreams(), to.visitor.worker.id(), within)
}

/// Returns a pooled connection to the upstream at this index.
fn pooled(
    to: ForwardContext<'_>,
    place: usize,
    need: ConnectionRequirements,
) -> Option<PooledConnection> {
    let upstream = to.site.balance.at(place)?;
    upstream.take(to.visitor.worker.id(), &to.snapshot.limits, need)
}

/// Opens a connection to the upstream at this index, or to the next one that accepts.
async fn connect(
    to: ForwardContext<'_>,
    first: usize,
    need: ConnectionRequirements,
) -> Result<PooledConnection, ProxyError> {
    let worker = &to.visitor.worker;
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    let mut failed = ProxyError::Internal;
    for (number, upstream) in to.site.balance.candidates(first).into_iter().enumerate() {
        // No byte has been sent yet, so any request may go to another upstream.
        if number > 0 && !worker.may_retry(to.snapshot) {
            break;
        }
        match upstream.connect(worker.id(), within, need, worker.metrics()).await {
            Ok(lease) => return Ok(lease),
            Err(error) => {
                tracing::debug!(upstream = %upstream.address(), %error, "upstream refused connection");
                failed = error;
            }
        }
    }
    Err(failed)
}
