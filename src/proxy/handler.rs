//! One request, in a straight line: check it, find its site, filter and forward, settle the end.
//!
//! Previous step: `connection`. Next: the filter around `forward`.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response, Version};
use hyper::body::{Body, Incoming};
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

use super::error::{PageForm, ProxyError};
use super::exchange::Forward;
use super::forward::forward;
use super::request_body::VisitorBody;
use super::response_body::{OriginBody, ServedBody};
use super::site::{NotFound, Site, Snapshot};
use super::ticket::Ticket;
use super::visitor::Visitor;
use super::{headers, redirect};
use crate::centre;
use crate::filter::{ConsentLayer, FilterBody, named_host, unix_now};
use crate::page::PageBody;

/// Answers a request. Fails never: whatever goes wrong becomes a response.
pub(super) fn handle(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ServedBody>, Infallible>> {
    let ticket = Ticket::new(visitor, &request);
    let form = PageForm::by(request.headers());
    answer(ticket, form, Box::new(request))
}

/// What is given to an async function is kept in its future twice: ticket and request are boxed.
async fn answer(
    mut ticket: Box<Ticket>,
    form: PageForm,
    request: Box<Request<Incoming>>,
) -> Result<Response<ServedBody>, Infallible> {
    let answered = AssertUnwindSafe(serve(&mut ticket, form, request)).catch_unwind().await;
    // What a panic says may hold anything: only that there was one is told on.
    let outcome = answered.unwrap_or(Err(ProxyError::Internal));
    let response = match outcome {
        Ok(Served::Filtered(response)) => {
            ticket.answered(response.status());
            response.map(|body| ServedBody::filtered(body, ticket))
        }
        Ok(Served::Page(response)) => {
            ticket.answered(response.status());
            response.map(|body| ServedBody::changed(body, ticket))
        }
        Ok(Served::Own(response)) => {
            ticket.answered(response.status());
            response.map(|body| ServedBody::page(body, ticket))
        }
        Err(error) => {
            let page = ticket.page(&error, form);
            ticket.answered(page.status());
            page.map(|page| ServedBody::page(page, ticket))
        }
    };
    Ok(response)
}

/// What is served: the origin's answer through the filter, or a page of the site's own.
enum Served {
    Filtered(Response<FilterBody<OriginBody>>),
    Page(Response<PageBody<FilterBody<OriginBody>>>),
    Own(Response<Bytes>),
}

async fn serve(
    ticket: &mut Ticket,
    form: PageForm,
    request: Box<Request<Incoming>>,
) -> Result<Served, ProxyError> {
    let snapshot = &Arc::clone(&ticket.snapshot);
    let visitor = &Arc::clone(&ticket.visitor);
    let mut asked = None;
    // In a block of its own, so that the request is not kept while its answer is awaited.
    let (answered, site) = {
        let mut request = *request;
        let site = check(&mut request, snapshot)?;
        ticket.site = Some(site.index);
        ticket.trace(request.headers_mut());
        if site.body_bytes.is_some_and(|most| request.body().size_hint().lower() > most) {
            return Err(ProxyError::BodyTooLarge);
        }
        if let Some(port) = snapshot.redirect.filter(|_| !visitor.peer.is_secure(request.headers()))
        {
            return redirect::to_https(&request, port).map(Served::Own);
        }
        if let Some(page) = site.centre.page(request.uri().path()) {
            let asking = centre::Visitor {
                secure: visitor.peer.is_secure(request.headers()),
                trusted: visitor.peer.trusted,
                address: visitor.peer.visitor_address(request.headers()),
                now: unix_now(),
            };
            let request =
                request.map(|body| VisitorBody::new(body, site.body_bytes, visitor, &site.filter));
            let own = Box::pin(site.centre.answer(page, request, asking));
            // A body of ours is short: who has not sent it by then sends it never.
            let own = tokio::time::timeout(snapshot.timeouts.idle, own).await;
            return own.map(Served::Own).map_err(|_| ProxyError::RequestTimeout);
        }
        if let Some(admission) = &site.admission {
            let address = visitor.peer.visitor_address(request.headers());
            // The request goes along, so that it is not kept while a place is waited for.
            let admitted = Box::pin(async move { (admission.admit(address).await, request) });
            let (place, waited) = admitted.await;
            ticket.place = place?;
            request = waited;
        }
        if let Some(pages) = &site.page {
            let own = &site.centre;
            asked = pages.asked(&mut request, visitor.peer.trusted, unix_now(), own).map(Box::new);
        }
        let ticket = &*ticket;
        let to_origin = service_fn(move |request: Request<VisitorBody>| {
            let began = Instant::now();
            let forwarded = forward(request, Forward { visitor, site, snapshot, began });
            // A page of ours passes the filter like the origin's: nothing leaves around it.
            let page = move |error| ticket.page(&error, form).map(OriginBody::page);
            forwarded.map(move |answer| {
                ticket.upstream_took(began.elapsed());
                Ok::<_, ProxyError>(answer.unwrap_or_else(page))
            })
        });
        let secure = visitor.peer.is_secure(request.headers());
        let layer = ConsentLayer::new(Arc::clone(&site.filter))
            .secure(secure)
            .trusted(visitor.peer.trusted)
            .recalling(Arc::clone(&visitor.recall));
        let request =
            request.map(|body| VisitorBody::new(body, site.body_bytes, visitor, &site.filter));
        (layer.layer(to_origin).call(request), site)
    };
    let response = answered.await?;
    Ok(match asked.zip(site.page.as_ref()) {
        None => Served::Filtered(response),
        Some((asked, pages)) => {
            let consent = response.body().report().consent;
            Served::Page(pages.rewrite(*asked, &consent, response, &site.centre))
        }
    })
}

/// Refuses what must not be forwarded, and finds the site.
fn check<'a>(
    request: &mut Request<Incoming>,
    snapshot: &'a Snapshot,
) -> Result<&'a Site, ProxyError> {
    // HTTP/2 sends each cookie in a field of its own (RFC 9113 section 8.2.3): they count as the one that they are.
    headers::join_cookies(request.headers_mut());
    let fields = request.headers().len();
    if fields > snapshot.limits.header_fields {
        return Err(ProxyError::TooManyFields(fields));
    }
    if request.method() == Method::CONNECT {
        return Err(ProxyError::Connect405);
    }
    settle_host(request)?;
    let host = named_host(request.headers()).unwrap_or_default();
    let site = snapshot.sites.find(host, request.uri().path());
    let site = site.map_err(|missing| match missing {
        NotFound::Host => ProxyError::NoSite,
        NotFound::Path => ProxyError::NoPath,
    })?;
    if host.is_empty() {
        request.headers_mut().insert(HOST, site.host.clone());
    }
    Ok(site)
}

/// Makes `Host` say what the visitor asked for, once (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
fn settle_host(request: &mut Request<Incoming>) -> Result<(), ProxyError> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ProxyError::BadHost)?;
        if authority.as_str().contains('@') {
            return Err(ProxyError::BadHost);
        }
        request.headers_mut().insert(HOST, host);
        return Ok(());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let valid = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host),
        // HTTP/1.0 knew no Host.
        (None, None) => request.version() == Version::HTTP_10,
        _ => false,
    };
    if valid { Ok(()) } else { Err(ProxyError::BadHost) }
}

/// Letters, digits and the marks of names, addresses and ports; no path, space or user.
fn is_host(host: &HeaderValue) -> bool {
    !host.is_empty()
        && host.as_bytes().iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'.' | b'-'
                        | b'_'
                        | b'~'
                        | b':'
                        | b'['
                        | b']'
                        | b'%'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b','
                        | b';'
                        | b'='
                )
        })
}
