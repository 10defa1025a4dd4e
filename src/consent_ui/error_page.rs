//! The page of an error, in the look of the other pages. No scripts and no subresources: an error
//! page must not depend on a further request.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
};
use http::{Response, StatusCode};
use ring::digest::{SHA256, digest};

use super::layout::STYLE;
use crate::locale::{ErrorTexts, Locale};

/// Content Security Policy: the inline stylesheet and nothing else. Pages may embed the error page
/// in a frame, like the page that it replaces.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'none'; base-uri 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

/// The page of an error.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    /// The language of the page.
    pub locale: &'a Locale,
    /// The texts of the error.
    pub texts: &'a ErrorTexts,
    /// Label and path of the link to the page with the form, after a failed post.
    pub back: Option<(&'a str, &'a str)>,
    /// The status of the response.
    pub status: StatusCode,
    /// The request ID in the log.
    pub request_id: &'a str,
}

impl ErrorPage<'_> {
    /// Renders the page. `None` if that fails.
    pub(crate) fn respond(&self) -> Option<Response<Bytes>> {
        let mut response = Response::new(Bytes::from(self.render().ok()?));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Ok(tag) = HeaderValue::from_str(&self.locale.tag) {
            headers.insert(CONTENT_LANGUAGE, tag);
        }
        Some(response)
    }
}
