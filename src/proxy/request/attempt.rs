//! One request sent, one response head received: on an idle connection or on a new one, within the
//! timeouts, and a second time only where that changes nothing.
//!
//! Previous step: `forward`, which made the request fit for the upstream.

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
use crate::proxy::downstream::connection_state::Visitor;
use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::http1_io::{READ_SIZES, ReadSizes, STREAM_READ_SIZES};
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::hop_by_hop;
use crate::proxy::request::request_body::{Progress, VisitorBody};
use crate::proxy::site_table::{Site, Snapshot};
use crate::proxy::upstream::client::{Answer, Failed};
use crate::proxy::upstream::failure::UpstreamError;
use crate::proxy::upstream::pool::{Lease, Need, Upstream};

/// What forwarding a request needs besides the request.
#[derive(Clone, Copy)]
pub(crate) struct Forward<'a> {
    pub(crate) visitor: &'a Arc<Visitor>,
    pub(crate) client: &'a Client,
    /// The version that the client speaks.
    pub(crate) version: Version,
    /// The client connection; none of HTTP/2, which is for many requests at a time.
    pub(crate) http1: Option<&'a Arc<Http1Session>>,
    pub(crate) site: &'a Site,
    pub(crate) snapshot: &'a Snapshot,
    /// What the visitor allowed: interim responses are filtered on their way.
    pub(crate) consent: &'a Consent,
    /// When the request came here.
    pub(crate) began: Instant,
}

impl Forward<'_> {
    /// How much of the response is read at a time.
    fn reads(&self) -> ReadSizes {
        self.http1.map_or(STREAM_READ_SIZES, |_| READ_SIZES)
    }
}

/// A final response with the connection that its body comes on.
pub(crate) type Answered = (Answer, Lease);

type Outcome = Result<Answered, ProxyError>;

/// How often a request is sent on new connections, where each time the upstream has not processed it.
const MAX_ATTEMPTS: u32 = 3;
/// Interim responses that are taken before other connections have their turn.
const MAX_INTERIMS: usize = 64;

/// A request on its way to its answer.
///
/// The usual way is a small future written by hand, since the state of a request is moved several
/// times; the rare ways are boxed.
pub(crate) enum Exchange<'a> {
    /// On an idle connection.
    Sent(Head<'a>),
    /// On a new connection.
    Boxed(Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>),
}

/// Sends a request on a connection that stands, or begins to open one. `kept` is the place of the upstream that
/// the visitor is kept at; with `switches` the request asks to switch protocols.
pub(crate) fn begin(
    request: Request<VisitorBody>,
    kept: Option<usize>,
    switches: bool,
    to: Forward<'_>,
) -> Exchange<'_> {
    let need = need_of(&request, switches);
    if let Some(lease) = private(to) {
        return Exchange::Boxed(Box::pin(send_private(request, (lease, need), to)));
    }
    let first = to.site.balance.next(kept);
    let Some(mut lease) = pooled(to, first, need) else {
        return Exchange::Boxed(Box::pin(connect_and_send(request, (first, need), to)));
    };
    if need == Need::Private {
        lease.make_private(to.http1.map(|session| &session.private));
    }
    let progress = request.body.progress();
    if let Err(error) = lease.sender.start(request, to.reads()) {
        return Exchange::Boxed(Box::pin(std::future::ready(Err(error))));
    }
    let counted = to.site.balance.count(lease.upstream());
    Exchange::Sent(Head::of(lease.counted(counted), progress, to))
}

impl Future for Exchange<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let failed = match &mut *self {
                Exchange::Boxed(answer) => return answer.as_mut().poll(context),
                Exchange::Sent(head) => match ready!(Pin::new(&mut *head).poll(context))? {
                    Ok(answered) => return Poll::Ready(Ok(answered)),
                    Err(failed) => Box::pin(send_again(failed, head.to)),
                },
            };
            *self = Exchange::Boxed(failed);
        }
    }
}

/// The head of a response: from the last byte of the request, or from the last movement of its
/// body, it is waited for no longer than allowed.
pub(crate) struct Head<'a> {
    lease: Option<Lease>,
    progress: Option<Arc<Progress>>,
    until: Instant,
    to: Forward<'a>,
}

impl<'a> Head<'a> {
    fn of(lease: Lease, progress: Option<Arc<Progress>>, to: Forward<'a>) -> Self {
        let until = to.began + to.snapshot.timeouts.first_byte;
        Self { lease: Some(lease), progress, until, to }
    }
}

/// The request that has failed, and the upstream that has failed it.
type FailedAt = (Box<Failed>, Arc<Upstream>);

