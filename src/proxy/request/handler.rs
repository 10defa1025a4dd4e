//! Handles one request: validation, site lookup, filter, forwarding and response.
//!
//! Previous step: `connection`. Next: the filter around `forward`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ALLOW, HOST};
use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::catalogue::{BODY_START, BodyStart};
use crate::clock::unix_now;
use crate::consent_ui;
use crate::filter::{
    ClientInfo, FilterBody, FilteredHead, HeadDecision, PendingExchange, ResponseDecision,
    Unforwarded, into_response as filter_reply,
};
use crate::html::PageBody;
use crate::http::named_host;
use crate::http::{
    Authority, Client, Fields, Request, RequestTarget, Response, TargetError, join_cookies,
};
use crate::proxy::downstream::client_body::ClientBody;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::request::attempt::ForwardContext;
use crate::proxy::request::error::{ALLOWED, ProxyError};
use crate::proxy::request::forward::forward;
use crate::proxy::request::hop_by_hop;
use crate::proxy::request::https_redirect;
use crate::proxy::request::request_body::UpstreamRequestBody;
use crate::proxy::request::request_record::RequestRecord;
use crate::proxy::request::response_body::{ReplyBody, UpstreamBody};
use crate::proxy::site_router::{NotFound, Site, Snapshot};

/// Parts of the request line besides method and path.
#[derive(Debug)]
pub(crate) struct RequestLine {
    pub(crate) version: Version,
    /// The authority of an absolute-form target, or why the target is invalid.
    pub(crate) authority: Result<Option<Box<str>>, TargetError>,
    /// The client waits for a 100 response before it sends the body (RFC 9110 section 10.1.1).
    pub(crate) expects_continue: bool,
}

impl RequestLine {
    /// Reduces the target of an HTTP/2 request to path and query (RFC 9113 section 8.3.1).
    pub(crate) fn of_http2<B>(request: &mut http::Request<B>) -> Self {
        let method = request.method().clone();
        let target = RequestTarget::of(&method, request.uri());
        let path = target.map(|target| target.to_origin_form(&method).into_owned());
        let authority = target.map(|target| target.authority().map(Box::from));
        let uri = path.map(|path| path.parse());
        let authority = match uri {
            Ok(Ok(uri)) => {
                *request.uri_mut() = uri;
                authority
            }
            Ok(Err(_)) => Err(TargetError::Form),
            Err(error) => Err(error),
        };
        Self { version: Version::HTTP_2, authority, expects_continue: false }
    }
}

/// Handles a request. Every error becomes a response.
pub(crate) fn handle(
    connection_state: Arc<ConnectionState>,
    http1: Option<Arc<Http1Session>>,
    request: Request<ClientBody>,
    received: RequestLine,
) -> impl Future<Output = Response<ReplyBody>> {
    let record = RequestRecord::new(connection_state, http1, &request, received.version);
    respond(record, Box::new((request, received)))
}

/// The arguments are boxed, because the future of an async function stores each argument twice.
async fn respond(
    mut record: Box<RequestRecord>,
    request: Box<(Request<ClientBody>, RequestLine)>,
) -> Response<ReplyBody> {
    let response = AssertUnwindSafe(serve(&mut record, request)).catch_unwind().await;
    // A panic message may contain anything, so only the fact of a panic is reported.
    let outcome = response.unwrap_or(Err(ProxyError::Internal));
    match outcome {
        Ok(Reply::Filtered(response)) => {
            record.record_status(response.status);
            response.map(|body| ReplyBody::filtered(body, record))
        }
        Ok(Reply::Page(response)) if response.body.is_refused() => {
            ReplyBody::changed(response.body, record).failed(&ProxyError::Undecodable)
        }
        Ok(Reply::Page(response)) => {
            record.record_status(response.status);
            response.map(|body| ReplyBody::changed(body, record))
        }
        Ok(Reply::Own(response)) => {
            record.record_status(response.status);
            response.map(|body| ReplyBody::page(body, record))
        }
        Err(error) => {
            let page = Response::from_http(record.failed(&error));
            record.record_status(page.status);
            page.map(|page| ReplyBody::page(page, record))
        }
    }
}

/// A response to the client: the filtered upstream response, or a page of consentry.
enum Reply {
    Filtered(Response<FilterBody<UpstreamBody>>),
    Page(Response<PageBody<FilterBody<UpstreamBody>>>),
    Own(Response<Bytes>),
}

