//! Common layout of the HTML pages: language, return path, response header fields.

use askama::Template;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, Uri};

use super::claims::Claims;
use super::context::SiteContext;
use super::error::ConsentUiError;
use super::request_info::RequestInfo;
use super::return_to::{back, is_local_path};
use crate::config::settings::{CentreSettings, SiteOperator};
use crate::locale::{Locale, Locales, Texts};

/// Content Security Policy: own stylesheet and forms to this site only. No scripts, no embedding in
/// frames.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The stylesheet of all pages.
pub(super) const STYLE: &str = include_str!("style.css");

/// The common layout.
pub(super) struct Layout<'a> {
    /// The path prefix of the consent UI.
    pub(super) prefix: &'a str,
    /// The path of the page.
    pub(super) path: String,
    pub(super) locales: &'a Locales,
    pub(super) locale: &'a Locale,
    /// The page to return to.
    pub(super) return_to: Option<String>,
    pub(super) operator: &'a SiteOperator,
    pub(super) claims: Claims,
}

impl<'a> Layout<'a> {
    /// The layout of a page below the prefix, for a request.
    pub(super) fn new(
        site: &'a SiteContext,
        page: &str,
        uri: &Uri,
        headers: &HeaderMap,
        info: RequestInfo,
    ) -> Result<Self, ConsentUiError> {
        let CentreSettings { prefix, locales, operator, .. } = &site.settings;
        let requested = queried(uri, "lang");
        let locale = in_language(locales, requested.as_deref(), headers)?;
        let named = queried(uri, "return_to").filter(|back| is_local_path(back).is_some());
        let return_to = back(named.as_deref(), headers, prefix).map(str::to_owned);
        let path = format!("{prefix}{page}");
        let claims = Claims::new(site, headers, info);
        Ok(Self { prefix, path, locales, locale, return_to, operator, claims })
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.locale.texts
    }

    /// The text of links to the preference centre.
    pub(super) fn centre_title(&self) -> &str {
        self.claims.centre_title(self.texts())
    }

    /// The query for this page in a language, with the return path.
    pub(super) fn query_in(&self, tag: &str) -> String {
        query(tag, self.return_to.as_deref())
    }

    /// Renders the page as a response that must not be stored.
    pub(super) fn respond(&self, page: &impl Template) -> Result<Response<Bytes>, ConsentUiError> {
        let text = page.render().map_err(|_| ConsentUiError::Template)?;
        let mut response = Response::new(Bytes::from(text));
        let headers = response.headers_mut();
        let fixed = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // With `no-referrer`, browsers would send `Origin: null` when a form is posted.
            (REFERRER_POLICY, "same-origin"),
            (VARY, "Cookie, Accept-Language, Sec-GPC"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Ok(tag) = HeaderValue::from_str(&self.locale.tag) {
            headers.insert(CONTENT_LANGUAGE, tag);
        }
        Ok(response)
    }
}

/// The query for a page in a language, with the return path.
pub(super) fn query(tag: &str, return_to: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("lang", tag);
    if let Some(back) = return_to {
        query.append_pair("return_to", back);
    }
    query.finish()
}

/// The language for a visitor.
pub(super) fn in_language<'a>(
    locales: &'a Locales,
    requested: Option<&str>,
    headers: &HeaderMap,
) -> Result<&'a Locale, ConsentUiError> {
    let accepted = headers.get(http::header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
    locales.choose(requested, accepted).map(|locale| &**locale).ok_or(ConsentUiError::Template)
}

/// The value of a query parameter.
pub(super) fn queried(uri: &Uri, name: &str) -> Option<String> {
    query_value(uri.query()?, name)
}

/// The value of a parameter in a query.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
