//! HTTP/1.1 connection to an upstream, without a task: the waiting request polls it.
//!
//! Request body and response are transferred concurrently: each poll for the response also writes
//! the available request body. The connection is reused only if both messages were transferred
//! completely.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::config::settings::Limits;
use crate::http::body::BodyEncoder;
use crate::http::framing::{self, BodyLength};
use crate::http::head::{self, HeadError, Parsed};
use crate::http::{FieldSection, Fields, Request, Response};
use crate::proxy::http1_body::{BodyPart, Http1Body};
use crate::proxy::http1_io::{Http1Io, ReadSizes};
use crate::proxy::request::request_body::UpstreamRequestBody;
use crate::proxy::socket_io::SocketIo;
use crate::proxy::upstream::failure::{BodyError, UpstreamError};

/// Maximum wait for a 100 response to `Expect: 100-continue`. After that the body is sent anyway
/// (RFC 9110 section 10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);
/// Minimum limits for response heads and trailer sections, even if the limits for requests are
/// lower.
const MIN_HEAD_BYTES: usize = 128 * 1024;
const MIN_FIELDS: usize = 256;

/// The head of a response.
#[derive(Debug)]
pub(crate) enum UpstreamHead {
    /// A status below 200, except 101. Another head follows.
    Interim(Box<Response<()>>),
    Final(Box<Response<()>>),
}

/// An HTTP/1.1 connection to an upstream.
#[derive(Debug)]
pub(crate) struct Http1Upstream {
    io: Http1Io,
    max_head_bytes: usize,
    max_fields: usize,
    exchange: Option<CurrentExchange>,
    /// Both messages of the last exchange are complete, and another one may follow.
    reusable: bool,
}

/// A request in flight.
#[derive(Debug)]
struct CurrentExchange {
    /// The request, until the response begins: a retry may need it.
    request: Option<Box<Request<UpstreamRequestBody>>>,
    head_queued: bool,
    has_body: bool,
    /// The first part of the body has been written, together with the head.
    body_started: bool,
    /// The rest of the body.
    body: Option<UpstreamRequestBody>,
    encoder: BodyEncoder,
    /// The deadline for the upstream's 100 response, while the body waits for it.
    continue_deadline: Option<Pin<Box<Sleep>>>,
    to_head: bool,
    /// A byte of the response has arrived.
    response_started: bool,
    /// Set once the final head has been read.
    response: Option<ResponseState>,
}

#[derive(Debug)]
struct ResponseState {
    body: Http1Body,
    persistent: bool,
}

impl Http1Upstream {
    pub(crate) fn new(socket: SocketIo, limits: &Limits) -> Self {
        Self {
            io: Http1Io::new(socket),
            max_head_bytes: limits.header_bytes.max(MIN_HEAD_BYTES),
            max_fields: limits.header_fields.max(MIN_FIELDS),
            exchange: None,
            reusable: true,
        }
    }

    /// Starts a request. Polling for the response writes it. `reads` are the read sizes for the
    /// response.
    pub(crate) fn start(&mut self, request: Request<UpstreamRequestBody>, reads: ReadSizes) {
        self.reusable = false;
        self.io.begin(reads);
        let to_head = request.method == Method::HEAD;
        self.exchange = Some(CurrentExchange {
            request: Some(Box::new(request)),
            head_queued: false,
            has_body: false,
            body_started: false,
            body: None,
            encoder: BodyEncoder::Sized(0),
            continue_deadline: None,
            to_head,
            response_started: false,
            response: None,
        });
    }

