//! Errors of request bodies and of upstream responses.

use std::error::Error;
use std::io;

use thiserror::Error;

use crate::http::chunked::ChunkError;
use crate::http::framing::FramingError;
use crate::http::head::HeadError;

/// Why a request body was not forwarded to its end.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    #[error("connection failed before the end of the body")]
    Io(#[from] io::Error),
    #[error("client closed the connection before the end of the body")]
    Incomplete,
    #[error("invalid chunked body: {0}")]
    Chunk(#[from] ChunkError),
    #[error("invalid trailer section: {0}")]
    Trailers(#[from] HeadError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
    #[error("body larger than limits.body_bytes")]
    TooLarge,
    #[error("body length differs from Content-Length")]
    Length,
    /// A later attempt to send the request has taken over the body.
    #[error("superseded by a retry")]
    Superseded,
}

/// Why a response is missing or incomplete.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("connection failed")]
    Io(#[from] io::Error),
    #[error("upstream closed the connection before the response")]
    Closed,
    #[error("upstream closed the connection before the end of the response")]
    Incomplete,
    #[error("invalid response head: {0}")]
    Head(#[from] HeadError),
    #[error("response head too large")]
    HeadTooLarge,
    #[error("invalid framing: {0}")]
    Framing(#[from] FramingError),
    #[error("invalid chunked body: {0}")]
    Chunk(#[from] ChunkError),
    #[error("request body failed")]
    RequestBody(#[from] BodyError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

impl UpstreamError {
    /// Whether an HTTP/2 upstream reports that it has not processed the request.
    ///
    /// The report is a RST_STREAM with REFUSED_STREAM or HTTP_1_1_REQUIRED, or a GOAWAY. The last
    /// stream identifier of the GOAWAY must be lower than the request's. h2 reports a GOAWAY for no
    /// other streams (RFC 9113 sections 6.8 and 8.7).
    pub(crate) fn was_not_processed(&self) -> bool {
        self.http2().is_some_and(|error| {
            let refused = matches!(
                error.reason(),
                Some(h2::Reason::REFUSED_STREAM | h2::Reason::HTTP_1_1_REQUIRED)
            );
            error.is_remote() && (error.is_go_away() || refused)
        })
    }

    /// Whether the upstream rejected the request because it requires HTTP/1.1.
    pub(crate) fn requires_http1(&self) -> bool {
        self.http2().is_some_and(|error| error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED))
    }

    /// Returns the h2 error in the chain of causes.
    fn http2(&self) -> Option<&h2::Error> {
        let Self::Http2(error) = self else { return None };
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref() {
                return Some(error);
            }
            cause = error.source();
        }
        None
    }
}
