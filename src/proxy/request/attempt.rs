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
use crate::html::{self, PageRequest};
use crate::http::{Client, Fields, Request, Response, binds_connection};
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::http1_io::{READ_SIZES, ReadSizes, STREAM_READ_SIZES};
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::hop_by_hop;
use crate::proxy::request::request_body::{Progress, UpstreamRequestBody};
use crate::proxy::site_router::{Site, Snapshot};
use crate::proxy::upstream::client::{FailedRequest, UpstreamResponse};
use crate::proxy::upstream::failure::UpstreamError;
use crate::proxy::upstream::pool::{ConnectionRequirements, PooledConnection, UpstreamPool};

/// Context for forwarding a request.
#[derive(Clone, Copy)]
pub(crate) struct ForwardContext<'a> {
    pub(crate) connection_state: &'a Arc<ConnectionState>,
    pub(crate) client: &'a Client,
    /// The client's HTTP version.
    pub(crate) version: Version,
    /// The client connection; `None` for HTTP/2, whose connections carry concurrent requests.
    pub(crate) http1: Option<&'a Arc<Http1Session>>,
    pub(crate) site: &'a Site,
    pub(crate) snapshot: &'a Snapshot,
    /// The visitor's consent, used to filter interim responses.
    pub(crate) consent: &'a Consent,
    /// The page request, if the response may be a page to rewrite.
    pub(crate) page_request: Option<&'a PageRequest>,
    /// When forwarding began.
    pub(crate) started: Instant,
}

impl ForwardContext<'_> {
    /// Read sizes for the response.
    fn reads(&self) -> ReadSizes {
        self.http1.map_or(STREAM_READ_SIZES, |_| READ_SIZES)
    }
}

/// A final response and the connection that carries its body.
pub(crate) type ForwardedResponse = (UpstreamResponse, PooledConnection);

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
/// `affinity` is the index of the upstream from session affinity. `switches` is true if the request
/// asks to switch protocols.
pub(crate) fn send(
    request: Request<UpstreamRequestBody>,
    affinity: Option<usize>,
    switches: bool,
    to: ForwardContext<'_>,
) -> AttemptExchange<'_> {
    let need = requirements_of(&request, switches);
    if let Some(connection) = private(to) {
        return AttemptExchange::Boxed(Box::pin(send_private(request, (connection, need), to)));
    }
    let first = to.site.load_balancer.next(affinity);
    let Some(mut connection) = pooled(to, first, need) else {
        return AttemptExchange::Boxed(Box::pin(connect_and_send(request, (first, need), to)));
    };
    if need == ConnectionRequirements::Private {
        connection.make_private(to.http1.map(|session| &session.private));
    }
    let progress = request.body.progress();
    if let Err(error) = connection.sender.start(request, to.reads()) {
        return AttemptExchange::Boxed(Box::pin(std::future::ready(Err(error))));
    }
    let counted = to.site.load_balancer.count(connection.upstream());
    AttemptExchange::Sent(HeadFuture::of(connection.counted(counted), progress, to))
}

