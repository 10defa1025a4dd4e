//! Request errors. `error_response` turns them into responses.

use std::io;
use std::time::Duration;

use http::StatusCode;
use http::header::HeaderValue;
use thiserror::Error;

use crate::config::settings::Upstream;
use crate::http::TargetError;
use crate::http::framing::FramingError;
use crate::http::head::HeadError;
use crate::locale::ErrorTopic;
use crate::proxy::upstream::failure::UpstreamError;
use crate::telemetry::ErrorKind;

/// Why a request got no response from the upstream. Messages never contain a cookie value.
#[derive(Debug, Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    BadHead(HeadError),
    #[error("HTTP version not supported")]
    Version,
    #[error("request header section too large")]
    HeadTooLarge,
    #[error("request target too long")]
    TargetTooLong,
    #[error("the request's body has {0}")]
    BadFraming(FramingError),
    #[error("unknown transfer coding in the request")]
    UnknownCoding,
    #[error("missing or invalid Host")]
    BadHost,
    #[error(transparent)]
    BadTarget(#[from] TargetError),
    #[error("more cookies than limits.cookies")]
    TooManyCookies,
    #[error("request loop: the request has passed this proxy before")]
    Loop,
    #[error("too many header fields: {0}")]
    TooManyFields(usize),
    #[error("CONNECT is not supported")]
    Connect405,
    #[error("TRACE is not supported")]
    Trace405,
    #[error("no site for this host")]
    NoSite,
    #[error("no site for this path")]
    NoPath,
    #[error("body larger than limits.body_bytes")]
    BodyTooLarge,
    #[error("malformed or incomplete request body")]
    BrokenBody,
    #[error("rate limit exceeded")]
    TooManyRequests(Duration),
    #[error("concurrency limit reached")]
    Overloaded,
    #[error("timeout while reading the request")]
    RequestTimeout,
    #[error("cannot connect to upstream {0}")]
    Connect(Upstream, #[source] io::Error),
    #[error("timeout while connecting to upstream {0}")]
    ConnectTimeout(Upstream),
    #[error("the upstream failed")]
    Upstream(#[source] UpstreamError),
    #[error("upstream timed out: no response headers")]
    UpstreamTimeout,
    #[error("upstream switched protocols without a request to")]
    UnaskedUpgrade,
    #[error("the upstream's page has an unknown content coding")]
    Undecodable,
    #[error("internal fault")]
    Internal,
}

impl From<HeadError> for ProxyError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Version => Self::Version,
            error => Self::BadHead(error),
        }
    }
}

impl From<FramingError> for ProxyError {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::UnknownCoding => Self::UnknownCoding,
            error => Self::BadFraming(error),
        }
    }
}

