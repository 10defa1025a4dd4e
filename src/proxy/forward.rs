//! Makes a request fit for the upstream and its response fit for the filter.
//!
//! Previous step: the filter's request side. Next: `exchange`, then the filter's response side.

use std::sync::Arc;

use futures_util::FutureExt;
use http::header::{CONNECTION, HOST, SET_COOKIE, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::driven::Sent;
use super::error::ProxyError;
use super::exchange::{self, Exchange, Forward};
use super::pool::Lease;
use super::request_body::VisitorBody;
use super::response_body::OriginBody;
use super::together::together;
use super::upstream_urls::Visited;
use super::{headers, upgrade, upstream_urls};
use crate::filter::keep_private;
use crate::http::binds_connection;

/// Forwards a request. The response is as the origin gave it, less the hop-by-hop fields.
pub(super) fn forward<'a>(
    request: Request<VisitorBody>,
    to: Forward<'a>,
) -> impl Future<Output = Result<Response<OriginBody>, ProxyError>> + 'a {
    let kept = to.site.balance.kept(request.headers());
    let secure = to.client.secure;
    let visited = Visited { secure, host: request.headers().get(HOST).cloned() };
    let (exchange, visitor_side) = begin(request, kept, to);
    // A combinator and not an async block, which would hold the exchange twice.
    let answer = exchange.map(move |answer| {
        let (response, lease) = answer?;
        let keep = to.site.balance.keep(kept, lease.upstream(), secure);
        let mut response = answered(response, lease, visitor_side, to)?;
        let upstreams = to.site.upstreams().iter().map(|upstream| upstream.address());
        to.site.balance.remove_foreign(response.headers_mut());
        upstream_urls::rewrite(response.headers_mut(), &visited, upstreams);
        if let Some(cookie) = keep {
            response.headers_mut().append(SET_COOKIE, cookie);
            // Another visitor's copy would keep them all at one upstream.
            keep_private(response.headers_mut());
        }
        Ok(response)
    });
    together(answer, tokio::task::yield_now)
}

fn answered(
    response: Response<Incoming>,
    mut lease: Lease,
    visitor_side: Option<OnUpgrade>,
    to: Forward<'_>,
) -> Result<Response<OriginBody>, ProxyError> {
    let (mut parts, inner) = response.into_parts();
    parts.version = Version::HTTP_11;
    if binds_connection(&parts.headers) {
        lease.make_private(to.private);
    }
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        headers::remove_hop_by_hop(&mut parts.headers, None);
        let body = OriginBody::upstream(inner, Some(lease));
        return Ok(Response::from_parts(parts, body));
    }
    let visitor_side = visitor_side.ok_or(ProxyError::UnaskedUpgrade)?;
    let protocol = parts.headers.get(UPGRADE).cloned();
    headers::remove_hop_by_hop(&mut parts.headers, None);
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
        parts.headers.insert(CONNECTION, http::HeaderValue::from_static("upgrade"));
    }
    let mut response = Response::from_parts(parts, inner);
    upgrade::tunnel(visitor_side, hyper::upgrade::on(&mut response), Arc::clone(to.visitor));
    Ok(response.map(|inner| OriginBody::upstream(inner, None)))
}

/// Makes the request fit for the upstream, and sends it.
fn begin<'a>(
    mut request: Request<VisitorBody>,
    kept: Option<usize>,
    to: Forward<'a>,
) -> (Exchange<'a, impl Future<Output = Sent>>, Option<OnUpgrade>) {
    let version = request.version();
    let wanted = match version {
        Version::HTTP_11 => headers::wanted_upgrade(request.headers()),
        _ => None,
    };
    let visitor_side = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
    let ours = to.site.filter.settings().forward_header.as_ref();
    headers::prepare_request(request.headers_mut(), wanted, ours);
    let via = (&to.snapshot.via, version);
    to.client.add_forwarding(&to.visitor.peer, request.headers_mut(), via);
    (exchange::begin(request, kept, visitor_side.is_some(), to), visitor_side)
}