impl Future for AttemptExchange<'_> {
    type Output = AttemptOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<AttemptOutcome> {
        loop {
            let failed = match &mut *self {
                AttemptExchange::Boxed(response) => return response.as_mut().poll(context),
                AttemptExchange::Sent(head) => match ready!(Pin::new(&mut *head).poll(context))? {
                    Ok(forwarded) => return Poll::Ready(Ok(forwarded)),
                    Err(failed) => Box::pin(retry(failed, head.to)),
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
    connection: Option<PooledConnection>,
    progress: Option<Arc<Progress>>,
    until: Instant,
    to: ForwardContext<'a>,
}

impl<'a> HeadFuture<'a> {
    fn of(
        connection: PooledConnection,
        progress: Option<Arc<Progress>>,
        to: ForwardContext<'a>,
    ) -> Self {
        let until = to.started + to.snapshot.timeouts.first_byte;
        Self { connection: Some(connection), progress, until, to }
    }
}

/// The failed request and the upstream that failed it.
type FailedAttempt = (Box<FailedRequest>, Arc<UpstreamPool>);

impl Future for HeadFuture<'_> {
    type Output = Result<Result<ForwardedResponse, FailedAttempt>, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut interim_count = 0;
        let connection = loop {
            let Some(connection) = &mut this.connection else {
                return Poll::Ready(Err(ProxyError::Internal));
            };
            let response = match connection.sender.poll_response(context) {
                Poll::Pending => break connection,
                Poll::Ready(Ok(UpstreamResponse::Interim(response))) => {
                    if let Some(session) = this.to.http1 {
                        interim(*response, &session.client, this.to, context);
                    }
                    interim_count += 1;
                    if interim_count >= MAX_INTERIMS {
                        // Yield: a flood of interim responses must not starve other connections.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    continue;
                }
                Poll::Ready(response) => response,
            };
            let progress = this.progress.as_ref();
            let too_large = progress.is_some_and(|progress| progress.is_too_large());
            // A body error on the client side is not the upstream's fault.
            let broken = progress.is_some_and(|progress| progress.is_broken());
            return Poll::Ready(match (response, this.connection.take()) {
                (Err(_), _) if too_large => Err(ProxyError::BodyTooLarge),
                (Err(_), _) if broken => Err(ProxyError::BrokenBody),
                (Ok(response), Some(connection)) => Ok(Ok((response, connection))),
                (Err(failed), Some(connection)) => {
                    Ok(Err((failed, Arc::clone(connection.upstream()))))
                }
                (_, None) => Err(ProxyError::Internal),
            });
        };
        while connection.timer.poll_until(this.until, context).is_ready() {
            let Some(progress) = &this.progress else {
                connection.sender.timed_out();
                return Poll::Ready(Err(ProxyError::UpstreamTimeout));
            };
            let awaits_client = progress.awaits_client();
            let Timeouts { first_byte, idle, .. } = this.to.snapshot.timeouts;
            let longest = if awaits_client { idle } else { first_byte };
            let left = longest.saturating_sub(progress.stalled_for());
            if left < Duration::from_millis(1) {
                if awaits_client {
                    return Poll::Ready(Err(ProxyError::RequestTimeout));
                }
                connection.sender.timed_out();
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
    if let Some(page_request) = to.page_request {
        html::strip_links(page_request, to.consent, &mut response.fields, &to.site.centre);
    }
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
            Ok(forwarded) => return Ok(forwarded),
            Err(failed) => failed,
        };
        let FailedRequest { error, retryable } = *failed;
        let retryable_request = retryable.filter(|_| {
            attempt < MAX_ATTEMPTS && error.was_not_processed() && may_retry(&error, &upstream, to)
        });
        request = retryable_request.ok_or(ProxyError::Upstream(error))?;
        first = next_upstream(&request, to);
        attempt += 1;
    }
}

async fn send_on_new(
    request: Request<UpstreamRequestBody>,
    (first, need): (usize, ConnectionRequirements),
    to: ForwardContext<'_>,
) -> Result<Result<ForwardedResponse, FailedAttempt>, ProxyError> {
    let progress = request.body.progress();
    let mut connection = connect(to, first, need).await?;
    if need == ConnectionRequirements::Private {
        connection.reserve_for(to.http1.map(|session| &session.private));
    }
    let counted = to.site.load_balancer.count(connection.upstream());
    connection.sender.start(request, to.reads())?;
    let to = ForwardContext { started: Instant::now(), ..to };
    HeadFuture::of(connection.counted(counted), progress, to).await
}

/// Sends a request on the client connection's private upstream connection. If that connection has
/// ended, opens a new one.
async fn send_private(
    request: Request<UpstreamRequestBody>,
    (mut connection, need): (PooledConnection, ConnectionRequirements),
    to: ForwardContext<'_>,
) -> AttemptOutcome {
    if !connection.sender.is_ready() {
        let first = next_upstream(&request, to);
        return connect_and_send(request, (first, need), to).await;
    }
    let progress = request.body.progress();
    let counted = to.site.load_balancer.count(connection.upstream());
    connection.sender.start(request, to.reads())?;
    match HeadFuture::of(connection.counted(counted), progress, to).await? {
        Ok(forwarded) => Ok(forwarded),
        Err(failed) => retry(failed, to).await,
    }
}

/// Returns the request's requirements for its upstream connection.
fn requirements_of<B>(request: &Request<B>, switches: bool) -> ConnectionRequirements {
    match (binds_connection(&request.fields), switches) {
        (true, _) => ConnectionRequirements::Private,
        (false, true) => ConnectionRequirements::Upgrade,
        (false, false) => ConnectionRequirements::Any,
    }
}

/// Retries a request on a new connection, after a pooled connection to `upstream` failed.
async fn retry((failed, upstream): FailedAttempt, to: ForwardContext<'_>) -> AttemptOutcome {
    let FailedRequest { error, retryable } = *failed;
    let retryable_request = retryable.filter(|_| may_retry(&error, &upstream, to));
    let Some(retryable_request) = retryable_request else {
        return Err(ProxyError::Upstream(error));
    };
    let need = requirements_of(&retryable_request, retryable_request.fields.has(&UPGRADE));
    let first = next_upstream(&retryable_request, to);
    connect_and_send(retryable_request, (first, need), to).await
}

/// Returns the index of the next upstream for a request.
fn next_upstream<B>(request: &Request<B>, to: ForwardContext<'_>) -> usize {
    to.site.load_balancer.next(to.site.load_balancer.affinity(&request.fields))
}

/// Returns whether a failed request may be retried.
///
/// An upstream that requires HTTP/1.1 must support it here. All other errors need room in the retry
/// budget.
fn may_retry(error: &UpstreamError, upstream: &UpstreamPool, to: ForwardContext<'_>) -> bool {
    match error.requires_http1() {
        true => upstream.require_http1(),
        false => to.connection_state.worker.may_retry(to.snapshot),
    }
}

/// Returns the client connection's private connection to this site.
fn private(to: ForwardContext<'_>) -> Option<PooledConnection> {
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    to.http1?.private.take(to.site.upstreams(), to.connection_state.worker.id(), within)
}

/// Returns a pooled connection to the upstream at this index.
fn pooled(
    to: ForwardContext<'_>,
    index: usize,
    need: ConnectionRequirements,
) -> Option<PooledConnection> {
    let upstream = to.site.load_balancer.at(index)?;
    upstream.take(to.connection_state.worker.id(), &to.snapshot.limits, need)
}

/// Opens a connection to the upstream at this index, or to the next one that accepts.
async fn connect(
    to: ForwardContext<'_>,
    first: usize,
    need: ConnectionRequirements,
) -> Result<PooledConnection, ProxyError> {
    let worker = &to.connection_state.worker;
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    let mut failed = ProxyError::Internal;
    for (number, upstream) in to.site.load_balancer.candidates(first).into_iter().enumerate() {
        // No byte has been sent yet, so any request may go to another upstream.
        if number > 0 && !worker.may_retry(to.snapshot) {
            break;
        }
        match upstream.connect(worker.id(), within, need, worker.metrics()).await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                tracing::debug!(upstream = %upstream.address(), %error, "upstream refused connection");
                failed = error;
            }
        }
    }
    Err(failed)
}
