//! Request body as received from the client.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
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
    /// A body whose first frames have been read.
    Started(Box<StartedBody>),
}

/// The frames that have been read, and the rest of the body.
#[derive(Debug)]
pub(crate) struct StartedBody {
    read: VecDeque<Frame<Bytes>>,
    rest: ClientBody,
}

impl ClientBody {
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Started(body) => body.read.is_empty() && body.rest.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Started(body) => hint_with(body.read_bytes(), &body.rest.size_hint()),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => body.poll_frame(context),
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http2),
            Self::Started(body) => match body.read.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => body.rest.poll_frame(context),
            },
        }
    }

    /// Reads frames until the body has ended or `most` bytes have been read. Returns the bytes, and
    /// the whole body.
    ///
    /// # Errors
    /// If the body is malformed or truncated.
    pub(crate) async fn read_start(self, most: usize) -> Result<(Vec<u8>, Self), BodyError> {
        let mut body = Box::new(StartedBody { read: VecDeque::new(), rest: self });
        while body.read_bytes() < most
            && let Some(frame) = poll_fn(|context| body.rest.poll_frame(context)).await
        {
            body.read.push_back(frame?);
        }
        let data = body.read.iter().filter_map(Frame::data_ref);
        let start = data.flatten().copied().take(most).collect();
        Ok((start, Self::Started(body)))
    }
}

impl StartedBody {
    fn read_bytes(&self) -> usize {
        self.read.iter().filter_map(Frame::data_ref).map(Bytes::len).sum()
    }
}
