//! Makes a request fit for the upstream and its response fit for the filter.
//!
//! Previous step: the filter's request side. Next: `exchange`, then the filter's response side.

use futures_util::FutureExt;
use http::header::{CONNECTION, HOST, HeaderValue, SET_COOKIE, UPGRADE};
use http::{Request, Response, StatusCode, Version};

use super::error::ProxyError;
use super::exchange::{self, Answered, Exchange, Forward};
use super::request_body::VisitorBody;
use super::response_body::OriginBody;
use super::sender::Answer;
use super::together::together;
use super::upstream_urls::Visited;
use super::{headers, upstream_urls};
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
    let (exchange, switches) = begin(request, kept, to);
    // A combinator and not an async block, which would hold the exchange twice.
    let answer = exchange.map(move |answer| {
        let answer = answer?;
        let keep = to.site.balance.keep(kept, answer.1.upstream(), secure);
        let mut response = answered(answer, switches, to)?;
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
    (answer, mut lease): Answered,
    switches: bool,
    to: Forward<'_>,
) -> Result<Response<OriginBody>, ProxyError> {
    let (mut parts, http2) = match answer {
        Answer::Http2(response) => {
            let (parts, body) = response.into_parts();
            (parts, Some(body))
        }
        Answer::Http1(response) | Answer::Interim(response) => (response.into_parts().0, None),
    };
    parts.version = Version::HTTP_11;
    if binds_connection(&parts.headers) {
        lease.make_private(to.http1.map(|session| &session.private));
    }
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        // Which protocol is required (RFC 9110 section 15.5.22).
        let required = (parts.status == StatusCode::UPGRADE_REQUIRED)
            .then(|| parts.headers.get(UPGRADE).cloned())
            .flatten();
        headers::remove_hop_by_hop(&mut parts.headers, None);
        if let Some(protocol) = required.filter(|_| to.http1.is_some()) {
            parts.headers.insert(UPGRADE, protocol);
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        return Ok(Response::from_parts(parts, OriginBody::upstream(http2, lease)));
    }
    let session = to.http1.filter(|_| switches).ok_or(ProxyError::UnaskedUpgrade)?;
    let protocol = parts.headers.get(UPGRADE).cloned();
    headers::remove_hop_by_hop(&mut parts.headers, None);
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    session.upgrades_to(lease);
    Ok(Response::from_parts(parts, OriginBody::page(bytes::Bytes::new())))
}

/// Makes the request fit for the upstream, and sends it. Returns whether it asks to switch protocols, too.
fn begin<'a>(
    mut request: Request<VisitorBody>,
    kept: Option<usize>,
    to: Forward<'a>,
) -> (Exchange<'a>, bool) {
    let wanted = match to.version {
        Version::HTTP_11 => headers::wanted_upgrade(request.headers()),
        _ => None,
    };
    let switches = wanted.is_some();
    let ours = to.site.filter.settings().forward_header.as_ref();
    headers::prepare_request(request.headers_mut(), wanted, ours, to.version);
    let via = (&to.snapshot.via, to.version);
    to.client.add_forwarding(&to.visitor.peer, request.headers_mut(), via);
    (exchange::begin(request, kept, switches, to), switches)
}
