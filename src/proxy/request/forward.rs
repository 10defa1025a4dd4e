//! Prepares the request for the upstream and the response for the filter.
//!
//! Previous step: the filter's request side. Next: `attempt`, then the filter's response side.

use futures_util::FutureExt;
use http::header::{CONNECTION, HOST, SET_COOKIE, UPGRADE};
use http::{StatusCode, Version};

use crate::http::{Fields, Request, Response, binds_connection, mark_private};
use crate::proxy::request::attempt::{self, AttemptExchange, ForwardContext, ForwardedResponse};
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::head_coalescer::coalesce_head;
use crate::proxy::request::hop_by_hop;
use crate::proxy::request::request_body::UpstreamRequestBody;
use crate::proxy::request::response_body::UpstreamBody;
use crate::proxy::request::upstream_urls;
use crate::proxy::request::upstream_urls::ClientOrigin;
use crate::proxy::upstream::client::Answer;

/// Forwards a request.
///
/// The response is the upstream's, without hop-by-hop fields and foreign affinity cookies. URLs of
/// the upstream are rewritten. A new affinity cookie is added where needed.
pub(crate) fn forward<'a>(
    request: Request<UpstreamRequestBody>,
    to: ForwardContext<'a>,
) -> impl Future<Output = Result<Response<UpstreamBody>, ProxyError>> + 'a {
    let kept = to.site.balance.affinity(&request.fields);
    let secure = to.client.secure;
    let visited = ClientOrigin { secure, host: request.fields.value(&HOST).map(Box::from) };
    let (exchange, switches) = begin(request, kept, to);
    // A combinator instead of an async block, which would store the exchange twice.
    let answer = exchange.map(move |answer| {
        let answer = answer?;
        let keep = to.site.balance.affinity_cookie(kept, answer.1.upstream(), secure);
        let mut response = answered(answer, switches, to)?;
        let upstreams = to.site.upstreams().iter().map(|upstream| upstream.address());
        to.site.balance.remove_foreign(&mut response.fields);
        upstream_urls::rewrite(&mut response.fields, &visited, upstreams);
        if let Some(cookie) = keep {
            response.fields.append(&SET_COOKIE, cookie);
            // A cached copy would send all visitors to one upstream.
            mark_private(&mut response.fields);
        }
        Ok(response)
    });
    coalesce_head(answer, tokio::task::yield_now)
}

fn answered(
    (answer, mut lease): ForwardedResponse,
    asked: bool,
    to: ForwardContext<'_>,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let (mut response, http2) = match answer {
        Answer::Http2(response) => {
            let (response, body) = response.into_parts();
            (response, Some(body))
        }
        Answer::Http1(response) | Answer::Interim(response) => (*response, None),
    };
    if binds_connection(&response.fields) {
        lease.make_private(to.http1.map(|session| &session.private));
    }
    let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let session = to.http1.filter(|_| switches && asked);
    if switches && session.is_none() {
        return Err(ProxyError::UnaskedUpgrade);
    }
    // `Upgrade` lists the new or the required protocol (RFC 9110 section 15.5.22).
    let names_protocol = switches || response.status == StatusCode::UPGRADE_REQUIRED;
    let protocol = match names_protocol && to.http1.is_some() {
        true => response.fields.value(&UPGRADE).map(<[u8]>::to_vec),
        false => None,
    };
    hop_by_hop::remove_hop_by_hop(&mut response.fields, None);
    if let Some(protocol) = protocol {
        response.fields.insert(&UPGRADE, protocol);
        response.fields.insert(&CONNECTION, "upgrade");
    }
    Ok(match session {
        Some(session) => {
            session.upgrades_to(lease);
            response.map(|()| UpstreamBody::page(bytes::Bytes::new()))
        }
        None => response.map(|()| UpstreamBody::upstream(http2, lease)),
    })
}

/// Prepares the request for the upstream and sends it. Also returns whether the request asks to
/// switch protocols.
fn begin<'a>(
    mut request: Request<UpstreamRequestBody>,
    kept: Option<usize>,
    to: ForwardContext<'a>,
) -> (AttemptExchange<'a>, bool) {
    let wanted = match to.version {
        Version::HTTP_11 => hop_by_hop::wanted_upgrade(&request.fields),
        _ => None,
    };
    let switches = wanted.is_some();
    let ours = to.site.filter.settings().forward_header.as_ref();
    hop_by_hop::prepare_request(&mut request.fields, wanted, ours, to.version);
    let via = (&to.snapshot.via, to.version);
    to.client.add_forwarding(&to.visitor.peer, &mut request.fields, via);
    (attempt::send(request, kept, switches, to), switches)
}
