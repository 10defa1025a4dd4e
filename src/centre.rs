//! The public pages of a site's own: what the browser is told of consent, and the bridge by which a
//! tool that keeps consent in local storage tells it to us.
//!
//! Step 3 of a request: `proxy` has found the site; what is asked for here never reaches the origin.
//!
//! | path                        | answer                                                        |
//! |-----------------------------|---------------------------------------------------------------|
//! | `/.consentry/consent`       | GET: the visitor's consent; POST: another one                 |
//! | `/.consentry/consent.js`    | the same for the scripts of a page                            |
//! | `/.consentry/bridge`        | POST: sets the consent cookie to what the site's tool says    |
//! | `/.consentry/…`             | 404: the prefix is ours                                       |
//! | `/.well-known/gpc.json`     | that Global Privacy Control is heeded, while it is            |

mod api;
mod bridge;
mod choice;
mod error;
mod reply;
mod same_origin;
mod visitor;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use crate::config::settings;
use crate::consent::CategorySet;
use crate::filter::Filter;
use error::{CentreError, allow};
use reply::json;
pub use visitor::Visitor;

/// Where browsers and their extensions look (W3C Global Privacy Control section 4).
const GPC_PATH: &str = "/.well-known/gpc.json";

/// One site's own pages.
#[derive(Debug)]
pub struct Centre {
    /// What the paths of all pages begin with; it ends with `/`.
    prefix: String,
    filter: Arc<Filter>,
    /// The statement that Global Privacy Control is heeded, where it is made.
    gpc: Option<Bytes>,
}

/// A page of a site's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The visitor's consent.
    Consent,
    /// The same for the scripts of a page.
    Script,
    /// Sets the consent cookie to what the site's tool says.
    Bridge,
    /// Says that Global Privacy Control is heeded.
    Gpc,
    /// Below the prefix, and nothing.
    Missing,
}

impl Centre {
    /// The pages of a site, from its settings.
    pub fn new(settings: &settings::Centre, filter: Arc<Filter>) -> Self {
        let reader = &filter.settings().reader;
        let heeded = filter.settings().mode == settings::Mode::Enforce
            && reader.signals.gpc_denies != CategorySet::EMPTY;
        let gpc = (heeded && settings.gpc_json).then(|| {
            let since = reader.notice_date.map(|date| date.to_string());
            Bytes::from(serde_json::json!({ "gpc": true, "lastUpdate": since }).to_string())
        });
        Self { prefix: settings.prefix.clone(), filter, gpc }
    }

    /// The page at a path; `None` for what is the origin's.
    pub fn page(&self, path: &str) -> Option<Page> {
        match path.strip_prefix(self.prefix.as_str()) {
            Some("consent") => Some(Page::Consent),
            Some("consent.js") => Some(Page::Script),
            Some("bridge") => Some(Page::Bridge),
            Some(_) => Some(Page::Missing),
            None => (path == GPC_PATH && self.gpc.is_some()).then_some(Page::Gpc),
        }
    }

    /// Answers a request for a page.
    pub async fn answer<B>(
        &self,
        page: Page,
        request: Request<B>,
        visitor: Visitor,
    ) -> Response<Bytes>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let reader = &self.filter.settings().reader;
        let answered = match page {
            Page::Consent => api::answer(reader, request, visitor).await,
            Page::Script => script(request.method()),
            Page::Bridge => bridge::answer(reader, request, visitor.secure, visitor.now).await,
            Page::Gpc => self.gpc(request.method()),
            Page::Missing => Err(CentreError::Missing),
        };
        answered.unwrap_or_else(|error| error.respond())
    }

    fn gpc(&self, method: &Method) -> Result<Response<Bytes>, CentreError> {
        allow(method, &[Method::GET, Method::HEAD])?;
        let statement = self.gpc.clone().unwrap_or_default();
        let mut response = json(StatusCode::OK, statement);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        Ok(response)
    }
}

/// The script, the same for every visitor.
fn script(method: &Method) -> Result<Response<Bytes>, CentreError> {
    allow(method, &[Method::GET, Method::HEAD])?;
    let mut response =
        json(StatusCode::OK, Bytes::from_static(include_bytes!("centre/script/consent.js")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    Ok(response)
}
