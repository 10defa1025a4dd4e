//! Why a message is not carried to its end.

use std::io;

use thiserror::Error;

use crate::http::chunked::ChunkError;
use crate::http::framing::FramingError;
use crate::http::head::HeadError;

/// Why a request's body is not forwarded to its end.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    #[error("the connection failed in the middle of the body")]
    Io(#[from] io::Error),
    #[error("the client closed the connection in the middle of the body")]
    Incomplete,
    #[error("invalid chunked body: {0}")]
    Chunk(#[from] ChunkError),
    #[error("invalid trailer section: {0}")]
    Trailers(#[from] HeadError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
    #[error("the body is larger than the site takes")]
    TooLarge,
    #[error("the body is not as long as was announced")]
    Length,
}

/// Why there is no response, or not all of it.
#[derive(Debug, Error)]
pub(super) enum UpstreamError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the upstream closed the connection before it had answered")]
    Closed,
    #[error("the upstream broke off")]
    Incomplete,
    #[error("invalid response head: {0}")]
    Head(#[from] HeadError),
    #[error("the response head is too large")]
    HeadTooLarge,
    #[error("invalid framing: {0}")]
    Framing(#[from] FramingError),
    #[error("invalid chunked body: {0}")]
    Chunk(#[from] ChunkError),
    #[error("the request body failed")]
    RequestBody(#[from] BodyError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}
