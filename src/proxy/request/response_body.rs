//! Response bodies before and after the filter: streamed, never buffered as a whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::filter::{FilterBody, hint_with};
use crate::html::{PageBody, PageError};
use crate::http::Response;
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::request_record::RequestRecord;
use crate::proxy::upstream::client::UpstreamClient;
use crate::proxy::upstream::failure::UpstreamError;
use crate::proxy::upstream::http1_connection::Http1Upstream;
use crate::proxy::upstream::pool::PooledConnection;

/// A response body before the filter: the upstream's body, or an error page.
#[derive(Debug)]
pub(crate) enum UpstreamBody {
    Upstream {
        /// The HTTP/2 body; an HTTP/1.1 body is read from `connection`.
        http2: Option<Incoming>,
        /// Released to the pool after a complete body. Dropping it earlier closes the
        /// connection, which cancels the response at the upstream.
        connection: Option<PooledConnection>,
        /// A frame that was read ahead.
        first: Option<FirstFrame>,
        ended: bool,
    },
    Page(Full<Bytes>),
}

/// The first frame of a body. Nearly all are data frames, so all others are boxed.
#[derive(Debug)]
pub(crate) enum FirstFrame {
    Data(Bytes),
    Other(Box<Result<Frame<Bytes>, UpstreamError>>),
}

impl FirstFrame {
    fn of(polled: Result<Frame<Bytes>, UpstreamError>) -> Self {
        match polled.map(Frame::into_data) {
            Ok(Ok(bytes)) => Self::Data(bytes),
            Ok(Err(frame)) => Self::Other(Box::new(Ok(frame))),
            Err(error) => Self::Other(Box::new(Err(error))),
        }
    }

    fn polled(self) -> Result<Frame<Bytes>, UpstreamError> {
        match self {
            Self::Data(bytes) => Ok(Frame::data(bytes)),
            Self::Other(other) => *other,
        }
    }
}

impl UpstreamBody {
    pub(crate) fn upstream(http2: Option<Incoming>, connection: PooledConnection) -> Self {
        Self::Upstream { http2, connection: Some(connection), first: None, ended: false }
    }

    pub(crate) fn page(page: Bytes) -> Self {
        Self::Page(Full::new(page))
    }

    /// Whether the first bytes or the end of the body have arrived. If not, the task is woken when
    /// they arrive.
    pub(crate) fn has_begun(&mut self, context: &mut Context<'_>) -> bool {
        let Self::Upstream { first, .. } = self else { return true };
        if first.is_some() || self.is_end_stream() {
            return true;
        }
        let Poll::Ready(polled) = Pin::new(&mut *self).poll_frame(context) else { return false };
        if let Self::Upstream { first, .. } = self {
            *first = polled.map(FirstFrame::of);
        }
        true
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self.get_mut() {
            Self::Upstream { first: first @ Some(_), .. } => {
                Poll::Ready(first.take().map(FirstFrame::polled))
            }
            Self::Upstream { ended: true, .. } => Poll::Ready(None),
            Self::Upstream { http2, connection, ended, .. } => {
                let polled = match (http2, connection) {
                    (Some(body), _) => {
                        Pin::new(body).poll_frame(context).map_err(UpstreamError::Http2)
                    }
                    (
                        None,
                        Some(PooledConnection {
                            sender: UpstreamClient::Http1(connection), ..
                        }),
                    ) => connection.poll_frame(context),
                    (None, _) => Poll::Ready(None),
                };
                *ended |= matches!(polled, Poll::Ready(None));
                polled
            }
            Self::Page(page) => Pin::new(page).poll_frame(context).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream { first: Some(_), .. } => false,
            Self::Upstream { http2: Some(body), ended, .. } => *ended || body.is_end_stream(),
            Self::Upstream { connection, ended, .. } => {
                *ended || http1(connection).is_none_or(Http1Upstream::is_end_stream)
            }
            Self::Page(page) => page.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream { http2, connection, first, .. } => {
                let rest = match http2 {
                    Some(body) => body.size_hint(),
                    None => http1(connection)
                        .map_or_else(|| SizeHint::with_exact(0), Http1Upstream::size_hint),
                };
                match first {
                    Some(FirstFrame::Data(bytes)) => hint_with(bytes.len(), &rest),
                    _ => rest,
                }
            }
            Self::Page(page) => page.size_hint(),
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        let ended = self.is_end_stream();
        if let Self::Upstream { connection, .. } = self
            && ended
            && let Some(connection) = connection.take()
        {
            connection.release();
        }
    }
}

/// Returns the HTTP/1.1 connection that carries the body.
fn http1(connection: &Option<PooledConnection>) -> Option<&Http1Upstream> {
    match connection.as_ref().map(|connection| &connection.sender) {
        Some(UpstreamClient::Http1(connection)) => Some(connection),
        _ => None,
    }
}

/// The body sent to the client. The request is counted and logged when the body ends.
pub(crate) struct ReplyBody {
    content: ReplyContent,
    /// Nothing is sent: the response is to a HEAD request.
    suppressed: bool,
    record: Box<RequestRecord>,
}

#[expect(clippy::large_enum_variant, reason = "the usual variant costs no allocation")]
enum ReplyContent {
    Filtered(FilterBody<UpstreamBody>),
    Changed(Box<PageBody<FilterBody<UpstreamBody>>>),
    Page(Full<Bytes>),
}

impl ReplyBody {
    pub(crate) fn filtered(body: FilterBody<UpstreamBody>, record: Box<RequestRecord>) -> Self {
        Self { content: ReplyContent::Filtered(body), suppressed: false, record }
    }

