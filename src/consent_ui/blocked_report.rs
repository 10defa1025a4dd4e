//! Reports of the guard script: the names of blocked items in a page, for the inventory.
//!
//! The body is `{"cookies": ["_ga"], "storage": ["_gid"], "hosts": ["tracker.example"]}`, with each
//! key optional. Visitors can send anything, so names are limited in number and length, and only
//! the inventory changes. Hosts are reported in observe mode only. They include every host that the
//! page loaded from, and this module decides which of them count as blocked.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower::BoxError;

use super::context::SiteContext;
use super::error::ConsentUiError;
use super::posted_body::{JSON, PostedBody, posted_body};
use super::request_info::RequestInfo;
use super::responses::empty;
use crate::filter::BlockedKind;
use crate::http::named_host;
use crate::policy::permits;

/// Maximum number of names of each kind per report.
const MAX_NAMES: usize = 64;

/// The posted report.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BlockedReport {
    cookies: Vec<String>,
    storage: Vec<String>,
    hosts: Vec<String>,
}

impl PostedBody for BlockedReport {
    const MEDIA_TYPES: &'static [&'static str] = &JSON;

    fn read(_: &str, body: &[u8]) -> Result<Self, ConsentUiError> {
        serde_json::from_slice(body).map_err(|_| ConsentUiError::NotAReport)
    }
}

/// Records a report. Responds with 204.
pub(super) async fn respond<B>(
    site: &SiteContext,
    request: Request<B>,
    info: RequestInfo,
) -> Result<Response<Bytes>, ConsentUiError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (headers, report) = posted_body::<BlockedReport, B>(request).await?;
    let inventory = site.filter.inventory();
    for (kind, names) in
        [(BlockedKind::Cookie, &report.cookies), (BlockedKind::Storage, &report.storage)]
    {
        for name in names.iter().take(MAX_NAMES) {
            inventory.record_blocked(kind, name, info.now);
        }
    }
    let granted = site.consent(&headers, info.trusted, info.now).granted;
    let own = named_host(&headers).unwrap_or_default();
    let catalogue = &site.filter.settings().policy.catalogue;
    for host in report.hosts.iter().take(MAX_NAMES) {
        let entry = catalogue.third_party(host, own, &format!("https://{host}/"), "other");
        if entry.is_some_and(|entry| !permits(granted, entry.category)) {
            inventory.record_blocked(BlockedKind::Host, host, info.now);
        }
    }
    Ok(empty(StatusCode::NO_CONTENT))
}