    /// Whether another request can be sent: the last exchange is complete, and no data has arrived
    /// since.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.reusable && self.io.is_quiet()
    }

    /// Whether both messages of the last exchange are complete.
    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Returns the failed request, if it may be retried.
    ///
    /// The retry is safe if no byte of the request was written. A request without a body that is
    /// idempotent may also be retried if nothing was answered (RFC 9110 section 9.2.2).
    pub(crate) fn take_retryable(&mut self) -> Option<Request<UpstreamRequestBody>> {
        let exchange = self.exchange.as_mut()?;
        let mut request = *exchange.request.take()?;
        if self.io.has_written() && (exchange.has_body || !is_idempotent(&request.method)) {
            return None;
        }
        if exchange.has_body {
            request.body = exchange.body.take().filter(UpstreamRequestBody::is_unpolled)?;
        }
        Some(request)
    }

    /// Returns the byte stream after a 101 response, including bytes already read.
    pub(crate) fn into_io(self) -> Http1Io {
        self.io
    }

    /// Writes the request and waits for a response head.
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<UpstreamHead, UpstreamError>> {
        let Self { io, exchange: Some(exchange), .. } = self else {
            return Poll::Ready(Err(UpstreamError::Closed));
        };
        let sent = exchange.send(io, context);
        // An upstream may reject a request and close before it has read all of it. Its response is
        // valid.
        let mut unparsed = !io.unread().is_empty();
        loop {
            if unparsed && let Some(head) = self.parse_head()? {
                return Poll::Ready(Ok(head));
            }
            let Self { io, exchange: Some(exchange), .. } = self else {
                return Poll::Ready(Err(UpstreamError::Closed));
            };
            let read = match io.poll_fill(context) {
                Poll::Ready(read) => read,
                Poll::Pending => {
                    io.compact();
                    sent?;
                    return Poll::Pending;
                }
            };
            match read {
                Ok(0) | Err(_) if exchange.response_started => {
                    return Poll::Ready(Err(UpstreamError::Incomplete));
                }
                Ok(0) => {
                    sent?;
                    return Poll::Ready(Err(UpstreamError::Closed));
                }
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok(new) => {
                    exchange.response_started = true;
                    exchange.request = None;
                    let unread = io.unread();
                    let arrived = unread.get(unread.len().saturating_sub(new)..);
                    // Only a line end completes a head.
                    unparsed = arrived.is_some_and(|new| memchr::memchr(b'\n', new).is_some());
                    if unread.len() > self.max_head_bytes && !unparsed {
                        return Poll::Ready(Err(UpstreamError::HeadTooLarge));
                    }
                }
            }
        }
    }

    /// Parses the head in the unread bytes; `None` if it is incomplete.
    fn parse_head(&mut self) -> Result<Option<UpstreamHead>, UpstreamError> {
        let Self { io, max_head_bytes, max_fields, exchange, .. } = self;
        let Some(exchange) = exchange else { return Ok(None) };
        let to_head = exchange.to_head;
        let unread = io.unread();
        let parsed = head::response(unread, *max_fields, |head| {
            let status = StatusCode::from_u16(head.status).map_err(|_| HeadError::Malformed)?;
            let framing = framing::of_response(head, to_head)?;
            let usual = Some(head.reason) == status.canonical_reason();
            let response = Response {
                status,
                reason: (!usual).then(|| head.reason.into()),
                fields: FieldSection::of(head.fields, unread),
                body: (),
            };
            Ok::<_, UpstreamError>((response, framing))
        })?;
        let (response, framing, length) = match parsed {
            Parsed::Complete(parsed, length) => {
                let (response, framing) = parsed?;
                (response, framing, length)
            }
            Parsed::Partial if unread.len() > *max_head_bytes => {
                return Err(UpstreamError::HeadTooLarge);
            }
            Parsed::Partial => return Ok(None),
        };
        if length > *max_head_bytes {
            return Err(UpstreamError::HeadTooLarge);
        }
        io.consume(length);
        let mut response = Box::new(response);
        let status = response.status;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            if status == StatusCode::CONTINUE {
                exchange.continue_deadline = None;
            }
            return Ok(Some(UpstreamHead::Interim(response)));
        }
        if let BodyLength::Sized(length) = framing.body {
            // One value, whatever was received (RFC 9110 section 8.6).
            response.fields.insert(&CONTENT_LENGTH, length.to_string());
        } else if framing.body != BodyLength::Empty {
            response.fields.remove(&CONTENT_LENGTH);
        }
        let body = Http1Body::new(framing.body, (*max_head_bytes, *max_fields));
        let persistent = framing.persistent && status != StatusCode::SWITCHING_PROTOCOLS;
        exchange.response = Some(ResponseState { body, persistent });
        self.finish();
        Ok(Some(UpstreamHead::Final(response)))
    }

    /// Updates `reusable` once both messages may be complete.
    fn finish(&mut self) {
        let Self { io, exchange, .. } = self;
        let Some(exchange) = exchange else { return };
        if let Some(ResponseState { body, persistent }) = &exchange.response
            && body.has_ended()
        {
            // Bytes after a complete response were not requested.
            let settled = io.unread().is_empty() && !io.has_queued();
            let sent = exchange.body.is_none() && exchange.encoder == BodyEncoder::Sized(0);
            self.reusable = *persistent && settled && sent;
        }
    }

    /// Reads the next frame of the response body, data or trailers.
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let polled = self.poll_body(context);
        self.finish();
        match polled {
            Poll::Ready(Ok(frame)) => Poll::Ready(frame.map(Ok)),
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Pending => {
                self.io.compact();
                Poll::Pending
            }
        }
    }

    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, UpstreamError>> {
        let Self { io, exchange, .. } = self;
        let Some(exchange) = exchange else { return Poll::Ready(Ok(None)) };
        // The upstream may respond without reading the rest of the request.
        let _ = exchange.send(io, context);
        let Some(ResponseState { body, .. }) = &mut exchange.response else {
            return Poll::Ready(Ok(None));
        };
        loop {
            match body.next::<UpstreamError>(io)? {
                BodyPart::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                BodyPart::End => return Poll::Ready(Ok(None)),
                BodyPart::Missing => {}
            }
            if ready!(io.poll_fill(context))? == 0 {
                return Poll::Ready(match body.may_end_with_connection() {
                    true => Ok(None),
                    false => Err(UpstreamError::Incomplete),
                });
            }
        }
    }

    /// Whether no frame of the response is left.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.body().is_none_or(Http1Body::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body().map_or_else(|| SizeHint::with_exact(0), Http1Body::size_hint)
    }

    fn body(&self) -> Option<&Http1Body> {
        self.exchange.as_ref()?.response.as_ref().map(|response| &response.body)
    }
}

