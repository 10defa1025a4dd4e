//! Body of a filtered response: the inner body with filtered trailers, or a local reply. Frames are
//! forwarded as they arrive, without buffering.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::report::Report;
use super::response;
use super::site_filter::Filter;
use crate::clock::unix_now;

pin_project_lite::pin_project! {
    /// The body of a filtered response.
    pub struct FilterBody<B: Body> {
        #[pin]
        inner: Option<B>,
        // Bytes to emit before the inner body: a local reply, or the inspected start of the body.
        prefix: Option<Bytes>,
        // Set if the inner body ended while its start was inspected.
        end: Option<Box<Result<HeaderMap, B::Error>>>,
        filter: Arc<Filter>,
        // Boxed to keep the body small: a response is moved about a dozen times.
        report: Box<Report>,
    }
}

impl<B: Body> FilterBody<B> {
    /// What the filter did with the request and, so far, with the response.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The edits for response trailers that are received separately from the body.
    #[cfg(feature = "ext-proc")]
    pub(crate) fn trailers(&mut self, trailers: &impl crate::http::Fields) -> super::edits::Edits {
        response::filter_trailers(&self.filter, &mut self.report, trailers, unix_now())
    }

    /// A local reply.
    pub(super) fn reply(content: Bytes, filter: Arc<Filter>, report: Box<Report>) -> Self {
        let prefix = (!content.is_empty()).then_some(content);
        Self { inner: None, prefix, end: None, filter, report }
    }

    /// The body of the inner service.
    pub(super) fn inner(inner: B, filter: Arc<Filter>, report: Box<Report>) -> Self {
        Self { inner: Some(inner), prefix: None, end: None, filter, report }
    }

    /// Puts back the inspected start of the inner body. Ignored for a local reply.
    pub(super) fn prepend(&mut self, start: Bytes, end: Option<Result<HeaderMap, B::Error>>) {
        if self.inner.is_some() {
            self.prefix = (!start.is_empty()).then_some(start);
            self.end = end.map(Box::new);
        }
    }
}

impl<B: Body<Data = Bytes>> Body for FilterBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(prefix) = this.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        let frame = match this.end.take() {
            Some(end) => Some((*end).map(Frame::trailers)),
            None => match this.inner.as_pin_mut() {
                None => None,
                Some(inner) => match inner.poll_frame(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(frame) => frame,
                },
            },
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(match frame.into_trailers() {
                Ok(mut trailers) => {
                    let now = unix_now();
                    response::filter_trailers(this.filter, this.report, &trailers, now)
                        .apply(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(data) => data,
            })),
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none()
            && self.end.is_none()
            && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        hint_with(self.prefix.as_ref().map_or(0, Bytes::len), &inner)
    }
}

/// The size hint of a body after prepending these bytes.
pub(crate) fn hint_with(prefix: usize, rest: &SizeHint) -> SizeHint {
    let prefix = prefix as u64;
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(prefix));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(prefix));
    }
    hint
}
