//! Consent API for pages with their own dialog: `GET` reads the visitor's consent, `POST` changes
//! it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use serde::Serialize;
use tower::BoxError;

use super::activation::is_activated;
use super::context::SiteContext;
use super::error::{ConsentUiError, allow};
use super::posted_body::{JSON, PostedBody, URL_ENCODED, allowed, posted};
use super::record_decision::{PostedDecision, decide};
use super::request_info::RequestInfo;
use super::responses::json;
use crate::consent::{Consent, ConsentReader, Signals, consent_mode};
use crate::http::rfc3339;
use crate::receipts::DecisionChannel;

/// The posted body: JSON, or a form with one `granted` field per category. Browsers report user
/// activation only for form navigations.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionBody {
    granted: Vec<String>,
}

impl PostedBody for DecisionBody {
    const MEDIA_TYPES: &'static [&'static str] = &[JSON[0], JSON[1], URL_ENCODED];

    fn read(media_type: &str, body: &[u8]) -> Result<Self, ConsentUiError> {
        if media_type != URL_ENCODED {
            return serde_json::from_slice(body).map_err(|_| ConsentUiError::NotAChoice);
        }
        let names = form_urlencoded::parse(body).map(|(name, value)| match &*name {
            "granted" => Ok(value.into_owned()),
            _ => Err(ConsentUiError::NotAChoice),
        });
        Ok(Self { granted: names.collect::<Result<_, _>>()? })
    }
}

/// The response body.
#[derive(Debug, Serialize)]
struct ConsentResponse<'a> {
    decided: bool,
    /// The time of the decision, if known.
    decided_at: Option<String>,
    granted: Vec<&'a str>,
    denied: Vec<&'a str>,
    /// The browser sends Global Privacy Control. Categories that GPC denies cannot be granted here.
    gpc: bool,
    notice_date: Option<String>,
    consent_mode: BTreeMap<&'static str, &'static str>,
}

/// Handles a request to the consent API.
pub(super) async fn respond<B>(
    site: &SiteContext,
    request: Request<B>,
    info: RequestInfo,
) -> Result<Response<Bytes>, ConsentUiError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if !site.settings.api {
        return Err(ConsentUiError::Off("centre.api"));
    }
    allow(request.method(), &[Method::GET, Method::HEAD, Method::POST])?;
    let reader = site.reader();
    if request.method() != Method::POST {
        let headers = request.headers();
        let consent = site.consent(headers, info.trusted, info.now);
        return Ok(state_response(reader, consent, headers));
    }
    let activated = is_activated(request.headers());
    let (headers, DecisionBody { granted }) = posted(reader, request).await?;
    if !activated {
        return Err(ConsentUiError::NotActivated);
    }
    let granted = allowed(reader, &granted)?;
    let (decided_at, how) = (info.now, DecisionChannel::Api);
    let decision = PostedDecision { granted, decided_at, how, language: None, texts: None };
    let recorded = decide(site, &headers, decision, info).await?;
    let mut response = state_response(reader, recorded.consent, &headers);
    recorded.add_to(response.headers_mut());
    Ok(response)
}

fn state_response(
    reader: &ConsentReader,
    consent: Consent,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let signals = Signals::of(headers);
    let Consent { granted, .. } = consent;
    let at = consent.decided_at.filter(|_| consent.is_decided());
    let state = ConsentResponse {
        decided: consent.is_decided(),
        decided_at: at.and_then(rfc3339),
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
