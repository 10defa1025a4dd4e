//! The visitor's consent for pages that draw their own dialog: `GET` tells it, `POST` changes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::choice::{Json, allowed, posted};
use super::decide::{Decision, decide};
use super::error::{CentreError, allow};
use super::reply::json;
use super::site::Site;
use super::visitor::Visitor;
use crate::consent::{Consent, ConsentReader, Signals, consent_mode};
use crate::cookie::Cookies;
use crate::receipts::How;

/// What a page posts.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    granted: Vec<String>,
}

/// What a page is told.
#[derive(Debug, Serialize)]
struct State<'a> {
    decided: bool,
    /// When the visitor decided, where that is known.
    decided_at: Option<String>,
    granted: Vec<&'a str>,
    denied: Vec<&'a str>,
    /// The browser sends Global Privacy Control: what it takes away no choice gives back.
    gpc: bool,
    notice_date: Option<String>,
    consent_mode: BTreeMap<&'static str, &'static str>,
}

/// Answers a request for the visitor's consent.
pub(super) async fn answer<B>(
    site: &Site,
    request: Request<B>,
    visitor: Visitor,
) -> Result<Response<Bytes>, CentreError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    allow(request.method(), &[Method::GET, Method::HEAD, Method::POST])?;
    let reader = site.reader();
    if request.method() != Method::POST {
        let headers = request.headers();
        let cookies = Cookies::of(headers);
        return Ok(tell(reader, &cookies, headers, visitor));
    }
    let (headers, Json(Choice { granted })) = posted(reader, request).await?;
    let granted = allowed(reader, &granted)?;
    let decision = Decision { granted, decided_at: visitor.now, how: How::Api, language: None };
    let kept = decide(site, &headers, decision, visitor).await?;
    // What holds from now on, read as the next request will be.
    let sent = kept.cookie.render(&reader.categories);
    let mut response = tell(reader, &Cookies::new([sent.as_bytes()]), &headers, visitor);
    kept.add_to(response.headers_mut());
    Ok(response)
}

fn tell(
    reader: &ConsentReader,
    cookies: &Cookies<'_>,
    headers: &HeaderMap,
    visitor: Visitor,
) -> Response<Bytes> {
    let signals = Signals::of(headers);
    let region = reader.region_of(headers, visitor.trusted);
    let consent = reader.read(cookies, signals, region, visitor.now);
    let Consent { granted, .. } = consent;
    let at = consent.decided_at.filter(|_| consent.is_decided());
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let state = State {
        decided: consent.is_decided(),
        decided_at: at.and_then(|at| at.format(&Rfc3339).ok()),
        granted: reader.categories.names_of(granted),
        denied: reader.categories.names_of(reader.categories.all().difference(granted)),
        gpc: signals.gpc,
        notice_date: reader.notice_date.map(|date| date.to_string()),
        consent_mode: consent_mode(granted).collect(),
    };
    let body = serde_json::to_vec(&state).unwrap_or_default();
    let mut response = json(StatusCode::OK, Bytes::from(body));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Cookie, Sec-GPC"));
    response
}