impl Future for Head<'_> {
    type Output = Result<Result<Answered, FailedAt>, ProxyError>;

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
                        // A flood of them must not keep other connections waiting.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    continue;
                }
                Poll::Ready(answer) => answer,
            };
            let progress = this.progress.as_ref();
            let too_large = progress.is_some_and(|progress| progress.is_too_large());
            // The upstream is not to blame for what it was not sent.
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

/// Forwards an interim response through the filter. The 100 that the client waits for is sent once its body is read.
fn interim(
    mut response: Response<()>,
    client: &Http1Client,
    to: Forward<'_>,
    context: &mut Context<'_>,
) {
    if response.status == http::StatusCode::CONTINUE {
        return;
    }
    hop_by_hop::remove_hop_by_hop(&mut response.fields, None);
    to.site.filter.interim(&mut response.fields, to.consent);
    client.send_interim(context, &response);
}

/// Sends a request on a new connection, and again where an HTTP/2 upstream has not processed it: by HTTP/1.1, where it asks
/// for that, or elsewhere, where it is about to end.
async fn connect_and_send(
    mut request: Request<VisitorBody>,
    (mut first, need): (usize, Need),
    to: Forward<'_>,
) -> Outcome {
    let mut attempt = 1;
    loop {
        let (failed, upstream) = match send_on_new(request, (first, need), to).await? {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let Failed { error, repeatable } = *failed;
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
    request: Request<VisitorBody>,
    (first, need): (usize, Need),
    to: Forward<'_>,
) -> Result<Result<Answered, FailedAt>, ProxyError> {
    let progress = request.body.progress();
    let mut lease = connect(to, first, need).await?;
    if need == Need::Private {
        lease.own(to.http1.map(|session| &session.private));
    }
    let counted = to.site.balance.count(lease.upstream());
    lease.sender.start(request, to.reads())?;
    let to = Forward { began: Instant::now(), ..to };
    Head::of(lease.counted(counted), progress, to).await
}

/// Sends a request on the connection that belongs to the client connection, or on a new one if that has ended.
async fn send_private(
    request: Request<VisitorBody>,
    (mut lease, need): (Lease, Need),
    to: Forward<'_>,
) -> Outcome {
    if !lease.sender.is_ready() {
        let first = next_place(&request, to);
        return connect_and_send(request, (first, need), to).await;
    }
    let progress = request.body.progress();
    let counted = to.site.balance.count(lease.upstream());
    lease.sender.start(request, to.reads())?;
    match Head::of(lease.counted(counted), progress, to).await? {
        Ok(answered) => Ok(answered),
        Err(failed) => send_again(failed, to).await,
    }
}

/// What a request needs of its connection.
fn need_of<B>(request: &Request<B>, switches: bool) -> Need {
    match (binds_connection(&request.fields), switches) {
        (true, _) => Need::Private,
        (false, true) => Need::Upgrade,
        (false, false) => Need::Any,
    }
}

/// Sends a request once more, on a new connection, after a pooled one to `upstream` has failed it.
async fn send_again((failed, upstream): FailedAt, to: Forward<'_>) -> Outcome {
    let Failed { error, repeatable } = *failed;
    let again = repeatable.filter(|_| may_send_again(&error, &upstream, to));
    let Some(again) = again else { return Err(ProxyError::Upstream(error)) };
    let need = need_of(&again, again.fields.has(&UPGRADE));
    let first = next_place(&again, to);
    connect_and_send(again, (first, need), to).await
}

/// The place of the upstream that is next for a request.
fn next_place<B>(request: &Request<B>, to: Forward<'_>) -> usize {
    to.site.balance.next(to.site.balance.kept(&request.fields))
}

/// Whether an upstream that has failed a request gives leave to send it again: it can speak HTTP/1.1, where it requires that,
/// or there are retries left.
fn may_send_again(error: &UpstreamError, upstream: &Upstream, to: Forward<'_>) -> bool {
    match error.requires_http1() {
        true => upstream.require_http1(),
        false => to.visitor.worker.may_retry(to.snapshot),
    }
}

/// The connection to this site that belongs to the client connection.
fn private(to: Forward<'_>) -> Option<Lease> {
    let within = (&to.snapshot.limits, &to.snapshot.timeouts);
    to.http1?.private.take(to.site.upstreams(), to.visitor.worker.id(), within)
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
                tracing::debug!(upstream = %upstream.address(), %error, "upstream refused connection");
                failed = error;
            }
        }
    }
    Err(failed)
}