impl ProxyError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadHead(_)
            | Self::BadFraming(_)
            | Self::BadHost
            | Self::BadTarget(_)
            | Self::BrokenBody => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            // RFC 9112 section 6.1.
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::HeadTooLarge | Self::TooManyFields(_) | Self::TooManyCookies => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Connect405 | Self::Trace405 => StatusCode::METHOD_NOT_ALLOWED,
            // This host is not served here (RFC 9110 section 15.5.20).
            Self::NoSite => StatusCode::MISDIRECTED_REQUEST,
            Self::NoPath => StatusCode::NOT_FOUND,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Connect(..) | Self::Upstream(_) | Self::UnaskedUpgrade | Self::Undecodable => {
                StatusCode::BAD_GATEWAY
            }
            Self::ConnectTimeout(_) | Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::BadHead(_)
            | Self::Version
            | Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::BadFraming(_)
            | Self::UnknownCoding
            | Self::BadHost
            | Self::BadTarget(_)
            | Self::TooManyFields(_)
            | Self::TooManyCookies
            | Self::Connect405
            | Self::Trace405
            | Self::NoSite
            | Self::NoPath
            | Self::BodyTooLarge
            | Self::BrokenBody => ErrorKind::BadRequest,
            Self::Loop => ErrorKind::Loop,
            Self::TooManyRequests(_) => ErrorKind::TooManyRequests,
            Self::Overloaded => ErrorKind::Overloaded,
            Self::RequestTimeout => ErrorKind::RequestTimeout,
            Self::Connect(..) => ErrorKind::UpstreamConnect,
            Self::Upstream(_) | Self::UnaskedUpgrade | Self::Undecodable => {
                ErrorKind::UpstreamFailed
            }
            Self::ConnectTimeout(_) | Self::UpstreamTimeout => ErrorKind::UpstreamTimeout,
            Self::Internal => ErrorKind::Internal,
        }
    }

    /// Whether the client connection must be closed after this error.
    pub(crate) fn should_close(&self) -> bool {
        match self {
            Self::RequestTimeout => true,
            Self::NoSite | Self::NoPath | Self::Trace405 => false,
            _ => self.kind() == ErrorKind::BadRequest,
        }
    }

    /// The value of `Retry-After`, in seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyRequests(wait) => Some(seconds(*wait)),
            Self::Overloaded => Some(1),
            _ => None,
        }
    }

    /// Logs the error. `request_id` is also in the response.
    pub(crate) fn log(&self, request_id: &str) {
        let (error, status) = (self, self.status().as_u16());
        match self.kind() {
            ErrorKind::BadRequest
            | ErrorKind::Loop
            | ErrorKind::RequestTimeout
            | ErrorKind::TooManyRequests
            | ErrorKind::Overloaded => {
                tracing::debug!(request_id, status, %error, "rejected a request");
            }
            ErrorKind::Internal => {
                tracing::error!(request_id, status, %error, "rejected a request because of an internal error");
            }
            _ => {
                let cause = std::error::Error::source(self).map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                tracing::warn!(request_id, status, %error, cause, "upstream failed");
            }
        }
    }

    /// The texts on the page for a visitor.
    pub(crate) fn topic(&self) -> ErrorTopic {
        match self {
            Self::BadHead(_)
            | Self::Version
            | Self::BadFraming(_)
            | Self::UnknownCoding
            | Self::BadHost
            | Self::BadTarget(_)
            | Self::Connect405
            | Self::Trace405
            | Self::BrokenBody => ErrorTopic::BadRequest,
            Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::TooManyFields(_)
            | Self::TooManyCookies
            | Self::BodyTooLarge => ErrorTopic::TooLarge,
            Self::NoSite | Self::NoPath => ErrorTopic::NotFound,
            Self::TooManyRequests(_) | Self::Overloaded => ErrorTopic::TooManyRequests,
            Self::Connect(..) | Self::Upstream(_) | Self::UnaskedUpgrade => ErrorTopic::Unreachable,
            Self::RequestTimeout | Self::ConnectTimeout(_) | Self::UpstreamTimeout => {
                ErrorTopic::TimedOut
            }
            Self::Loop | Self::Undecodable | Self::Internal => ErrorTopic::Internal,
        }
    }

    /// The message for a developer, in text and JSON. It contains no internal details.
    pub(crate) fn public_message(&self) -> &'static str {
        match self {
            Self::BadHead(_) => "The head of the request is malformed.",
            Self::Version => "This version of HTTP is not supported.",
            Self::HeadTooLarge => "The head of the request is too large.",
            Self::TargetTooLong => "The request target is too long.",
            Self::BadFraming(_) => "The length of the request body is ambiguous.",
            Self::UnknownCoding => "Unknown transfer coding.",
            Self::BadHost => "The request has no valid host.",
            Self::BadTarget(_) => "The request target is not valid.",
            Self::TooManyFields(_) => "The request has too many header fields.",
            Self::TooManyCookies => "The request has too many cookies.",
            Self::Loop => "The request has passed this proxy before.",
            Self::Connect405 => "CONNECT is not supported.",
            Self::Trace405 => "TRACE is not supported.",
            Self::NoSite => "No site for this host.",
            Self::NoPath => "No site for this path.",
            Self::BodyTooLarge => "The body of the request is too large.",
            Self::BrokenBody => "The body of the request is malformed.",
            Self::TooManyRequests(_) => "Too many requests. Try again later.",
            Self::Overloaded => "Too many requests at a time. Try again later.",
            Self::RequestTimeout => "The request took too long.",
            Self::Connect(..) | Self::Upstream(_) | Self::UnaskedUpgrade => {
                "The site's server cannot be reached."
            }
            Self::ConnectTimeout(_) | Self::UpstreamTimeout => {
                "The site's server did not respond in time."
            }
            Self::Undecodable => "The page has an unknown content coding.",
            Self::Internal => "Internal error.",
        }
    }
}

/// Methods of RFC 9110 section 9.3 and RFC 5789 for `Allow`. Other methods are forwarded too.
pub(crate) const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Rounds up to whole seconds for `Retry-After` (RFC 9110 section 10.2.3).
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}
