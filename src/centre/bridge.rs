//! The bridge: a page posts what its consent tool keeps in local storage, where no server sees it, and
//! gets our own consent cookie for it.
//!
//! `{"granted": ["analytics"], "time": 1795500000}`; names that are no category of the site grant
//! nothing. Without a time the choice is of now, unless the visitor's cookie says the same already: a
//! page that posts with each view must not keep an old choice young.

use ::cookie::time::Duration;
use ::cookie::{Cookie, SameSite};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use time::Date;

use super::error::{CentreError, allow};
use super::reply::json;
use super::same_origin::is_same_origin;
use crate::consent::sources::{Native, NativeCookie};
use crate::consent::{CLOCK_TOLERANCE_SECONDS, CategorySet, ConsentReader, tool_time};
use crate::cookie::Cookies;

/// The longest body that is read, in octets.
const MAX_OCTETS: usize = 4096;

/// What a page posts.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    granted: Vec<String>,
    #[serde(default)]
    time: Option<serde_json::Value>,
}

/// Answers a request to the bridge: 200 with the cookie, 204 when the visitor's cookie says it already.
pub(super) async fn answer<B>(
    reader: &ConsentReader,
    request: Request<B>,
    secure: bool,
    now: i64,
) -> Result<Response<Bytes>, CentreError>
where
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
    let choice: Choice =
        serde_json::from_slice(&body.to_bytes()).map_err(|_| CentreError::NotAChoice)?;
    set(reader, &head.headers, choice, secure, now)
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

fn set(
    reader: &ConsentReader,
    headers: &HeaderMap,
    choice: Choice,
    secure: bool,
    now: i64,
) -> Result<Response<Bytes>, CentreError> {
    let known = choice.granted.iter().filter_map(|name| reader.categories.find(name));
    let granted = known.collect::<CategorySet>().union(CategorySet::NECESSARY);
    let decided_at = match &choice.time {
        None => None,
        Some(time) => {
            let at = tool_time(time).ok_or(CentreError::Time)?;
            if at > now.saturating_add(CLOCK_TOLERANCE_SECONDS) {
                return Err(CentreError::Time);
            }
            Some(at.min(now))
        }
    };
    let cookie = NativeCookie {
        decided_at: decided_at.unwrap_or(now),
        notice_date: reader.notice_date.unwrap_or(Date::MIN),
        granted,
        receipt: String::new(),
    };
    let cookies = Cookies::new(headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes));
    let mut copies = cookies.values(Native::COOKIE.as_bytes()).peekable();
    let says_it = |value| {
        NativeCookie::parse(value, &reader.categories).is_ok_and(|has| {
            has.granted == granted
                && has.notice_date == cookie.notice_date
                && decided_at.is_none_or(|at| at == has.decided_at)
        })
    };
    if copies.peek().is_some() && copies.all(says_it) {
        let mut nothing_new = json(StatusCode::NO_CONTENT, Bytes::new());
        nothing_new.headers_mut().remove(CONTENT_TYPE);
        return Ok(nothing_new);
    }
    let body = serde_json::json!({ "granted": reader.categories.names_of(granted) }).to_string();
    let mut response = json(StatusCode::OK, Bytes::from(body));
    let line = Cookie::build((Native::COOKIE, cookie.value(&reader.categories)))
        .path("/")
        .max_age(Duration::days(reader.max_age_days.into()))
        .same_site(SameSite::Lax)
        .secure(secure)
        .build();
    if let Ok(line) = HeaderValue::try_from(line.to_string()) {
        response.headers_mut().insert(SET_COOKIE, line);
    }
    Ok(response)
}
