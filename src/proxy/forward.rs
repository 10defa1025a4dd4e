//! Sends one request to an upstream and takes its response, streaming both ways.
//!
//! Previous step: the filter's request side. Next: its response side.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, UPGRADE};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::error::ProxyError;
use super::headers;
use super::pool::Lease;
use super::request_body::{Progress, VisitorBody};
use super::response_body::OriginBody;
use super::site::{Site, Snapshot};
use super::upgrade;
use super::visitor::Visitor;
use crate::config::settings::Timeouts;

/// What forwarding a request needs besides the request.
#[derive(Clone, Copy)]
pub(super) struct Forward<'a> {
    pub(super) visitor: &'a Arc<Visitor>,
    pub(super) site: &'a Site,
    pub(super) snapshot: &'a Snapshot,
}

/// Forwards a request. The response is as the origin gave it, less the hop-by-hop fields.
pub(super) async fn forward(
    mut request: Request<VisitorBody>,
    to: Forward<'_>,
) -> Result<Response<OriginBody>, ProxyError> {
    let version = request.version();
    let wanted = match version {
        Version::HTTP_11 => headers::wanted_upgrade(request.headers()),
        _ => None,
    };
    let visitor_side = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
    headers::prepare_request(request.headers_mut(), wanted);
    headers::join_cookies(request.headers_mut());
    to.visitor.peer.add_forwarding(request.headers_mut(), version);
    if request.uri().authority().is_some() {
        *request.uri_mut() = origin_form(request.uri());
    }
    *request.version_mut() = Version::HTTP_11;

    let (response, lease) = send(request, to).await?;
    let (mut parts, inner) = response.into_parts();
    parts.version = Version::HTTP_11;
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        headers::remove_hop_by_hop(&mut parts.headers);
        let body = OriginBody::upstream(inner, Some(lease));
        return Ok(Response::from_parts(parts, body));
    }
    let visitor_side = visitor_side.ok_or(ProxyError::UnaskedUpgrade)?;
    let protocol = parts.headers.get(UPGRADE).cloned();
    headers::remove_hop_by_hop(&mut parts.headers);
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
        parts.headers.insert(CONNECTION, http::HeaderValue::from_static("upgrade"));
    }
    let mut response = Response::from_parts(parts, inner);
    upgrade::tunnel(visitor_side, hyper::upgrade::on(&mut response), Arc::clone(to.visitor));
    Ok(response.map(|inner| OriginBody::upstream(inner, None)))
}

/// The request target without scheme and authority (RFC 9112 section 3.2.1).
fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

/// Sends on an idle connection, or on a new one; a second time only where nothing can have
/// happened at the origin, or nothing that a repetition changes.
///
/// What happens seldom is boxed: the state of a request is moved several times, and is small so.
async fn send(
    request: Request<VisitorBody>,
    to: Forward<'_>,
) -> Result<(Response<Incoming>, Lease), ProxyError> {
    let timeouts = &to.snapshot.timeouts;
    let progress = request.body().progress();
    let turn = to.site.next_turn();
    let mut lease = match pooled(to, turn) {
        Some(lease) => lease,
        None => Box::pin(connect(to, turn)).await?,
    };
    let replay = (lease.reused && progress.is_none() && is_idempotent(request.method()))
        .then(|| Replay::of(&request));
    let sent = lease.sender.try_send_request(request);
    match response_head(sent, progress.as_deref(), timeouts).await? {
        Ok(response) => Ok((response, lease)),
        Err(failed) if lease.reused => Box::pin(send_again(failed, replay, progress, to)).await,
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
    let sent = lease.sender.try_send_request(again);
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

type Sent = Result<Response<Incoming>, TrySendError<Request<VisitorBody>>>;

/// Waits for the head of the response: from the last octet of the request, or from the last
/// movement of its body, no longer than allowed.
async fn response_head(
    sent: impl Future<Output = Sent>,
    progress: Option<&Progress>,
    timeouts: &Timeouts,
) -> Result<Sent, ProxyError> {
    tokio::pin!(sent);
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
struct Replay {
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
