//! Reads requests from an HTTP/1.1 client connection.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::EXPECT;
use http::{Method, Uri, Version};

use crate::config::settings::Limits;
use crate::http::framing::{self, Framing};
use crate::http::head::{self, HeadError, Parsed, RequestHead};
use crate::http::{FieldSection, Fields, RawTarget, Request, RequestTarget};
use crate::proxy::downstream::activity::ShutdownCommand;
use crate::proxy::downstream::client_body::ClientBody;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::{Http1Client, Http1RequestBody, Http1State};
use crate::proxy::http1_body::Http1Body;
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::handler::RequestLine;

/// The HTTP/2 client preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The next event on the connection.
pub(crate) enum NextEvent {
    /// The connection must be closed without a response.
    End,
    Http2,
    Request(Box<ReceivedRequest>),
    /// The request is invalid. The connection ends with this error.
    Rejected(ProxyError),
}

/// A request whose head has been read.
pub(crate) struct ReceivedRequest {
    pub(crate) request: Request<ClientBody>,
    pub(crate) received: RequestLine,
    pub(crate) persistent: bool,
}

/// Waits for the head of a request.
pub(crate) fn poll_next(
    client: &Arc<Http1Client>,
    connection_state: &Arc<ConnectionState>,
    first: bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<NextEvent>> {
    let mut unparsed = true;
    loop {
        let mut state = client.state();
        match connection_state.activity.poll_command(context) {
            ShutdownCommand::Close => return Poll::Ready(Ok(NextEvent::End)),
            ShutdownCommand::Finish if state.io.unread().is_empty() => {
                return Poll::Ready(Ok(NextEvent::End));
            }
            _ => {}
        }
        let unread = state.io.unread();
        // Empty lines before a request are ignored (RFC 9112 section 2.2).
        while matches!(unread.first(), Some(b'\r' | b'\n')) {
            unread.advance(1);
        }
        if first && unread.starts_with(PREFACE) {
            return Poll::Ready(Ok(NextEvent::Http2));
        }
        let may_be_http2 = first && PREFACE.starts_with(unread);
        if unparsed && !unread.is_empty() && !may_be_http2 {
            let limits = connection_state.worker.snapshot().limits;
            if let Some(next) = parse(client, &mut state, &limits) {
                return Poll::Ready(Ok(next));
            }
        }
        let new = match state.poll_read(context) {
            Poll::Ready(new) => new?,
            Poll::Pending => {
                state.io.compact();
                if !state.io.unread().is_empty() {
                    // The bytes may have arrived together with the last request.
                    connection_state.activity.head_started();
                }
                return Poll::Pending;
            }
        };
        let unread = state.io.unread();
        if new == 0 {
            return match unread.is_empty() {
                true => Poll::Ready(Ok(NextEvent::End)),
                false => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            };
        }
        // Only a line end completes a head. The size limit is checked in any case.
        let arrived = unread.get(unread.len().saturating_sub(new)..).unwrap_or_default();
        unparsed = first
            || memchr::memchr(b'\n', arrived).is_some()
            || unread.len() > connection_state.worker.snapshot().limits.header_bytes;
    }
}

/// Parses the request head in the unread bytes; `None` if the head is incomplete.
fn parse(client: &Arc<Http1Client>, state: &mut Http1State, limits: &Limits) -> Option<NextEvent> {
    let Limits { header_bytes, header_fields, .. } = *limits;
    let unread = state.io.unread();
    let parsed = head::request(unread, header_fields, |head| read_head(head, unread));
    let rejected = |error| Some(NextEvent::Rejected(error));
    let (head, length) = match parsed {
        Ok(Parsed::Complete(_, length)) if length > header_bytes => {
            return rejected(too_large(unread, header_bytes));
        }
        Ok(Parsed::Complete(Ok(head), length)) => (head, length),
        Ok(Parsed::Complete(Err(error), _)) => return rejected(error),
        Ok(Parsed::Partial) if unread.len() > header_bytes => {
            return rejected(too_large(unread, header_bytes));
        }
        Ok(Parsed::Partial) => return None,
        Err(HeadError::TooManyFields) => {
            return rejected(ProxyError::TooManyFields(header_fields.saturating_add(1)));
        }
        Err(error) => return rejected(error.into()),
    };
    state.io.consume(length);
    let Head { request, received, framing } = head;
    let http11 = received.version == Version::HTTP_11;
    let expects_continue = http11 && received.expects_continue;
    let body = Http1Body::new(framing.body, (header_bytes, header_fields));
    let number = state.begin(body, (expects_continue, http11));
    let body = ClientBody::Http1(Http1RequestBody::new(Arc::clone(client), number));
    let request = request.map(|()| body);
    Some(NextEvent::Request(Box::new(ReceivedRequest {
        request,
        received,
        persistent: framing.persistent,
    })))
}

struct Head {
    request: Request<()>,
    received: RequestLine,
    framing: Framing,
}

fn read_head(head: &RequestHead<'_>, bytes: &[u8]) -> Result<Head, ProxyError> {
    let framing = framing::of_request(head)?;
    let method = Method::from_bytes(head.method.as_bytes()).map_err(|_| HeadError::Malformed)?;
    let fields = FieldSection::of(head.fields, bytes);
    let version = match head.version {
        head::Version::Http10 => Version::HTTP_10,
        head::Version::Http11 => Version::HTTP_11,
    };
    let text = head.target_text();
    let target = RequestTarget::parse(&method, &text);
    let origin_form = target.map(|target| target.to_origin_form(&method));
    let uri = match &origin_form {
        Ok(path) => path.parse().map_err(|_| ProxyError::TargetTooLong)?,
        Err(_) => Uri::from_static("/"),
    };
    let raw = (text.as_bytes() != head.target && head.target.starts_with(b"/")).then(|| {
        let end = memchr::memchr(b'#', head.target).unwrap_or(head.target.len());
        let raw = head.target.get(..end).unwrap_or_default();
        Box::new(RawTarget {
            uri: uri.path_and_query().map_or("/", |path| path.as_str()).into(),
            received: Bytes::copy_from_slice(raw),
        })
    });
    let received = RequestLine {
        version,
        authority: target.map(|target| target.authority().map(Box::from)),
        expects_continue: fields
            .value(&EXPECT)
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
    };
    let request = Request { method, uri, raw_target: raw, fields, body: () };
    Ok(Head { request, received, framing })
}

/// Returns the error for an oversized head: the target or the fields are too long.
fn too_large(head: &[u8], most: usize) -> ProxyError {
    let line = memchr::memchr(b'\n', head).unwrap_or(head.len());
    if line >= most { ProxyError::TargetTooLong } else { ProxyError::HeadTooLarge }
}