async fn serve(
    record: &mut RequestRecord,
    request: Box<(Request<ClientBody>, RequestLine)>,
) -> Result<Reply, ProxyError> {
    let snapshot = &Arc::clone(&record.snapshot);
    let connection_state = &Arc::clone(&record.connection_state);
    let mut page_request = None;
    let consent;
    // A separate block, so that the future does not store the request while it awaits the response.
    let (forwarded, pending, started, site) = {
        let (mut request, received) = *request;
        let version = received.version;
        let site = check(&mut request, received, &record.client, snapshot)?;
        record.site = Some(site.index);
        record.trace(&mut request.fields);
        record.error_format.note_form(&request.method, &request.fields);
        if site.body_bytes.is_some_and(|most| request.body.size_hint().lower() > most) {
            return Err(ProxyError::BodyTooLarge);
        }
        if let Some(port) = snapshot.redirect.filter(|_| !record.client.secure) {
            return https_redirect::to_https(&request, port).map(own_page);
        }
        let method = request.method.clone();
        if hop_by_hop::is_last_hop(&method, &mut request.fields) {
            return match method {
                Method::OPTIONS => Ok(Reply::Own(options())),
                _ => Err(ProxyError::Trace405),
            };
        }
        let own = site.centre.page(request.uri.path());
        // Consentry's own pages are cheap to serve and not limited. Posted choices write receipts.
        let limited = own.is_none() || request.method == Method::POST;
        if let Some(rate_limiter) = site.rate_limiter.as_ref().filter(|_| limited) {
            let address = record.client.address;
            // The request moves along, so that the future does not store it while it waits for a
            // permit.
            let acquired = Box::pin(async move { (rate_limiter.acquire(address).await, request) });
            let (permit, waited) = acquired.await;
            record.permit = permit?;
            request = waited;
        }
        if let Some(page) = own {
            let request_info = consent_ui::RequestInfo {
                secure: record.client.secure,
                trusted: record.client.trusted,
                address: Some(record.client.address),
                now: unix_now(),
            };
            let request =
                request.map(|body| UpstreamRequestBody::new(body, site.body_bytes, &site.filter));
            let own = Box::pin(site.centre.respond(page, request.into_http(), request_info));
            // Bodies for consentry's own pages are short, so a slow client gets a timeout.
            let own = tokio::time::timeout(snapshot.timeouts.idle, own).await;
            let own = own.map_err(|_| ProxyError::RequestTimeout)?;
            return Ok(own_page(own.unwrap_or_else(|rejection| record.rejected(&rejection))));
        }
        let Client { secure, trusted, .. } = record.client;
        let client_info = ClientInfo { secure, trusted };
        if let Some(pages) = &site.page {
            let own = &site.centre;
            page_request =
                pages.page_request(&mut request, client_info, unix_now(), own).map(Box::new);
        }
        let filter = |request: &Request<ClientBody>, body| {
            let head = FilteredHead {
                method: &request.method,
                uri: &request.uri,
                host: named_host(&request.fields),
                fields: &request.fields,
                body,
            };
            let cache = Some(&*connection_state.decision_cache);
            PendingExchange::of(&site.filter, head, client_info, cache)
        };
        // A client that streams a body without a length may wait for the response before it goes on.
        let is_sized = request.body.size_hint().exact().is_some_and(|length| length > 0);
        let body = if is_sized { BodyStart::Unread } else { BodyStart::Unavailable };
        let mut filtered = filter(&request, body);
        if let Err(Unforwarded::NeedsBody) = filtered {
            let idle = snapshot.timeouts.idle;
            let (start, whole) = Box::pin(read_start(request, idle)).await?;
            request = whole;
            filtered = filter(&request, BodyStart::Read(&start));
        }
        let pending = match filtered {
            Ok((pending, edits)) => {
                edits.apply(&mut request);
                pending
            }
            Err(stop) => {
                let reply = filter_reply(&site.filter, *stop.reply(&site.filter));
                return Ok(Reply::Filtered(Response::from_http(reply)));
            }
        };
        let request =
            request.map(|body| UpstreamRequestBody::new(body, site.body_bytes, &site.filter));
        let started = Instant::now();
        let (client, http1) = (&record.client, record.http1.as_ref());
        consent = pending.consent();
        let consent = &consent;
        let to = ForwardContext {
            connection_state,
            client,
            version,
            http1,
            site,
            snapshot,
            consent,
            page_request: page_request.as_deref(),
            started,
        };
        (forward(request, to), pending, started, site)
    };
    let response = forwarded.await;
    record.record_upstream_time(started.elapsed());
    if response.is_err() {
        // Error pages get neither the banner nor the guard.
        page_request = None;
    }
    // Error pages pass the filter too: no response bypasses it.
    let page = |error| Response::from_http(record.failed(&error)).map(UpstreamBody::page);
    let (mut head, body) = response.unwrap_or_else(page).into_parts();
    let (edits, decision) = pending.filter_response(head.status, &head.fields, body);
    edits.apply(&mut head.fields);
    let decision = match decision {
        HeadDecision::Decided(decision) => decision,
        HeadDecision::Inspect(mut inspection) => {
            let ended = std::future::poll_fn(|context| inspection.poll_start(context)).await;
            let (edits, decision) = inspection.decide(ended, &head.fields);
            edits.apply(&mut head.fields);
            decision
        }
    };
    let response = match decision {
        ResponseDecision::Pass(body) => head.map(|()| body),
        ResponseDecision::Reply(reply) => Response::from_http(reply),
    };
    Ok(match page_request.zip(site.page.as_ref()) {
        None => Reply::Filtered(response),
        Some((page_request, pages)) => {
            let consent = response.body.report().consent;
            Reply::Page(pages.rewrite(*page_request, &consent, response, &site.centre))
        }
    })
}

