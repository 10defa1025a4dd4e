//! Consent UI of a site: the preference centre, the notice, the consent API, and the bridge for
//! consent tools that use local storage.
//!
//! Step 3 of a request: `proxy` has selected the site. Requests for these paths never reach the
//! origin.
//!
//! | path                        | response                                                      |
//! |-----------------------------|---------------------------------------------------------------|
//! | `/.consentry/`              | the preference centre; POST: its form                         |
//! | `/.consentry/notice`        | the notice                                                    |
//! | `/.consentry/style.css`     | the stylesheet of both                                        |
//! | `/.consentry/consent`       | GET: the visitor's consent; POST: a new decision              |
//! | `/.consentry/consent.js`    | the same API for page scripts                                 |
//! | `/.consentry/bridge`        | POST: sets the consent cookie from the site's consent tool    |
//! | `/.consentry/held-back`     | POST: items that the guard script blocked in a page           |
//! | `/.consentry/…`             | 404: the prefix is reserved                                   |
//! | `/.well-known/gpc.json`     | Global Privacy Control statement, while GPC is honoured       |

mod activation;
mod api;
mod banner;
mod blocked_report;
mod bridge;
mod claims;
mod context;
mod csrf;
mod error;
mod error_page;
mod form_token;
mod guard;
mod item_list;
mod layout;
mod notice;
mod posted_body;
mod preferences;
mod record_decision;
mod request_info;
mod responses;
mod return_to;
mod shown_texts;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tower::BoxError;

use crate::config::settings;
use crate::consent::{CategorySet, Consent};
use crate::filter::Filter;
use crate::http::{Fields, has_member};
use crate::locale::{Locale, Locales};
use crate::receipts::Receipts;
use banner::Banners;
pub(crate) use banner::{BannerContext, BannerStyle};
use context::SiteContext;
use error::allow;
pub(crate) use error::{ConsentUiError, Rejection};
pub(crate) use error_page::ErrorPage;
use layout::STYLE;
pub(crate) use layout::query_value;
pub(crate) use request_info::RequestInfo;
use responses::{empty, json};
use return_to::is_local_path;
pub(crate) use return_to::referring_page;
use shown_texts::TextVersions;
pub(crate) use shown_texts::shown_texts;

/// The path of the GPC statement (W3C Global Privacy Control section 4).
const GPC_PATH: &str = "/.well-known/gpc.json";

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Cache lifetime of files that may change with the version of consentry or the config.
const HOUR: &str = "max-age=3600";
/// Cache lifetime of files with a version in their URL.
const FOR_EVER: &str = "max-age=31536000, immutable";

/// The consent UI of one site.
#[derive(Debug)]
pub struct ConsentUi {
    site: SiteContext,
    /// The banner, if enabled.
    banner: Option<Banners>,
    /// The guard script, if enabled.
    guard: Option<guard::Script>,
    /// The Global Privacy Control statement, if enabled.
    gpc: Option<Bytes>,
}

/// A resource of the consent UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The preference centre.
    Preferences,
    /// The notice.
    Notice,
    /// The stylesheet of both.
    Style,
    /// The stylesheet of the banner.
    BannerStyle,
    /// The guard script, which restricts the storage of page scripts.
    Guard,
    /// Reports of the guard script.
    HeldBack,
    /// The preference centre without the final slash.
    Folder,
    /// The visitor's consent.
    Consent,
    /// The consent API for page scripts.
    Script,
    /// Sets the consent cookie from the site's consent tool.
    Bridge,
    /// The Global Privacy Control statement.
    Gpc,
    /// An unknown path below the prefix.
    Missing,
}

impl Page {
    /// Whether only programs request the resource. Its errors are JSON for every client.
    pub fn is_api(self) -> bool {
        matches!(self, Self::Consent | Self::Bridge | Self::HeldBack | Self::Gpc)
    }
}