impl CurrentExchange {
    /// Writes the available bytes of the request.
    fn send(&mut self, io: &mut Http1Io, context: &mut Context<'_>) -> Result<(), UpstreamError> {
        if let Some(request) = self.request.as_mut().filter(|_| !self.head_queued) {
            self.head_queued = true;
            let head = request_head(request, &mut self.encoder);
            if request.fields.has(&EXPECT) {
                self.continue_deadline = Some(Box::pin(tokio::time::sleep(CONTINUE)));
            }
            let body = std::mem::replace(&mut request.body, UpstreamRequestBody::empty());
            self.body = (!body.is_end_stream()).then_some(body);
            self.has_body = self.body.is_some();
            // The first part of a body is written together with the head.
            match self.body {
                None => io.write(context, [&head, &[]])?,
                Some(_) => io.queue(&head),
            }
        }
        let continue_deadline =
            self.continue_deadline.as_mut().map(|timer| timer.as_mut().poll(context));
        if let Some(Poll::Pending) = continue_deadline {
            let _ = io.poll_drain(context)?;
            return Ok(());
        }
        self.continue_deadline = None;
        while let Some(body) = &mut self.body {
            if io.has_queued() && self.body_started && io.poll_drain(context)?.is_pending() {
                return Ok(());
            }
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => {
                    let ended = body.is_end_stream();
                    self.write_frame(frame, ended, io, context)?;
                    if ended {
                        self.body = None;
                    }
                }
                Poll::Ready(None) => {
                    self.body = None;
                    io.queue(&self.encoder.end(None));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.body = None;
                    return Err(error.into());
                }
            }
        }
        let _ = io.poll_drain(context)?;
        Ok(())
    }

    fn write_frame(
        &mut self,
        frame: Frame<Bytes>,
        ended: bool,
        io: &mut Http1Io,
        context: &mut Context<'_>,
    ) -> Result<(), UpstreamError> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                io.queue(&self.encoder.end(frame.into_trailers().ok().as_ref()));
                return Ok(());
            }
        };
        let longer = || UpstreamError::RequestBody(BodyError::Length);
        let frame = self.encoder.frame(data.len()).ok_or_else(longer)?;
        io.queue(frame.prefix());
        io.write(context, [&data, frame.suffix()])?;
        self.body_started = true;
        if ended {
            io.queue(&self.encoder.end(None));
        }
        Ok(())
    }
}

/// Whether a method is idempotent, so that its request may be retried (RFC 9110 section 9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// Encodes the head of a request and selects the framing of its body.
fn request_head(request: &mut Request<UpstreamRequestBody>, encoder: &mut BodyEncoder) -> Vec<u8> {
    let size = request.body.size_hint().exact();
    let has_body = !request.body.is_end_stream();
    request.fields.remove(&TRANSFER_ENCODING);
    // Without a body, `Content-Length` is sent only if the client has sent one.
    *encoder = match has_body || request.fields.has(&CONTENT_LENGTH) {
        true => BodyEncoder::new(size, &mut request.fields),
        false => BodyEncoder::Sized(0),
    };
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(request.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(request.target());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    request.fields.write(&mut head);
    if *encoder == BodyEncoder::Chunked {
        head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
