//! What all pages for people have in common: the language, the way back, the head fields.

use askama::Template;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, Uri};

use super::error::CentreError;
use super::return_to::{back, local};
use crate::locale::{Locale, Locales, Texts};

/// What a page may do: show our own style and post to this site. No script, no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The style of all pages.
pub(super) const STYLE: &str = include_str!("style.css");

/// What all pages have in common.
pub(super) struct Frame<'a> {
    /// What the paths of our own pages begin with.
    pub(super) prefix: &'a str,
    /// The page's own path.
    pub(super) path: String,
    pub(super) locales: &'a Locales,
    pub(super) locale: &'a Locale,
    /// Where the visitor came from.
    pub(super) return_to: Option<String>,
}

impl<'a> Frame<'a> {
    /// The frame of a page below the prefix, for a request.
    pub(super) fn new(
        prefix: &'a str,
        page: &str,
        locales: &'a Locales,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, CentreError> {
        let asked = queried(uri, "lang");
        let locale = in_language(locales, asked.as_deref(), headers)?;
        let named = queried(uri, "return_to").filter(|back| local(back).is_some());
        let return_to = back(named.as_deref(), headers, prefix).map(str::to_owned);
        Ok(Self { prefix, path: format!("{prefix}{page}"), locales, locale, return_to })
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.locale.texts
    }

    /// The query that asks for a page in a language, with the way back.
    pub(super) fn query_in(&self, tag: &str) -> String {
        query(tag, self.return_to.as_deref())
    }

    /// The page as an answer that nobody stores.
    pub(super) fn respond(&self, page: &impl Template) -> Result<Response<Bytes>, CentreError> {
        let text = page.render().map_err(|_| CentreError::Template)?;
        let mut response = Response::new(Bytes::from(text));
        let headers = response.headers_mut();
        let fixed = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // With `no-referrer` browsers say `Origin: null` of a form's post.
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

/// The query that asks for a page in a language, with the way back.
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
    asked: Option<&str>,
    headers: &HeaderMap,
) -> Result<&'a Locale, CentreError> {
    let accepted = headers.get(http::header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
    locales.choose(asked, accepted).map(|locale| &**locale).ok_or(CentreError::Template)
}

/// A value of the query.
pub(super) fn queried(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
