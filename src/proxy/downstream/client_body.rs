//! Request body as received from the client.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::filter::hint_with;
use crate::proxy::downstream::http1_client::Http1RequestBody;
use crate::proxy::upstream::failure::BodyError;

/// Request body as received from the client.
#[derive(Debug)]
pub(crate) enum ClientBody {
    Http1(Http1RequestBody),
    Http2(Incoming),
    /// A body whose start has been read.
    Started(Box<StartedBody>),
}

/// The start of a body, and the rest.
#[derive(Debug)]
pub(crate) struct StartedBody {
    start: Bytes,
    /// Trailers that have been read. The rest is then empty.
    trailers: Option<HeaderMap>,
    rest: ClientBody,
}

impl ClientBody {
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Started(body) => {
                body.start.is_empty() && body.trailers.is_none() && body.rest.is_end_stream()
            }
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Started(body) => hint_with(body.start.len(), &body.rest.size_hint()),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => body.poll_frame(context),
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http2),
            Self::Started(body) => {
                let read = std::mem::take(&mut body.start);
                if !read.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(read))));
                }
                match body.trailers.take() {
                    Some(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                    None => body.rest.poll_frame(context),
                }
            }
        }
    }

    /// Reads until the body has ended or `least` bytes have been read. Returns the bytes, and the
    /// whole body. Keeps no empty frames, because a client can send any number of them.
    ///
    /// # Errors
    /// If the body is malformed or truncated.
    pub(crate) async fn read_start(mut self, least: usize) -> Result<(Bytes, Self), BodyError> {
        let (mut start, mut trailers) = (BytesMut::new(), None);
        while start.len() < least
            && let Some(frame) = poll_fn(|context| self.poll_frame(context)).await
        {
            match frame?.into_data() {
                Ok(data) => start.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let start = start.freeze();
        let body = StartedBody { start: start.clone(), trailers, rest: self };
        Ok((start, Self::Started(Box::new(body))))
    }
}
