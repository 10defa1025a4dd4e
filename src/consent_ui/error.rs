//! Errors of the consent UI. The messages address the developer of the page. Visitors get the texts
//! of [`ErrorTopic`].
//!
//! `proxy` turns these errors into responses.

use http::{Method, StatusCode};
use thiserror::Error;

use crate::locale::ErrorTopic;

/// Why a request to the consent UI is rejected.
#[derive(Debug, Error)]
pub enum ConsentUiError {
    /// Nothing is served at this path.
    #[error("not found")]
    Missing,
    /// The method is not supported.
    #[error("method not allowed")]
    Method(&'static [Method]),
    /// The request does not come from a page of this site.
    #[error("cross-site request rejected: no same-origin Sec-Fetch-Site or Origin")]
    CrossSite,
    /// The browser reports that a script started the request.
    #[error(
        "no user activation: a choice needs a click or a key press, submit a form or call consentry.choose() in its handler"
    )]
    NotActivated,
    /// Disabled. Contains the config key that enables the resource.
    #[error("disabled: set {0} = true in the config")]
    Off(&'static str),
    /// The media type is not supported.
    #[error("the body must be {}", .0.join(" or "))]
    MediaType(&'static [&'static str]),
    /// The body exceeds the limit, in bytes.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// The client disconnected, or sent an invalid body.
    #[error("incomplete body")]
    Broken,
    /// The body is not a valid choice.
    #[error("the body must be {{\"granted\": [\"CATEGORY\", ...], \"time\": TIME}}, time optional")]
    NotAChoice,
    /// The body is not a valid report of the guard.
    #[error(
        "the body must be {{\"cookies\": [NAME, ...], \"storage\": [KEY, ...], \"hosts\": [HOST, ...]}}, each optional"
    )]
    NotAReport,
    /// The body is not a valid form.
    #[error(
        "the form has choice (accept, reject or save), allow for each category, return_to, lang, texts, banner, token"
    )]
    NotAForm,
    /// The return path belongs to another site.
    #[error("return_to must be a path of this site")]
    ReturnTo,
    /// The receipt could not be written.
    #[error("the choice cannot be recorded now: nothing has changed, please try again")]
    NoReceipt,
    /// The page could not be rendered.
    #[error("the page cannot be shown")]
    Template,
    /// Unknown category name.
    #[error("unknown category")]
    UnknownCategory,
    /// The time of the choice is invalid or in the future.
    #[error("the time must be in the past: RFC 3339, or a number of seconds or milliseconds")]
    Time,
    /// The choice is older than this many days and cannot grant anything.
    #[error("the time is more than {0} days ago: consent of that age has expired")]
    TooOld(u32),
    /// The site's sources do not include the native cookie.
    #[error("the consent cookie is not among this site's sources: add \"consentry\" to them")]
    NotASource,
}

impl ConsentUiError {
    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::NotASource | Self::Off(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::CrossSite | Self::NotActivated => StatusCode::FORBIDDEN,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken
            | Self::NotAChoice
            | Self::NotAReport
            | Self::NotAForm
            | Self::ReturnTo
            | Self::UnknownCategory
            | Self::Time
            | Self::TooOld(_) => StatusCode::BAD_REQUEST,
            Self::NoReceipt => StatusCode::SERVICE_UNAVAILABLE,
            Self::Template => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The texts for the visitor.
    pub fn topic(&self) -> ErrorTopic {
        match self.status() {
            StatusCode::NOT_FOUND => ErrorTopic::NotFound,
            StatusCode::FORBIDDEN => ErrorTopic::Forbidden,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorTopic::TooLarge,
            StatusCode::SERVICE_UNAVAILABLE => ErrorTopic::NotSaved,
            StatusCode::INTERNAL_SERVER_ERROR => ErrorTopic::Internal,
            _ => ErrorTopic::BadRequest,
        }
    }

    /// The value of `Allow`, for an unsupported method.
    pub fn allow(&self) -> Option<String> {
        let Self::Method(methods) = self else { return None };
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Some(names.join(", "))
    }
}

/// A rejected request, with the origin of its form if the form could be read.
#[derive(Debug)]
pub struct Rejection {
    /// Why the request is rejected.
    pub error: ConsentUiError,
    /// The language of the form.
    pub lang: Option<String>,
    /// Path and query of the page with the form.
    pub back: Option<String>,
}

impl From<ConsentUiError> for Rejection {
    fn from(error: ConsentUiError) -> Self {
        Self { error, lang: None, back: None }
    }
}

/// Rejects methods other than these.
pub(super) fn allow(method: &Method, methods: &'static [Method]) -> Result<(), ConsentUiError> {
    if methods.contains(method) { Ok(()) } else { Err(ConsentUiError::Method(methods)) }
}