/// Reads the part of the body that beacon rules match. A slow client gets a timeout.
async fn read_start(
    request: Request<ClientBody>,
    idle: Duration,
) -> Result<(Bytes, Request<ClientBody>), ProxyError> {
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(idle, body.read_start(BODY_START)).await;
    let (start, body) =
        read.map_err(|_| ProxyError::RequestTimeout)?.map_err(|_| ProxyError::BrokenBody)?;
    Ok((start, head.map(|()| body)))
}

/// Wraps one of consentry's own pages.
fn own_page(page: http::Response<Bytes>) -> Reply {
    Reply::Own(Response::from_http(page))
}

/// The response to an OPTIONS request whose final recipient is this proxy.
fn options() -> Response<Bytes> {
    let mut response = Response::new(StatusCode::NO_CONTENT, Bytes::new());
    response.fields.insert(&ALLOW, ALLOWED);
    response
}

/// Rejects requests that must not be forwarded, and finds the site.
fn check<'a>(
    request: &mut Request<ClientBody>,
    received: RequestLine,
    client: &Client,
    snapshot: &'a Snapshot,
) -> Result<&'a Site, ProxyError> {
    // HTTP/2 sends each cookie in a field of its own (RFC 9113 section 8.2.3). Together they count
    // as one field.
    join_cookies(&mut request.fields);
    let fields = request.fields.count();
    if fields > snapshot.limits.header_fields {
        return Err(ProxyError::TooManyFields(fields));
    }
    if request.method == Method::CONNECT {
        return Err(ProxyError::Connect405);
    }
    if snapshot.via.has_passed(&request.fields) {
        if !snapshot.loop_reported.swap(true, Relaxed) {
            tracing::warn!(
                "request loop: a request has passed this proxy before, check whether an upstream leads back to it"
            );
        }
        return Err(ProxyError::Loop);
    }
    client.remove_forged(&mut request.fields);
    normalize_host(request, received)?;
    let host = named_host(&request.fields).unwrap_or_default();
    let site = snapshot.sites.find(host, request.uri.path());
    let site = site.map_err(|missing| match missing {
        NotFound::Host => ProxyError::NoSite,
        NotFound::Path => ProxyError::NoPath,
    })?;
    if host.is_empty() {
        request.fields.insert(&HOST, &*site.host);
    }
    // Checked before any cookie is parsed.
    if site.filter.has_too_many_cookies(&request.fields) {
        return Err(ProxyError::TooManyCookies);
    }
    Ok(site)
}

/// Leaves one valid `Host` field. The authority of the target wins over the field (RFC 9112 section
/// 3.2, RFC 9113 section 8.3.1).
fn normalize_host<B>(request: &mut Request<B>, received: RequestLine) -> Result<(), ProxyError> {
    let has_host = request.fields.has(&HOST);
    let several = request.fields.values(&HOST).nth(1).is_some();
    if several || !request.fields.values(&HOST).all(|host| Authority::parse(host).is_some()) {
        return Err(ProxyError::BadHost);
    }
    let authority = received.authority?;
    // HTTP/1.0 does not require a host, and HTTP/2 carries it in `:authority`.
    let may_lack_host = match authority {
        Some(_) => received.version != Version::HTTP_11,
        None => received.version == Version::HTTP_10,
    };
    if !has_host && !may_lack_host {
        return Err(ProxyError::BadHost);
    }
    if let Some(authority) = authority {
        request.fields.insert(&HOST, authority.as_bytes());
    }
    Ok(())
}
