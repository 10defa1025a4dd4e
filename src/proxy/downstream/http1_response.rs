//! Writes responses to an HTTP/1.1 client connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use http_body::Body;

use crate::http::body::BodyEncoder;
use crate::http::{Fields, Response};
use crate::proxy::date;
use crate::proxy::downstream::activity::ShutdownCommand;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::{Http1Client, Http1State};
use crate::proxy::request::response_body::ReplyBody;

/// Maximum bytes of an unread request body that are discarded to keep the connection.
pub(crate) const MAX_UNWANTED_BYTES: u64 = 64 * 1024;

/// Properties of a request that affect how its response is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseContext {
    pub(crate) to_head: bool,
    pub(crate) http11: bool,
    pub(crate) persistent: bool,
}

/// Writes a response. Returns whether the connection may be reused.
pub(crate) async fn respond(
    client: &Arc<Http1Client>,
    connection_state: &Arc<ConnectionState>,
    response: Response<ReplyBody>,
    to: ResponseContext,
) -> io::Result<bool> {
    let (mut head, body) = response.into_parts();
    let mut body = Some(body);
    let mut writing = QueuedResponse::begin(client, connection_state, &mut head, body.as_ref(), to);
    drop(head);
    let mut started = false;
    std::future::poll_fn(|context| {
        if connection_state.activity.poll_command(context) == ShutdownCommand::Close {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        loop {
            let drained = started.then(|| client.state().poll_drain(context));
            match drained {
                Some(Poll::Ready(drained)) => drained?,
                Some(Poll::Pending) => {
                    client.state().watch(context)?;
                    return Poll::Pending;
                }
                None => {}
            }
            let Some(source) = body.as_mut().filter(|_| !writing.ended) else {
                if std::mem::replace(&mut started, true) {
                    // Dropping the body counts and logs the request.
                    body = None;
                    return Poll::Ready(Ok(()));
                }
                client.state().write(context, [&[], &[]])?;
                continue;
            };
            match Pin::new(&mut *source).poll_frame(context) {
                Poll::Pending => {
                    let mut state = client.state();
                    if !std::mem::replace(&mut started, true) {
                        state.write(context, [&[], &[]])?;
                    }
                    state.watch(context)?;
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(_))) if !started && !writing.failed => {
                    // Nothing has been sent yet, so the client can still get an error page.
                    let page = body.take().map(ReplyBody::broke_off);
                    let Some(page) = page else { return Poll::Ready(Ok(())) };
                    let (mut head, page) = page.into_parts();
                    client.state().io.truncate_queued(writing.queued_before);
                    writing =
                        QueuedResponse::begin(client, connection_state, &mut head, Some(&page), to);
                    writing.failed = true;
                    body = Some(page);
                }
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Err(io::Error::other("response aborted")));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let ended = source.is_end_stream();
                    let mut state = client.state();
                    match frame.into_data() {
                        Ok(data) => {
                            let longer =
                                || io::Error::other("response longer than its Content-Length");
                            let frame = writing.encoder.frame(data.len()).ok_or_else(longer)?;
                            state.io.queue(frame.prefix());
                            started = true;
                            let mut trailing = Vec::from(frame.suffix());
                            if ended {
                                writing.ended = true;
                                trailing.extend(writing.encoder.end(None));
                                // Drop the body before the last bytes are sent: the request is then
                                // counted, and its upstream connection released.
                                drop(state);
                                body = None;
                                state = client.state();
                            }
                            state.write(context, [&data, &trailing])?;
                        }
                        Err(frame) => {
                            writing.end(&mut state, frame.into_trailers().ok().as_ref());
                        }
                    }
                }
                Poll::Ready(None) => writing.end(&mut client.state(), None),
            }
        }
    })
    .await?;
    if !writing.encoder.is_complete() {
        return Err(io::Error::other("response shorter than its Content-Length"));
    }
    Ok(writing.persistent)
}

/// A response whose head is queued.
struct QueuedResponse {
    encoder: BodyEncoder,
    persistent: bool,
    /// The number of queued bytes before the head.
    queued_before: usize,
    /// No byte of the body is left to write.
    ended: bool,
    /// This is the error page for a failed response.
    failed: bool,
}

impl QueuedResponse {
    /// Queues the head of a response.
    fn begin(
        client: &Http1Client,
        connection_state: &ConnectionState,
        response: &mut Response<()>,
        body: Option<&ReplyBody>,
        to: ResponseContext,
    ) -> Self {
        let mut state = client.state();
        state.start_response();
        let mut head_options = Vec::new();
        let Response { status, fields, .. } = response;
        let has_no_body =
            to.to_head || matches!(*status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let size = body.and_then(|body| body.size_hint().exact());
        fields.remove(&TRANSFER_ENCODING);
        let encoder = match size {
            _ if has_no_body => {
                if *status == StatusCode::NO_CONTENT {
                    fields.remove(&CONTENT_LENGTH);
                } else if let Some(size @ 1..) = size
                    && !fields.has(&CONTENT_LENGTH)
                {
                    fields.append(&CONTENT_LENGTH, size.to_string());
                }
                BodyEncoder::Sized(0)
            }
            None if !to.http11 => {
                fields.remove(&CONTENT_LENGTH);
                BodyEncoder::UntilClose
            }
            size => BodyEncoder::new(size, fields),
        };
        let options = fields.value(&CONNECTION);
        let closes = options == Some(b"close");
        if options == Some(b"upgrade") {
            head_options.extend_from_slice(b"connection: upgrade\r\n");
        }
        fields.remove(&CONNECTION);
        // The rest of the request body may be too long to read and discard.
        let rest_is_short = state.body_has_ended()
            || !state.awaits_continue()
                && state.rest_of_body().is_none_or(|rest| rest <= MAX_UNWANTED_BYTES);
        let persistent = to.persistent
            && !closes
            && rest_is_short
            && !(state.half_closed && state.io.unread().is_empty())
            && encoder != BodyEncoder::UntilClose
            && connection_state.activity.allows_reuse();
        let has_date = fields.has(&DATE);
        let mut head = head_of(response, to.http11);
        if !has_date {
            date::write_field(&mut head);
        }
        if encoder == BodyEncoder::Chunked {
            head.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        head.extend_from_slice(&head_options);
        match (persistent, to.http11) {
            (false, _) => head.extend_from_slice(b"connection: close\r\n"),
            (true, false) => head.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, true) => {}
        }
        head.extend_from_slice(b"\r\n");
        let queued_before = state.io.queued();
        state.io.queue(&head);
        Self { encoder, persistent, queued_before, ended: has_no_body, failed: false }
    }

    /// Queues the end of the body.
    fn end(&mut self, state: &mut Http1State, trailers: Option<&HeaderMap>) {
        self.ended = true;
        state.io.queue(&self.encoder.end(trailers));
    }
}

/// Encodes the status line and the fields of a response.
///
/// `http11` is true for an HTTP/1.1 client. An HTTP/1.0 client may not accept an HTTP/1.1 status
/// line.
pub(crate) fn head_of<B>(response: &Response<B>, http11: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(if http11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    head.extend_from_slice(response.status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(response.reason().as_bytes());
    head.extend_from_slice(b"\r\n");
    response.fields.write(&mut head);
    head
}
