//! The bridge: a page posts what its consent tool keeps in local storage, where no server sees it, and
//! gets our own consent cookie for it.
//!
//! `{"granted": ["analytics"], "time": 1795500000}`; names that are no category of the site grant
//! nothing. With a time, the later of two decisions wins: the posted one, or that of the visitor's cookie, which
//! may have been made in the preference centre. Pages post without a time with each view, and so such a post
//! only takes away from the visitor's cookie and never renews it.
//!
//! Any script of the page can post here, and no browser reports whether the visitor wanted it to: the bridge is
//! off by default.

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};
use http_body::Body;

use super::choice::{Json, posted};
use super::decide::{Decision, decide};
use super::error::CentreError;
use super::reply::{empty, json};
use super::site::Site;
use super::visitor::Visitor;
use crate::consent::sources::{Native, NativeCookie};
use crate::consent::{CategorySet, ConsentReader, is_older, tool_time};
use crate::cookie::Cookies;
use crate::receipts::How;

/// How far ahead of our clock the time of a choice may be, in seconds: two clocks never agree.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// What a page posts.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    granted: Vec<String>,
    #[serde(default)]
    time: Option<serde_json::Value>,
}

/// Answers a request to the bridge: 200 with the cookie, 204 if the visitor's cookie stays as it is.
pub(super) async fn answer<B>(
    site: &Site,
    request: Request<B>,
    visitor: Visitor,
) -> Result<Response<Bytes>, CentreError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !site.settings.bridge {
        return Err(CentreError::Off("centre.bridge"));
    }
    let (reader, now) = (site.reader(), visitor.now);
    let (headers, Json(choice)) = posted::<Json<Choice>, B>(reader, request).await?;
    let known = choice.granted.iter().filter_map(|name| reader.categories.find(name));
    let granted = known.collect::<CategorySet>().union(CategorySet::NECESSARY);
    let decided_at = match &choice.time {
        None => None,
        Some(time) => Some(tool_time(time).ok_or(CentreError::Time)?),
    };
    if decided_at.is_some_and(|at| at > now.saturating_add(CLOCK_TOLERANCE_SECONDS)) {
        return Err(CentreError::Time);
    }
    // Refusals never expire.
    if granted != CategorySet::NECESSARY
        && decided_at.is_some_and(|at| is_older(at, reader.max_age_days, now))
    {
        return Err(CentreError::TooOld(reader.max_age_days));
    }
    let (granted, decided_at) = match (decision_in(&headers, reader), decided_at) {
        (None, at) => (granted, at),
        // The cookie never has a time ahead of the server's, and so may differ from the posted one.
        (Some(has), Some(at)) if has.is_later_than(at) || has.is_same(granted, at) => {
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        (Some(_), at @ Some(_)) => (granted, at),
        (Some(has), None) => match granted.intersection(has.granted) {
            left if has.is_signed && left == has.granted => {
                return Ok(empty(StatusCode::NO_CONTENT));
            }
            CategorySet::NECESSARY => (CategorySet::NECESSARY, None),
            left => (left, Some(has.decided_at)),
        },
    };
    let decided_at = decided_at.unwrap_or(now).min(now);
    let how = How::Bridge;
    let decision = Decision { granted, decided_at, how, language: None, texts: None };
    let kept = decide(site, &headers, decision, visitor).await?;
    let names = reader.categories.names_of(kept.consent.granted);
    let body = serde_json::json!({ "granted": names }).to_string();
    let mut response = json(StatusCode::OK, Bytes::from(body));
    kept.add_to(response.headers_mut());
    Ok(response)
}

/// The decision in the visitor's native cookie: of several copies the strictest, and the latest time.
struct Has {
    granted: CategorySet,
    decided_at: i64,
    /// Every copy is signed, or need not be.
    is_signed: bool,
}

fn decision_in(headers: &HeaderMap, reader: &ConsentReader) -> Option<Has> {
    let cookies = Cookies::of(headers);
    let copies = cookies.values(Native::COOKIE.as_bytes());
    let decisions = copies.filter_map(|value| {
        let cookie = NativeCookie::parse(value, &reader.categories).ok()?;
        let keys = reader.own.keys.as_ref();
        let is_signed = keys.is_none_or(|keys| NativeCookie::is_signed(value, keys));
        // Grants on an older notice have ended.
        let ended = reader.notice_date.is_some_and(|notice| cookie.notice_date < notice);
        let granted = if ended { CategorySet::NECESSARY } else { cookie.granted };
        Some(Has { granted, decided_at: cookie.decided_at, is_signed })
    });
    decisions.reduce(|a, b| Has {
        granted: a.granted.intersection(b.granted),
        decided_at: a.decided_at.max(b.decided_at),
        is_signed: a.is_signed && b.is_signed,
    })
}

impl Has {
    fn is_later_than(&self, at: i64) -> bool {
        self.is_signed && at <= self.decided_at
    }

    fn is_same(&self, granted: CategorySet, at: i64) -> bool {
        let is_same_time = at.saturating_sub(self.decided_at) <= CLOCK_TOLERANCE_SECONDS;
        self.is_signed && self.granted == granted && is_same_time
    }
}
