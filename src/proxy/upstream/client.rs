//! HTTP client for one upstream connection: sequential requests over HTTP/1.1, concurrent requests
//! over HTTP/2.
//!
//! Each version needs its own form of a request. The version is known only after the TLS handshake
//! (ALPN).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::header::{CONNECTION, EXPECT, HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_util::io::InspectReader;

use crate::config::settings::Limits;
use crate::http::{Fields, Request, Response};
use crate::proxy::http1_io::ReadSizes;
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::request_body::{RetryBody, UpstreamRequestBody};
use crate::proxy::socket_io::SocketIo;
use crate::proxy::upstream::failure::UpstreamError;
use crate::proxy::upstream::http1_connection::{Http1Upstream, UpstreamHead, is_idempotent};
use crate::proxy::upstream::http2_ping::PingStream;

/// Maximum concurrent requests on one HTTP/2 connection, unless the upstream allows fewer.
const MAX_STREAMS: usize = 100;
/// Flow-control windows for response bodies, per stream and per connection (RFC 9113 section 6.9).
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Maximum wait for the answer to a PING. After that the connection is closed.
const MAX_PONG_WAIT: Duration = Duration::from_secs(10);

/// The response future of an HTTP/2 request.
type Http2Response = Pin<
    Box<
        dyn Future<
                Output = Result<
                    http::Response<Incoming>,
                    TrySendError<http::Request<UpstreamRequestBody>>,
                >,
            > + Send,
    >,
>;

/// A pending HTTP/2 response, with a copy of the request for a retry.
pub(crate) struct PendingResponse {
    response: Http2Response,
    copy: Option<RequestCopy>,
}

/// A copy of a sent request, for a second attempt.
struct RequestCopy {
    head: Request<()>,
    body: RetryBody,
}

/// A connection to an upstream, over HTTP/1.1 or HTTP/2.
pub(crate) enum UpstreamClient {
    Http1(Box<Http1Upstream>),
    /// With the pending response.
    Http2(Http2Connection, Option<Box<PendingResponse>>),
}

impl std::fmt::Debug for UpstreamClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamClient").finish_non_exhaustive()
    }
}

/// The response head for a request.
#[derive(Debug)]
pub(crate) enum UpstreamResponse {
    /// An interim response; another head follows.
    Interim(Box<Response<()>>),
    /// A final HTTP/1.1 response. Its body is read from the connection.
    Http1(Box<Response<()>>),
    Http2(Box<Response<Incoming>>),
}

/// A failed request.
#[derive(Debug)]
pub(crate) struct FailedRequest {
    pub(crate) error: UpstreamError,
    /// The request, if it may be retried.
    pub(crate) retryable: Option<Request<UpstreamRequestBody>>,
}

/// An HTTP/2 connection, shared by concurrent requests.
#[derive(Debug, Clone)]
pub(crate) struct Http2Connection {
    sender: http2::SendRequest<UpstreamRequestBody>,
    streams: Arc<Streams>,
    scheme: Scheme,
}

/// State of the streams on an HTTP/2 connection.
#[derive(Debug)]
struct Streams {
    open: AtomicUsize,
    /// The stream limit: the upstream's limit or `MAX_STREAMS`, whichever is lower.
    most: AtomicUsize,
    /// A response has timed out, and no byte has arrived since.
    silent: AtomicBool,
    /// Wakes the connection's task.
    task: AtomicWaker,
}

/// Permit for one stream on an HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct StreamPermit(Arc<Streams>);

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Http2Connection {
    /// Reserves a stream; `None` if the connection is full, silent or closed.
    pub(crate) fn reserve_stream(&self) -> Option<StreamPermit> {
        let Streams { open, most, silent, .. } = &*self.streams;
        let full = open.load(Relaxed) >= most.load(Relaxed);
        if self.sender.is_closed() || full || silent.load(Relaxed) {
            return None;
        }
        open.fetch_add(1, Relaxed);
        Some(StreamPermit(Arc::clone(&self.streams)))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.streams.open.load(Relaxed) == 0
    }
}

