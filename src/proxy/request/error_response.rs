//! Error responses of the public listener: the one place that turns errors into responses.
//!
//! Browser navigations get a page in the visitor's language, API clients get JSON, and all other
//! clients get text. The admin listener has its own responses.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode, Uri};

use crate::consent_ui::{ConsentUi, ErrorPage, Rejection, query_value, referring_page};
use crate::http::{Destination, Fields};
use crate::locale::{ErrorTopic, Locales, Texts};
use crate::proxy::request::error::{ALLOWED, ProxyError};

/// Maximum number of media ranges to read in `Accept`.
const MAX_RANGES: usize = 32;

/// The error format that a client prefers, read before the request is moved.
#[derive(Debug, Default)]
pub(crate) enum ErrorFormat {
    /// No preference: text, or JSON for an error of the consent UI.
    #[default]
    Any,
    Text,
    Json,
    /// A page, for a browser navigation.
    Page(Box<Navigation>),
}

/// Facts about a browser navigation for the error page.
#[derive(Debug)]
pub(crate) struct Navigation {
    accept_language: Option<Box<str>>,
    /// Path and query of the page with the form, after a post.
    form: Option<Box<str>>,
}

impl ErrorFormat {
    /// The format for a request, by `Accept` (RFC 9110 section 12.5.1). Only a request whose
    /// response the browser displays gets a page.
    pub(crate) fn by(fields: &impl Fields) -> Self {
        match preferred(fields.value(&ACCEPT).unwrap_or_default()) {
            Some(Preference::Page) if Destination::of(fields).is_page() => {
                let accepted = fields.value(&ACCEPT_LANGUAGE);
                let accepted = accepted.and_then(|value| std::str::from_utf8(value).ok());
                let accept_language = accepted.map(Box::from);
                Self::Page(Box::new(Navigation { accept_language, form: None }))
            }
            Some(Preference::Page | Preference::Text) => Self::Text,
            Some(Preference::Json) => Self::Json,
            None => Self::Any,
        }
    }

    /// Notes the page with the form, for a link back. The fields must have the final `Host`.
    pub(crate) fn note_form(&mut self, method: &Method, fields: &impl Fields) {
        if let Self::Page(navigation) = self
            && !method.is_safe()
        {
            navigation.form = referring_page(fields).map(Box::from);
        }
    }
}

/// The kinds of media types in which an error can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preference {
    Page,
    Json,
    Text,
}

/// The kind with the highest quality in `Accept`. The first one wins among equals.
fn preferred(accept: &[u8]) -> Option<Preference> {
    let mut best = None;
    for range in accept.split(|byte| *byte == b',').take(MAX_RANGES) {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let Some(kind) = parts.next().and_then(kind) else { continue };
        let quality = parts.find_map(quality).unwrap_or(1.0);
        if quality > best.map_or(0.0, |(_, quality)| quality) {
            best = Some((kind, quality));
            if quality >= 1.0 {
                break;
            }
        }
    }
    best.map(|(kind, _)| kind)
}

fn kind(range: &[u8]) -> Option<Preference> {
    let begins = |start: &[u8]| {
        range.get(..start.len()).is_some_and(|part| part.eq_ignore_ascii_case(start))
    };
    let ends = range.len().checked_sub(4).and_then(|at| range.get(at..));
    if range.eq_ignore_ascii_case(b"text/html")
        || range.eq_ignore_ascii_case(b"application/xhtml+xml")
    {
        Some(Preference::Page)
    } else if begins(b"text/") {
        Some(Preference::Text)
    } else if ends.is_some_and(|end| end.eq_ignore_ascii_case(b"json")) {
        Some(Preference::Json)
    } else {
        None
    }
}

/// The value of a `q` parameter. An invalid value counts as 0.
fn quality(parameter: &[u8]) -> Option<f32> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let value = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
    Some(value.filter(|value| (0.0..=1.0).contains(value)).unwrap_or(0.0))
}

