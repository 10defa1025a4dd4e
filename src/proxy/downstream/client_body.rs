//! Request body as received from the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::proxy::downstream::http1_client::Http1RequestBody;
use crate::proxy::upstream::failure::BodyError;

/// Request body as received from the client.
#[derive(Debug)]
pub(crate) enum ClientBody {
    Http1(Http1RequestBody),
    Http2(Incoming),
}

impl ClientBody {
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => body.poll_frame(context),
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http2),
        }
    }
}