/// Performs the HTTP/2 handshake on a socket and spawns the connection's task.
pub(crate) async fn http2(
    socket: SocketIo,
    scheme: Scheme,
    limits: &Limits,
) -> Result<UpstreamClient, ProxyError> {
    let header_list = u32::try_from(limits.header_bytes.max(64 * 1024)).unwrap_or(u32::MAX);
    let streams = Arc::new(Streams {
        open: AtomicUsize::new(0),
        most: AtomicUsize::new(MAX_STREAMS),
        silent: AtomicBool::new(false),
        task: AtomicWaker::new(),
    });
    let reader_streams = Arc::clone(&streams);
    let socket = InspectReader::new(socket, move |_| reader_streams.silent.store(false, Relaxed));
    let (socket, mut pinger) = PingStream::new(socket, MAX_PONG_WAIT);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(header_list)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(|error| ProxyError::Upstream(error.into()))?;
    let task_streams = Arc::clone(&streams);
    let mut connection = Box::pin(connection);
    tokio::spawn(std::future::poll_fn(move |context| {
        task_streams.task.register(context.waker());
        let polled = connection.as_mut().poll(context);
        // The stream limit comes from the upstream's SETTINGS (RFC 9113 section 6.5.2) and is
        // updated at each poll. Requests sent before the SETTINGS arrive wait inside h2.
        task_streams.most.store(connection.current_max_send_streams().min(MAX_STREAMS), Relaxed);
        match polled {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => pinger.poll(task_streams.silent.load(Relaxed), context),
        }
    }));
    Ok(UpstreamClient::Http2(Http2Connection { sender, streams, scheme }, None))
}

impl UpstreamClient {
    /// Starts to send a request, in the form for the connection's HTTP version.
    ///
    /// The response is obtained with [`Self::poll_response`]. `reads` are the read sizes for an
    /// HTTP/1.1 response.
    ///
    /// # Errors
    /// If the host is not valid in HTTP/2.
    pub(crate) fn start(
        &mut self,
        mut request: Request<UpstreamRequestBody>,
        reads: ReadSizes,
    ) -> Result<(), ProxyError> {
        match self {
            Self::Http1(connection) => {
                to_origin_form(&mut request);
                connection.start(request, reads);
            }
            Self::Http2(shared, response) => {
                fit_http2(&mut request, shared.scheme.clone())?;
                let copy = Some(RequestCopy::of(&mut request));
                let mut request = request.into_http();
                *request.version_mut() = Version::HTTP_2;
                let sent = Box::pin(shared.sender.try_send_request(request));
                *response = Some(Box::new(PendingResponse { response: sent, copy }));
            }
        }
        Ok(())
    }

    /// Drives the request until a response head has arrived.
    pub(crate) fn poll_response(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<UpstreamResponse, Box<FailedRequest>>> {
        match self {
            Self::Http1(connection) => Poll::Ready(match ready!(connection.poll_head(context)) {
                Ok(UpstreamHead::Interim(response)) => Ok(UpstreamResponse::Interim(response)),
                Ok(UpstreamHead::Final(response)) => Ok(UpstreamResponse::Http1(response)),
                Err(error) => {
                    Err(Box::new(FailedRequest { error, retryable: connection.take_retryable() }))
                }
            }),
            Self::Http2(_, response) => {
                let Some(pending) = response else {
                    let error = UpstreamError::Closed;
                    return Poll::Ready(Err(Box::new(FailedRequest { error, retryable: None })));
                };
                let response_head = ready!(pending.response.as_mut().poll(context));
                let copy = pending.copy.take();
                *response = None;
                Poll::Ready(match response_head {
                    Ok(response) => {
                        Ok(UpstreamResponse::Http2(Box::new(Response::from_http(response))))
                    }
                    Err(mut failed) => {
                        let unsent = failed.take_message().map(Request::from_http);
                        let error = failed.into_error();
                        let response_started = error.is_parse() || error.is_user();
                        let error = UpstreamError::from(error);
                        let retryable = unsent.or_else(|| copy?.after(&error, response_started));
                        Err(Box::new(FailedRequest { error, retryable }))
                    }
                })
            }
        }
    }

    /// Records a response timeout.
    ///
    /// An HTTP/2 upstream gets a PING. The connection accepts no other request until a byte arrives
    /// on it.
    pub(crate) fn timed_out(&self) {
        if let Self::Http2(shared, _) = self {
            shared.streams.silent.store(true, Relaxed);
            shared.streams.task.wake();
        }
    }

    /// Whether another request can be sent.
    pub(crate) fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_ready(),
            Self::Http2(shared, _) => !shared.is_closed(),
        }
    }

    /// Waits for the status of the final response to a request without a body.
    pub(crate) async fn final_status(&mut self) -> Result<http::StatusCode, UpstreamError> {
        loop {
            let response_head = std::future::poll_fn(|context| self.poll_response(context)).await;
            match response_head.map_err(|failed| failed.error)? {
                UpstreamResponse::Interim(_) => {}
                UpstreamResponse::Http1(response) => return Ok(response.status),
                UpstreamResponse::Http2(response) => return Ok(response.status),
            }
        }
    }
}