/// An error of the public listener.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure<'a> {
    Proxy(&'a ProxyError),
    ConsentUi(&'a Rejection),
}

impl Failure<'_> {
    fn status(self) -> StatusCode {
        match self {
            Self::Proxy(error) => error.status(),
            Self::ConsentUi(rejection) => rejection.error.status(),
        }
    }

    fn topic(self) -> ErrorTopic {
        match self {
            Self::Proxy(error) => error.topic(),
            Self::ConsentUi(rejection) => rejection.error.topic(),
        }
    }

    fn message(self) -> Cow<'static, str> {
        match self {
            Self::Proxy(error) => error.public_message().into(),
            Self::ConsentUi(rejection) => rejection.error.to_string().into(),
        }
    }

    fn json(self, request_id: &str) -> String {
        let status = self.status();
        match self {
            Self::Proxy(_) => {
                let body = serde_json::json!({
                    "status": status.as_u16(),
                    "error": status.canonical_reason().unwrap_or_default(),
                    "message": self.message(),
                    "request_id": request_id,
                });
                format!("{body}\n")
            }
            // The body of the consent API, see docs/consent-api.md.
            Self::ConsentUi(_) => serde_json::json!({ "error": self.message() }).to_string(),
        }
    }

    fn text(self, request_id: &str) -> String {
        let (status, message) = (self.status(), self.message());
        let reason = status.canonical_reason().unwrap_or_default();
        format!("{} {reason}\n\n{message}\nRequest id: {request_id}\n", status.as_u16())
    }
}

/// The request that failed.
#[derive(Debug)]
pub(crate) struct ErrorContext<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) format: &'a ErrorFormat,
    /// The consent UI of the site, once the site is known.
    pub(crate) consent_ui: Option<&'a ConsentUi>,
    /// The languages, if the site is unknown.
    pub(crate) locales: &'a Locales,
}

impl ErrorContext<'_> {
    /// The consent UI, if the request is for one of its resources.
    fn own(&self) -> Option<&ConsentUi> {
        self.consent_ui.filter(|own| own.page(self.uri.path()).is_some())
    }

    /// The page for the visitor. `None` if it cannot be rendered.
    fn page(
        &self,
        failure: Failure<'_>,
        navigation: &Navigation,
        request_id: &str,
    ) -> Option<Response<Bytes>> {
        let posted = match failure {
            Failure::ConsentUi(rejection) => Some(rejection),
            Failure::Proxy(_) => None,
        };
        let locales = self.consent_ui.map_or(self.locales, ConsentUi::locales);
        let requested = posted.and_then(|posted| posted.lang.clone());
        let requested = requested.or_else(|| self.language(navigation));
        let accepted = navigation.accept_language.as_deref();
        let (locale, texts) =
            locales.choose_error(failure.topic(), requested.as_deref(), accepted)?;
        let form = posted.and_then(|posted| posted.back.as_deref());
        let form = form.or(navigation.form.as_deref());
        let back = (!self.method.is_safe()).then(|| self.back(form, &locale.texts));
        ErrorPage { locale, texts, back, status: failure.status(), request_id }.respond()
    }

    /// The language in the URL of the consent UI, or of the page with its form.
    fn language(&self, navigation: &Navigation) -> Option<String> {
        let own = self.own()?;
        let requested = self.uri.query().and_then(|query| query_value(query, "lang"));
        requested.or_else(|| {
            let form = navigation.form.as_deref()?.strip_prefix(own.prefix())?;
            query_value(form.split_once('?')?.1, "lang")
        })
    }

    /// The link to the page with the form, as label and path.
    fn back<'a>(&'a self, form: Option<&'a str>, texts: &'a Texts) -> (&'a str, &'a str) {
        let path = form.unwrap_or_else(|| self.own().map_or("/", ConsentUi::prefix));
        let own = self.consent_ui.is_some_and(|own| path.starts_with(own.prefix()));
        (if own { &texts.preferences_title } else { &texts.back }, path)
    }
}

