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
use crate::proxy::upstream::client::UpstreamResponse;

/// Forwards a request.
///
/// The response is the upstream's, without hop-by-hop fields and foreign affinity cookies. URLs of
/// the upstream are rewritten. A new affinity cookie is added where needed.
pub(crate) fn forward<'a>(
    request: Request<UpstreamRequestBody>,
    to: ForwardContext<'a>,
) -> impl Future<Output = Result<Response<UpstreamBody>, ProxyError>> + 'a {
    let affinity = to.site.load_balancer.affinity(&request.fields);
    let secure = to.client.secure;
    let client_origin = ClientOrigin { secure, host: request.fields.value(&HOST).map(Box::from) };
    let (exchange, switches) = begin(request, affinity, to);
    // A combinator instead of an async block, which would store the exchange twice.
    let response = exchange.map(move |response| {
        let response = response?;
        let affinity_cookie =
            to.site.load_balancer.affinity_cookie(affinity, response.1.upstream(), secure);
        let mut response = to_response(response, switches, to)?;
        let upstreams = to.site.upstreams().iter().map(|upstream| upstream.address());
        to.site.load_balancer.remove_foreign(&mut response.fields);
        upstream_urls::rewrite(&mut response.fields, &client_origin, upstreams);
        if let Some(cookie) = affinity_cookie {
            response.fields.append(&SET_COOKIE, cookie);
            // A cached copy would send all visitors to one upstream.
            mark_private(&mut response.fields);
        }
        Ok(response)
    });
    coalesce_head(response, tokio::task::yield_now)
}

fn to_response(
    (response, mut connection): ForwardedResponse,
    upgrade_requested: bool,
    to: ForwardContext<'_>,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let (mut response, http2) = match response {
        UpstreamResponse::Http2(response) => {
            let (response, body) = response.into_parts();
            (response, Some(body))
        }
        UpstreamResponse::Http1(response) | UpstreamResponse::Interim(response) => {
            (*response, None)
        }
    };
    if binds_connection(&response.fields) {
        connection.make_private(to.http1.map(|session| &session.private));
    }
    let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let session = to.http1.filter(|_| switches && upgrade_requested);
    if switches && session.is_none() {
        return Err(ProxyError::UnexpectedUpgrade);
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
            session.set_upgraded(connection);
            response.map(|()| UpstreamBody::page(bytes::Bytes::new()))
        }
        None => response.map(|()| UpstreamBody::upstream(http2, connection)),
    })
}

/// Prepares the request for the upstream and sends it. Also returns whether the request asks to
/// switch protocols.
fn begin<'a>(
    mut request: Request<UpstreamRequestBody>,
    affinity: Option<usize>,
    to: ForwardContext<'a>,
) -> (AttemptExchange<'a>, bool) {
    let upgrade = match to.version {
        Version::HTTP_11 => hop_by_hop::requested_upgrade(&request.fields),
        _ => None,
    };
    let switches = upgrade.is_some();
    let own_field = to.site.filter.settings().forward_header.as_ref();
    hop_by_hop::prepare_request(&mut request.fields, upgrade, own_field, to.version);
    let via = (&to.snapshot.via, to.version);
    let peer = &to.connection_state.peer;
    to.client.add_forwarding(peer, &mut request.fields, via, to.site.forwarded_for);
    (attempt::send(request, affinity, switches, to), switches)
}
