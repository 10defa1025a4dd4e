//! Consent bridge: a page posts the decision that its consent tool keeps in local storage, which
//! servers cannot read. In return the browser gets the native consent cookie.
//!
//! The body is `{"granted": ["analytics"], "time": 1795500000}`. Names of unknown categories are
//! ignored. With a time, the later of the posted decision and the decision in the visitor's
//! cookie wins. The cookie may come from the preference centre. Pages post with every view, so a
//! post without a time can only remove categories from the visitor's cookie and never renews it.
//!
//! Any script of the page can post here, and browsers do not report user activation for such
//! requests. The bridge is therefore off by default.

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower::BoxError;

use super::context::SiteContext;
use super::error::ConsentUiError;
use super::posted_body::{JsonBody, posted};
use super::record_decision::{PostedDecision, decide};
use super::request_info::RequestInfo;
use super::responses::{empty, json};
use crate::consent::sources::{Native, NativeCookie};
use crate::consent::{CategorySet, ConsentReader, is_older, tool_time};
use crate::cookie::Cookies;
use crate::receipts::DecisionChannel;

/// Clock skew allowed for the time of a choice, in seconds.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// The posted body.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BridgeBody {
    granted: Vec<String>,
    #[serde(default)]
    time: Option<serde_json::Value>,
}

/// Handles a request to the bridge: 200 with the cookie, or 204 if the visitor's cookie does not
/// change.
pub(super) async fn respond<B>(
    site: &SiteContext,
    request: Request<B>,
    info: RequestInfo,
) -> Result<Response<Bytes>, ConsentUiError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if !site.settings.bridge {
        return Err(ConsentUiError::Off("centre.bridge"));
    }
    let (reader, now) = (site.reader(), info.now);
    let (headers, JsonBody(choice)) = posted::<JsonBody<BridgeBody>, B>(reader, request).await?;
    let known = choice.granted.iter().filter_map(|name| reader.categories.find(name));
    let granted = known.collect::<CategorySet>().union(CategorySet::NECESSARY);
    let decided_at = match &choice.time {
        None => None,
        Some(time) => Some(tool_time(time).ok_or(ConsentUiError::Time)?),
    };
    if decided_at.is_some_and(|at| at > now.saturating_add(CLOCK_TOLERANCE_SECONDS)) {
        return Err(ConsentUiError::Time);
    }
    // Refusals never expire.
    if granted != CategorySet::NECESSARY
        && decided_at.is_some_and(|at| is_older(at, reader.max_age_days, now))
    {
        return Err(ConsentUiError::TooOld(reader.max_age_days));
    }
    let (granted, decided_at) = match (decision_in(&headers, reader), decided_at) {
        (None, at) => (granted, at),
        // The time in the cookie is never later than the server's clock, so it may differ from the
        // posted time.
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
    let how = DecisionChannel::Bridge;
    let decision = PostedDecision { granted, decided_at, how, language: None, texts: None };
    let recorded = decide(site, &headers, decision, info).await?;
    let names = reader.categories.names_of(recorded.consent.granted);
    let body = serde_json::json!({ "granted": names }).to_string();
    let mut response = json(StatusCode::OK, Bytes::from(body));
    recorded.add_to(response.headers_mut());
    Ok(response)
}

/// The decision in the visitor's native cookie. Of several copies, the strictest categories and the
/// latest time.
struct NativeDecision {
    granted: CategorySet,
    decided_at: i64,
    /// Every copy is signed, or signatures are not required.
    is_signed: bool,
}

fn decision_in(headers: &HeaderMap, reader: &ConsentReader) -> Option<NativeDecision> {
    let cookies = Cookies::of(headers);
    let copies = cookies.values(Native::COOKIE.as_bytes());
    let decisions = copies.filter_map(|value| {
        let cookie = NativeCookie::parse(value, &reader.categories).ok()?;
        let keys = reader.own.keys.as_ref();
        let is_signed = keys.is_none_or(|keys| NativeCookie::is_signed(value, keys));
        // A newer notice voids earlier grants.
        let ended = reader.notice_date.is_some_and(|notice| cookie.notice_date < notice);
        let granted = if ended { CategorySet::NECESSARY } else { cookie.granted };
        Some(NativeDecision { granted, decided_at: cookie.decided_at, is_signed })
    });
    decisions.reduce(|a, b| NativeDecision {
        granted: a.granted.intersection(b.granted),
        decided_at: a.decided_at.max(b.decided_at),
        is_signed: a.is_signed && b.is_signed,
    })
}

impl NativeDecision {
    fn is_later_than(&self, at: i64) -> bool {
        self.is_signed && at <= self.decided_at
    }

    fn is_same(&self, granted: CategorySet, at: i64) -> bool {
        let is_same_time = at.saturating_sub(self.decided_at) <= CLOCK_TOLERANCE_SECONDS;
        self.is_signed && self.granted == granted && is_same_time
    }
}