/// Turns an error into a response for this client.
pub(crate) fn respond(
    failure: Failure<'_>,
    request: &ErrorContext<'_>,
    request_id: &str,
) -> Response<Bytes> {
    let page = request.consent_ui.and_then(|own| own.page(request.uri.path()));
    if page.is_some_and(|page| page.is_api()) {
        return finish(failure, json(failure, request_id));
    }
    let (mut response, vary) = match (request.format, failure) {
        (ErrorFormat::Page(navigation), _) => (
            request
                .page(failure, navigation, request_id)
                .unwrap_or_else(|| text(failure, request_id)),
            "Accept, Accept-Language, Sec-Fetch-Dest, Sec-Fetch-Mode",
        ),
        (ErrorFormat::Json, _) | (ErrorFormat::Any, Failure::ConsentUi(_)) => {
            (json(failure, request_id), "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode")
        }
        (ErrorFormat::Text, _) | (ErrorFormat::Any, Failure::Proxy(_)) => {
            (text(failure, request_id), "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode")
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static(vary));
    finish(failure, response)
}

/// Turns an error into text, for a request that could not be parsed.
pub(crate) fn plain(error: &ProxyError, request_id: &str) -> Response<Bytes> {
    let failure = Failure::Proxy(error);
    finish(failure, text(failure, request_id))
}

fn json(failure: Failure<'_>, request_id: &str) -> Response<Bytes> {
    with_type("application/json", failure.json(request_id))
}

fn text(failure: Failure<'_>, request_id: &str) -> Response<Bytes> {
    with_type("text/plain; charset=utf-8", failure.text(request_id))
}

fn with_type(media_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Adds the status and the fields of every format.
fn finish(failure: Failure<'_>, mut response: Response<Bytes>) -> Response<Bytes> {
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    match failure {
        Failure::Proxy(error) => {
            if let Some(seconds) = error.retry_after() {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            if error.status() == StatusCode::METHOD_NOT_ALLOWED {
                headers.insert(ALLOW, ALLOWED);
            }
            if error.should_close() {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        Failure::ConsentUi(rejection) => {
            let methods = rejection.error.allow().map(HeaderValue::try_from);
            if let Some(Ok(methods)) = methods {
                headers.insert(ALLOW, methods);
            }
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn format(fields: &[(&'static str, &'static str)]) -> ErrorFormat {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        ErrorFormat::by(&headers)
    }

    #[test]
    fn the_preferred_media_type_decides_by_quality_then_by_order() {
        for (accept, expected) in [
            ("application/json", Some(Preference::Json)),
            ("application/problem+json, text/plain", Some(Preference::Json)),
            ("text/html, application/json", Some(Preference::Page)),
            ("text/html;q=0.5, application/json;q=0.9", Some(Preference::Json)),
            ("application/json;q=0.1, TEXT/HTML ; level=1 ; Q=0.2", Some(Preference::Page)),
            ("application/json;q=0, */*", None),
            ("text/html;q=2, application/json;q=0.1", Some(Preference::Json)),
            ("text/html;q=NaN, text/plain;q=0.1", Some(Preference::Text)),
            ("image/avif,image/webp,*/*;q=0.8", None),
            ("text/css,*/*;q=0.1", Some(Preference::Text)),
            ("application/xhtml+xml", Some(Preference::Page)),
            ("json", Some(Preference::Json)),
            ("*/*", None),
            ("", None),
            (";,q=1,;;", None),
        ] {
            assert_eq!(preferred(accept.as_bytes()), expected, "{accept}");
        }
        let late = "image/x,".repeat(MAX_RANGES) + "application/json";
        assert_eq!(preferred(late.as_bytes()), None);
        assert_eq!(preferred(&late.as_bytes()[8..]), Some(Preference::Json));
    }

    #[test]
    fn only_requests_for_a_displayed_page_get_error_pages() {
        let html = ("accept", "text/html,*/*;q=0.8");
        for (fields, expected) in [
            (&[html][..], true),
            (&[html, ("sec-fetch-mode", "navigate")], true),
            (&[html, ("sec-fetch-mode", "cors")], false),
            (&[html, ("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")], true),
            (&[html, ("sec-fetch-dest", "empty"), ("upgrade-insecure-requests", "1")], true),
            (&[html, ("sec-fetch-dest", "empty"), ("sec-fetch-mode", "same-origin")], false),
            (&[html, ("hx-request", "true")], false),
            (&[("accept", "*/*"), ("sec-fetch-mode", "navigate")], false),
        ] {
            let page = matches!(format(fields), ErrorFormat::Page(_));
            assert_eq!(page, expected, "{fields:?}");
        }
        assert!(matches!(format(&[html, ("sec-fetch-mode", "cors")]), ErrorFormat::Text));
        assert!(matches!(format(&[]), ErrorFormat::Any));
    }
}
