//! A visitor's choice as pages post it, and the consent cookie that keeps it.

use ::cookie::time::Duration;
use ::cookie::{Cookie, SameSite};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use time::Date;

use super::error::{CentreError, allow};
use super::same_origin::is_same_origin;
use crate::consent::sources::{Native, NativeCookie};
use crate::consent::{CategorySet, ConsentReader};

/// The longest body that is read, in octets.
const MAX_OCTETS: usize = 4096;

/// What a page of the site posts, as JSON; anybody else is refused.
pub(super) async fn posted<T, B>(
    reader: &ConsentReader,
    request: Request<B>,
) -> Result<(HeaderMap, T), CentreError>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    allow(request.method(), &[Method::POST])?;
    if !is_same_origin(request.headers()) {
        return Err(CentreError::CrossSite);
    }
    let native = ["consentry", "auto"];
    if !reader.sources.iter().any(|source| native.contains(&source.name())) {
        return Err(CentreError::NotASource);
    }
    is_readable(request.headers())?;
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_OCTETS).collect().await.map_err(|error| {
        match error.is::<LengthLimitError>() {
            true => CentreError::TooLarge(MAX_OCTETS),
            false => CentreError::Broken,
        }
    })?;
    let choice = serde_json::from_slice(&body.to_bytes()).map_err(|_| CentreError::NotAChoice)?;
    Ok((head.headers, choice))
}

fn is_readable(headers: &HeaderMap) -> Result<(), CentreError> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    let read = ["application/json", "text/plain"];
    if !essence.is_some_and(|essence| read.iter().any(|read| essence.eq_ignore_ascii_case(read))) {
        return Err(CentreError::MediaType);
    }
    let length: Option<u64> =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > MAX_OCTETS as u64 => Err(CentreError::TooLarge(MAX_OCTETS)),
        _ => Ok(()),
    }
}

/// The content of the cookie that keeps a choice, made at a time in Unix seconds for the notice in force.
pub(super) fn keep(reader: &ConsentReader, granted: CategorySet, decided_at: i64) -> NativeCookie {
    NativeCookie {
        decided_at,
        notice_date: reader.notice_date.unwrap_or(Date::MIN),
        granted,
        receipt: String::new(),
    }
}

/// The `Set-Cookie` of it (RFC 6265bis section 4.1). Scripts of the site may read it: it is no secret.
pub(super) fn line(
    reader: &ConsentReader,
    cookie: &NativeCookie,
    secure: bool,
) -> Option<HeaderValue> {
    let line = Cookie::build((Native::COOKIE, cookie.value(&reader.categories)))
        .path("/")
        .max_age(Duration::days(reader.max_age_days.into()))
        .same_site(SameSite::Lax)
        .secure(secure)
        .build();
    HeaderValue::try_from(line.to_string()).ok()
}