impl ConsentUi {
    /// Builds the consent UI of a site from its settings.
    ///
    /// `name` is the site name in the receipts, which are sent to `receipts`. `page` has the
    /// settings for rewriting the origin's pages.
    pub fn new(
        name: &str,
        settings: settings::CentreSettings,
        page: &settings::PageSettings,
        filter: Arc<Filter>,
        receipts: Option<Receipts>,
    ) -> Self {
        let reader = &filter.settings().reader;
        let gpc = (claims::honours_gpc(filter.settings()) && settings.gpc_json).then(|| {
            let since = settings.notice_date.map(|date| date.to_string());
            Bytes::from(serde_json::json!({ "gpc": true, "lastUpdate": since }).to_string())
        });
        let texts = match receipts {
            Some(_) => TextVersions::new(name, &settings, reader),
            None => TextVersions::default(),
        };
        let site = SiteContext {
            name: name.to_owned(),
            settings,
            guards_pages: page.guard,
            filter,
            receipts,
            texts,
        };
        Self {
            banner: page.banner.as_ref().map(|banner| Banners::new(&site, banner)),
            guard: page.guard.then(|| guard::script(site.filter.settings())),
            site,
            gpc,
        }
    }

    /// The resource at a path. `None` if the path belongs to the origin.
    pub fn page(&self, path: &str) -> Option<Page> {
        let prefix = self.site.settings.prefix.as_str();
        match path.strip_prefix(prefix) {
            Some("") => Some(Page::Preferences),
            Some("notice") => Some(Page::Notice),
            Some("style.css") => Some(Page::Style),
            Some("banner.css") => Some(Page::BannerStyle),
            Some("guard.js") => Some(Page::Guard),
            Some("held-back") => Some(Page::HeldBack),
            Some("consent") => Some(Page::Consent),
            Some("consent.js") => Some(Page::Script),
            Some("bridge") => Some(Page::Bridge),
            Some(_) => Some(Page::Missing),
            None if prefix.strip_suffix('/') == Some(path) => Some(Page::Folder),
            None => (path == GPC_PATH && self.gpc.is_some()).then_some(Page::Gpc),
        }
    }

