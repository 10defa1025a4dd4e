//! A client connection of HTTP/1.1, as its task and the body of its request share it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};

use super::activity::Activity;
use super::failure::BodyError;
use super::http1_io::Http1Io;
use super::socket_io::SocketIo;
use crate::http::body::BodyDecoder;
use crate::http::field_lines::{self, FieldLines};
use crate::http::framing::BodyLength;
use crate::http::head;

/// Bytes that are read ahead of a response: pipelined requests behind them wait in the socket.
const MAX_AHEAD: usize = 16 * 1024;

/// A client connection of HTTP/1.1.
#[derive(Debug)]
pub(super) struct Http1Client {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) io: Http1Io,
    activity: Arc<Activity>,
    /// Finds the end of the request's body.
    decoder: BodyDecoder,
    trailers_taken: bool,
    max_fields: usize,
    /// The number of the request.
    request: u64,
    /// The client waits for a 100 before it sends the body.
    expects: bool,
    /// Interim responses can be sent: the client speaks HTTP/1.1, and no final response has begun.
    takes_interim: bool,
    /// The client has sent the end of its stream.
    pub(super) half_closed: bool,
}

impl Http1Client {
    pub(super) fn new(io: Http1Io, activity: Arc<Activity>) -> Arc<Self> {
        let state = State {
            io,
            activity,
            decoder: BodyDecoder::Sized(0),
            trailers_taken: false,
            max_fields: 0,
            request: 0,
            expects: false,
            takes_interim: false,
            half_closed: false,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, when nobody else holds it.
    pub(super) fn into_socket(self: Arc<Self>) -> Option<(SocketIo, Bytes)> {
        let state = Arc::into_inner(self)?.state;
        Some(state.into_inner().unwrap_or_else(PoisonError::into_inner).io.into_parts())
    }

    /// Sends an interim response (RFC 9110 section 15.2). One that the client does not take, or not at once, is dropped.
    pub(super) fn send_interim(
        &self,
        context: &mut Context<'_>,
        status: StatusCode,
        (headers, lines): (&HeaderMap, Option<&FieldLines>),
    ) {
        let mut state = self.state();
        if !state.takes_interim || state.io.has_queued() {
            return;
        }
        let reason = status.canonical_reason().unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
        field_lines::write(headers, lines, &mut head);
        head.extend_from_slice(b"\r\n");
        // A broken connection shows itself when the final response is written.
        let _ = state.io.write(context, [&head, &[]]);
    }
}

impl State {
    /// A request begins: where its body ends, how many fields its trailers may have.
    pub(super) fn begin(
        &mut self,
        length: BodyLength,
        (max_bytes, max_fields): (usize, usize),
        (expects, takes_interim): (bool, bool),
    ) {
        self.request += 1;
        self.decoder = BodyDecoder::new(length, max_bytes);
        self.trailers_taken = false;
        self.max_fields = max_fields;
        self.expects = expects && !self.decoder.has_ended();
        self.takes_interim = takes_interim;
    }

    /// The final response begins.
    pub(super) fn responds(&mut self) {
        self.takes_interim = false;
    }

    /// Whether the body of the request has been read to its end.
    pub(super) fn body_has_ended(&self) -> bool {
        self.decoder.has_ended()
    }

    /// How many bytes of the body are missing; `None` where that is not known.
    pub(super) fn rest_of_body(&self) -> Option<u64> {
        match &self.decoder {
            BodyDecoder::Sized(left) => Some(*left),
            BodyDecoder::Chunked(_) | BodyDecoder::UntilClose => None,
        }
    }

    /// Whether the client may never send the body: it still waits for a 100.
    pub(super) fn awaits_continue(&self) -> bool {
        self.expects
    }

    /// Reads what the client sends: how many bytes more there are; 0 at the end of the stream.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(self.io.poll_fill(context))?;
        match read {
            0 => self.half_closed = true,
            _ => self.activity.received(),
        }
        Poll::Ready(Ok(read))
    }

    /// While a response is awaited: notices that the client is gone. Pipelined requests are read ahead within bounds.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) fn watch(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.decoder.has_ended() && !self.half_closed && self.io.unread().len() < MAX_AHEAD {
            match self.poll_read(context) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.activity.half_closed(),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        self.io.settle();
        Ok(())
    }

    /// Writes what waits, and two more parts.
    pub(super) fn write(&mut self, context: &mut Context<'_>, parts: [&[u8]; 2]) -> io::Result<()> {
        let written = self.io.write(context, parts);
        self.activity.written(!self.io.has_queued());
        written
    }

    /// Writes until nothing waits.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.io.has_queued() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.io.poll_drain(context);
        self.activity.written(polled.is_ready());
        polled
    }

    /// The next part of the request's body.
    pub(super) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        loop {
            if self.decoder.has_ended() {
                let trailers = self.decoder.trailers();
                if trailers.is_empty() || self.trailers_taken {
                    return Poll::Ready(Ok(None));
                }
                self.trailers_taken = true;
                let headers = head::trailers(trailers, self.max_fields, |fields| {
                    FieldLines::of(fields, trailers).0
                })?;
                return Poll::Ready(Ok(Some(Frame::trailers(headers))));
            }
            if self.io.unread().is_empty() {
                if std::mem::take(&mut self.expects) && self.takes_interim {
                    self.write(context, [b"HTTP/1.1 100 Continue\r\n\r\n", &[]])?;
                }
                if self.io.has_queued() {
                    let _ = self.poll_drain(context);
                }
                match ready!(self.poll_read(context)) {
                    Ok(0) => return Poll::Ready(Err(BodyError::Incomplete)),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            self.expects = false;
            let unread = self.io.unread();
            let decoded = self.decoder.decode(unread)?;
            let mut taken = unread.split_to(decoded.consumed.min(unread.len()));
            if decoded.data.is_empty() {
                continue;
            }
            taken.truncate(decoded.data.end);
            taken.advance(decoded.data.start.min(taken.len()));
            return Poll::Ready(Ok(Some(Frame::data(taken.freeze()))));
        }
    }
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    client: Arc<Http1Client>,
    /// The request that it is of. After another one has begun there is nothing left of it.
    request: u64,
}

impl RequestBody {
    /// The body of the request that has just begun.
    pub(super) fn new(client: Arc<Http1Client>) -> Self {
        let request = client.state().request;
        Self { client, request }
    }

    /// The state of the connection, while it is at this request.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.client.state()).filter(|state| state.request == self.request)
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(mut state) = self.state() else {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        };
        let polled = state.poll_body(context);
        if polled.is_pending() {
            state.io.settle();
        }
        polled.map(Result::transpose)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let ended = |state: MutexGuard<'_, State>| {
            state.decoder.has_ended()
                && (state.trailers_taken || state.decoder.trailers().is_empty())
        };
        self.state().is_none_or(ended)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.state().as_ref().map(|state| &state.decoder) {
            None => SizeHint::with_exact(0),
            Some(BodyDecoder::Sized(left)) => SizeHint::with_exact(*left),
            Some(BodyDecoder::Chunked(_) | BodyDecoder::UntilClose) => SizeHint::default(),
        }
    }
}