    pub(crate) fn changed(
        body: PageBody<FilterBody<UpstreamBody>>,
        record: Box<RequestRecord>,
    ) -> Self {
        Self { content: ReplyContent::Changed(Box::new(body)), suppressed: false, record }
    }

    pub(crate) fn page(page: Bytes, record: Box<RequestRecord>) -> Self {
        Self { content: ReplyContent::Page(Full::new(page)), suppressed: false, record }
    }

    /// Suppresses content of this proxy, for a response to a HEAD request, and returns its length.
    /// The upstream's responses to HEAD have no content.
    pub(crate) fn suppress(&mut self) -> Option<u64> {
        let length = self.size_hint().exact().filter(|length| *length > 0)?;
        self.suppressed = true;
        Some(length)
    }

    /// Marks the response as complete, because another protocol follows.
    pub(crate) fn upgraded(&mut self) {
        self.record.set_complete();
    }

    /// Replaces a response that broke off with an error response. No byte of it may have been sent.
    pub(crate) fn broke_off(self) -> Response<Self> {
        self.failed(&ProxyError::Upstream(UpstreamError::Incomplete))
    }

    /// Replaces a response with an error response. No byte of it may have been sent.
    pub(crate) fn failed(mut self, error: &ProxyError) -> Response<Self> {
        if let ReplyContent::Changed(body) = &self.content {
            self.record.record_page_outcome(body.outcome());
        }
        let page = Response::from_http(self.record.failed(error));
        self.record.record_status(page.status);
        page.map(|page| {
            self.content = ReplyContent::Page(Full::new(page));
            self
        })
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = PageError<UpstreamError>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.suppressed {
            return Poll::Ready(None);
        }
        let polled = match &mut self.content {
            ReplyContent::Filtered(body) => {
                Pin::new(body).poll_frame(context).map_err(PageError::Inner)
            }
            ReplyContent::Changed(body) => Pin::new(body).poll_frame(context),
            ReplyContent::Page(page) => {
                Pin::new(page).poll_frame(context).map_err(|never| match never {})
            }
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.record.sent(bytes);
            }
            Poll::Ready(Some(Err(_))) => self.record.record_upstream_abort(),
            Poll::Ready(None) => self.record.set_complete(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            _ if self.suppressed => true,
            ReplyContent::Filtered(body) => body.is_end_stream(),
            ReplyContent::Changed(body) => body.is_end_stream(),
            ReplyContent::Page(page) => page.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            _ if self.suppressed => SizeHint::with_exact(0),
            ReplyContent::Filtered(body) => body.size_hint(),
            ReplyContent::Changed(body) => body.size_hint(),
            ReplyContent::Page(page) => page.size_hint(),
        }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.record.set_complete();
        }
        let report = match &self.content {
            ReplyContent::Filtered(body) => Some(body.report()),
            ReplyContent::Changed(body) => {
                self.record.record_page_outcome(body.outcome());
                Some(body.inner().report())
            }
            ReplyContent::Page(_) => None,
        };
        self.record.close(report);
    }
}