impl RequestCopy {
    fn of(request: &mut Request<UpstreamRequestBody>) -> Self {
        let head = Request {
            method: request.method.clone(),
            uri: request.uri.clone(),
            raw_target: request.raw_target.clone(),
            fields: request.fields.clone(),
            body: (),
        };
        Self { head, body: request.body.make_replayable() }
    }

    /// Returns the request, if it may be retried after this error.
    ///
    /// The retry is safe if the upstream has not processed the request. A request without a body
    /// that is idempotent (RFC 9110 section 9.2.2) may also be retried unless `response_started`.
    fn after(
        self,
        error: &UpstreamError,
        response_started: bool,
    ) -> Option<Request<UpstreamRequestBody>> {
        let idempotent = self.body.is_empty() && is_idempotent(&self.head.method);
        if !(idempotent && !response_started || error.was_not_processed()) {
            return None;
        }
        let body = self.body.body()?;
        Some(self.head.map(|()| body))
    }
}

/// Converts the target to origin-form, and moves its authority to `Host` (RFC 9112 section 3.2.1).
fn to_origin_form<B>(request: &mut Request<B>) {
    let Some(authority) = request.uri.authority().cloned() else { return };
    request.uri = Uri::from(path_of(&request.uri));
    if !request.fields.has(&HOST) {
        request.fields.append(&HOST, authority.as_str());
    }
}

/// Converts the target to HTTP/2 pseudo-header form, and removes `Host` and connection-specific
/// fields (RFC 9113 sections 8.2.2 and 8.3.1).
fn fit_http2<B>(request: &mut Request<B>, scheme: Scheme) -> Result<(), ProxyError> {
    request.fields.remove(&CONNECTION);
    request.fields.remove(&UPGRADE);
    // The body is sent at once.
    request.fields.remove(&EXPECT);
    let authority = match request.fields.value(&HOST) {
        Some(host) => Authority::try_from(host).map_err(|_| ProxyError::BadHost)?,
        None => request.uri.authority().cloned().ok_or(ProxyError::BadHost)?,
    };
    request.fields.remove(&HOST);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_of(&request.uri));
    request.uri = Uri::from_parts(parts).map_err(|_| ProxyError::BadHost)?;
    Ok(())
}

fn path_of(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FieldSection;
    use http::Method;

    fn request(path: &'static str, fields: &[(&str, &str)]) -> Request<()> {
        let request = Request::new(Method::GET, Uri::from_static(path), ());
        Request { fields: FieldSection::from_lines(fields), ..request }
    }

    #[test]
    fn requests_convert_between_http_1_and_http_2() {
        let fields = [("host", "shop.example:8080"), ("te", "trailers"), ("connection", "te")];
        let mut request = request("/a?b=c", &fields);
        fit_http2(&mut request, Scheme::HTTPS).expect("a host");
        assert_eq!(request.uri, "https://shop.example:8080/a?b=c");
        assert!(request.fields.names().eq(["te"]));
        // Converted twice, because a request may be retried.
        fit_http2(&mut request, Scheme::HTTP).expect("a host");
        assert_eq!(request.uri, "http://shop.example:8080/a?b=c");
        to_origin_form(&mut request);
        assert_eq!(request.uri, "/a?b=c");
        assert_eq!(request.fields.texts("host"), ["shop.example:8080"]);
    }

    #[test]
    fn hosts_that_are_invalid_in_http_2_are_rejected() {
        let mut request = request("/", &[("host", "a b")]);
        assert!(matches!(fit_http2(&mut request, Scheme::HTTP), Err(ProxyError::BadHost)));
    }
}