    /// Handles a request for a resource.
    ///
    /// # Errors
    /// If the request is rejected.
    pub async fn respond<B>(
        &self,
        page: Page,
        request: Request<B>,
        info: RequestInfo,
    ) -> Result<Response<Bytes>, Rejection>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let site = &self.site;
        let result = match page {
            Page::Preferences if request.method() == Method::POST => {
                return preferences::post(site, request, info).await;
            }
            Page::Preferences => {
                allow(request.method(), &[Method::GET, Method::HEAD, Method::POST])
                    .and_then(|()| preferences::page(site, request.uri(), request.headers(), info))
            }
            Page::Notice => allow(request.method(), &[Method::GET, Method::HEAD])
                .and_then(|()| notice::page(site, request.uri(), request.headers(), info)),
            Page::Style => fixed(request.method(), CSS, Bytes::from_static(STYLE.as_bytes()), HOUR),
            Page::BannerStyle => match &self.banner {
                Some(banners) => {
                    let style = banners.stylesheet(request.uri().query());
                    fixed(request.method(), CSS, style, HOUR)
                }
                None => Err(ConsentUiError::Missing),
            },
            Page::Guard => match &self.guard {
                Some(guard) => {
                    let current = request.uri().query() == Some(guard.version.as_str());
                    let cache = if current { FOR_EVER } else { HOUR };
                    // `gzip;q=0` is not considered: no browser sends it.
                    let accepts = has_member(request.headers(), &ACCEPT_ENCODING, "gzip");
                    let gzip = guard.gzip.clone().filter(|_| accepts);
                    let coded = gzip.is_some();
                    let text = gzip.unwrap_or_else(|| guard.text.clone());
                    fixed(request.method(), SCRIPT, text, cache).map(|mut response| {
                        let headers = response.headers_mut();
                        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
                        if coded {
                            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                        }
                        response
                    })
                }
                None => Err(ConsentUiError::Missing),
            },
            Page::HeldBack if self.guard.is_none() => Err(ConsentUiError::Missing),
            Page::HeldBack => blocked_report::respond(site, request, info).await,
            Page::Folder => Ok(folder(&site.settings.prefix)),
            Page::Consent => api::respond(site, request, info).await,
            Page::Script if !site.settings.api => Err(ConsentUiError::Off("centre.api")),
            Page::Script => {
                let script = include_bytes!("consent_ui/script/consent.js");
                fixed(request.method(), SCRIPT, Bytes::from_static(script), HOUR)
            }
            Page::Bridge => bridge::respond(site, request, info).await,
            Page::Gpc => self.gpc(request.method()),
            Page::Missing => Err(ConsentUiError::Missing),
        };
        result.map_err(Rejection::from)
    }

    /// The path prefix of all resources.
    pub fn prefix(&self) -> &str {
        &self.site.settings.prefix
    }

    /// The languages of the site.
    pub fn locales(&self) -> &Locales {
        &self.site.settings.locales
    }

    /// The visitor's consent. For `trusted` and `now`, see [`RequestInfo`].
    pub(crate) fn consent(&self, fields: &impl Fields, trusted: bool, now: i64) -> Consent {
        self.site.consent(fields, trusted, now)
    }

    /// The language for a visitor, by `Accept-Language`.
    pub fn locale(&self, accept_language: Option<&str>) -> Option<&Arc<Locale>> {
        self.site.settings.locales.choose(None, accept_language)
    }

    /// The banner for one page, in ASCII.
    pub fn banner(&self, of: BannerContext<'_>) -> Option<String> {
        let return_to = of.return_to.and_then(is_local_path);
        self.banner.as_ref()?.markup(&self.site, BannerContext { return_to, ..of })
    }

    /// The guard's script tag for a visitor who granted these categories.
    pub fn guard_tag(&self, granted: CategorySet, nonce: Option<&str>) -> Option<String> {
        let guard = self.guard.as_ref()?;
        let granted = self.site.reader().categories.names_of(granted).join(" ");
        let nonce = nonce.filter(|nonce| {
            nonce.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>&".contains(&byte))
        });
        let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
        let observes = if self.observes() { " data-observe" } else { "" };
        let (prefix, version) = (&self.site.settings.prefix, &guard.version);
        Some(format!(
            "<script src=\"{prefix}guard.js?{version}\" data-granted=\"{granted}\"{observes}{nonce}></script>"
        ))
    }

    /// Whether pages only get the guard script, which then only reports (observe mode).
    pub fn observes(&self) -> bool {
        self.site.filter.settings().mode == settings::Mode::Observe
    }

    /// Whether the set contains all of the site's categories.
    pub fn grants_all(&self, granted: CategorySet) -> bool {
        self.site.reader().categories.all().difference(granted) == CategorySet::EMPTY
    }

    /// The site's filter.
    pub fn filter(&self) -> &Arc<Filter> {
        &self.site.filter
    }

    fn gpc(&self, method: &Method) -> Result<Response<Bytes>, ConsentUiError> {
        allow(method, &[Method::GET, Method::HEAD])?;
        let statement = self.gpc.clone().unwrap_or_default();
        let mut response = json(StatusCode::OK, statement);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        Ok(response)
    }
}

/// A file that is the same for every visitor.
fn fixed(
    method: &Method,
    media_type: &'static str,
    text: Bytes,
    cache: &'static str,
) -> Result<Response<Bytes>, ConsentUiError> {
    allow(method, &[Method::GET, Method::HEAD])?;
    let mut response = json(StatusCode::OK, text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    Ok(response)
}

/// Redirects to the preference centre with the final slash.
fn folder(prefix: &str) -> Response<Bytes> {
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    if let Ok(prefix) = HeaderValue::from_str(prefix) {
        response.headers_mut().insert(LOCATION, prefix);
    }
    response
}
