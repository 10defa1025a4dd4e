//! The bridge: a page posts what its consent tool keeps in local storage, where no server sees it, and
//! gets our own consent cookie for it.
//!
//! `{"granted": ["analytics"], "time": 1795500000}`; names that are no category of the site grant
//! nothing. Without a time the choice is of now, unless the visitor's cookie says the same already: a
//! page that posts with each view must not keep an old choice young.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use time::Date;

use super::choice::{Json, posted};
use super::decide::{Decision, decide};
use super::error::CentreError;
use super::reply::{empty, json};
use super::site::Site;
use super::visitor::Visitor;
use crate::consent::sources::{Native, NativeCookie};
use crate::consent::{CLOCK_TOLERANCE_SECONDS, CategorySet, tool_time};
use crate::cookie::Cookies;
use crate::receipts::How;

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
    site: &Site,
    request: Request<B>,
    visitor: Visitor,
) -> Result<Response<Bytes>, CentreError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (reader, now) = (site.reader(), visitor.now);
    let (headers, Json(choice)) = posted::<Json<Choice>, B>(reader, request).await?;
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
    let cookies = Cookies::of(&headers);
    let mut copies = cookies.values(Native::COOKIE.as_bytes()).peekable();
    let says_it = |value| {
        NativeCookie::parse(value, &reader.categories).is_ok_and(|has| {
            has.granted == granted
                && has.notice_date == reader.notice_date.unwrap_or(Date::MIN)
                && decided_at.is_none_or(|at| at == has.decided_at)
        })
    };
    if copies.peek().is_some() && copies.all(says_it) {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let decided_at = decided_at.unwrap_or(now);
    let decision = Decision { granted, decided_at, how: How::Bridge, language: None };
    let kept = decide(site, &headers, decision, visitor).await?;
    let body = serde_json::json!({ "granted": reader.categories.names_of(granted) }).to_string();
    let mut response = json(StatusCode::OK, Bytes::from(body));
    kept.add_to(response.headers_mut());
    Ok(response)
}
