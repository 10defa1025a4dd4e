//! HTTP/1.1 client connection, shared by its task and the body of the current request.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::Response;
use crate::http::framing::BodyLength;
use crate::proxy::downstream::activity::Activity;
use crate::proxy::http1_body::{BodyPart, Http1Body};
use crate::proxy::http1_io::Http1Io;
use crate::proxy::socket_io::SocketIo;
use crate::proxy::upstream::failure::BodyError;

/// Maximum bytes read ahead during a response. Further pipelined requests stay in the socket.
const MAX_AHEAD: usize = 16 * 1024;

/// An HTTP/1.1 client connection.
#[derive(Debug)]
pub(crate) struct Http1Client {
    state: Mutex<Http1State>,
}

#[derive(Debug)]
pub(crate) struct Http1State {
    pub(crate) io: Http1Io,
    activity: Arc<Activity>,
    /// The body of the current request.
    body: Http1Body,
    /// The number of the current request.
    request: u64,
    /// The client waits for a 100 response before it sends the body.
    expects_continue: bool,
    /// Interim responses can be sent: the client uses HTTP/1.1, and no final response has begun.
    accepts_interim: bool,
    /// The client has closed its sending side.
    pub(crate) half_closed: bool,
}

impl Http1Client {
    pub(crate) fn new(io: Http1Io, activity: Arc<Activity>) -> Arc<Self> {
        let state = Http1State {
            io,
            activity,
            body: Http1Body::new(BodyLength::Empty, (0, 0)),
            request: 0,
            expects_continue: false,
            accepts_interim: false,
            half_closed: false,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Http1State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the socket and the unread bytes, if there is no other reference.
    pub(crate) fn into_socket(self: Arc<Self>) -> Option<(SocketIo, Bytes)> {
        let state = Arc::into_inner(self)?.state;
        Some(state.into_inner().unwrap_or_else(PoisonError::into_inner).io.into_parts())
    }

    /// Sends an interim response (RFC 9110 section 15.2).
    ///
    /// The response is dropped if the client does not support it or older bytes are still queued.
    pub(crate) fn send_interim(&self, context: &mut Context<'_>, response: &Response<()>) {
        let mut state = self.state();
        if !state.accepts_interim || state.io.has_queued() {
            return;
        }
        let reason = response.status.canonical_reason().unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", response.status.as_u16()).into_bytes();
        response.fields.write(&mut head);
        head.extend_from_slice(b"\r\n");
        // A broken connection causes an error when the final response is written.
        let _ = state.io.write(context, [&head, &[]]);
    }
}

impl Http1State {
    /// Starts a request with this body and returns its number.
    pub(crate) fn begin(
        &mut self,
        body: Http1Body,
        (expects_continue, accepts_interim): (bool, bool),
    ) -> u64 {
        self.request += 1;
        self.expects_continue = expects_continue && !body.has_ended();
        self.accepts_interim = accepts_interim;
        self.body = body;
        self.request
    }

    /// Marks the start of the final response.
    pub(crate) fn start_response(&mut self) {
        self.accepts_interim = false;
    }

    /// Whether the request body has been read to its end.
    pub(crate) fn body_has_ended(&self) -> bool {
        self.body.has_ended()
    }

    /// The number of remaining body bytes; `None` if unknown.
    pub(crate) fn rest_of_body(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Whether the client still waits for a 100 response, and so may never send the body.
    pub(crate) fn awaits_continue(&self) -> bool {
        self.expects_continue
    }

    /// Reads from the client. Returns the number of new bytes; 0 at the end of the stream.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(self.io.poll_fill(context))?;
        match read {
            0 => self.half_closed = true,
            _ => self.activity.received(),
        }
        Poll::Ready(Ok(read))
    }

    /// Detects a closed client connection while a response is awaited. Pipelined requests are read
    /// ahead, up to a limit.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn watch(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.body.has_ended() && !self.half_closed && self.io.unread().len() < MAX_AHEAD {
            match self.poll_read(context) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.activity.half_closed(),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        self.io.compact();
        Ok(())
    }

    /// Writes the queued bytes, then two more parts.
    pub(crate) fn write(&mut self, context: &mut Context<'_>, parts: [&[u8]; 2]) -> io::Result<()> {
        let written = self.io.write(context, parts);
        self.activity.written(!self.io.has_queued());
        written
    }

    /// Writes until the queue is empty.
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.io.has_queued() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.io.poll_drain(context);
        self.activity.written(polled.is_ready());
        polled
    }

    /// Returns the next frame of the request body.
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        loop {
            // A client that has begun to send the body does not wait for a 100 response.
            self.expects_continue &= self.io.unread().is_empty();
            match self.body.next::<BodyError>(&mut self.io)? {
                BodyPart::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                BodyPart::End => return Poll::Ready(Ok(None)),
                BodyPart::Missing => {}
            }
            if std::mem::take(&mut self.expects_continue) && self.accepts_interim {
                self.write(context, [b"HTTP/1.1 100 Continue\r\n\r\n", &[]])?;
            }
            let _ = self.poll_drain(context);
            if ready!(self.poll_read(context))? == 0 {
                return Poll::Ready(Err(BodyError::Incomplete));
            }
        }
    }
}

/// The body of one request.
#[derive(Debug)]
pub(crate) struct Http1RequestBody {
    client: Arc<Http1Client>,
    /// The number of the request. After another request has begun, reading this body fails.
    request: u64,
}

impl Http1RequestBody {
    /// Creates the body of the request with this number.
    pub(crate) fn new(client: Arc<Http1Client>, request: u64) -> Self {
        Self { client, request }
    }

    /// The state of the connection, if this is still the current request.
    fn state(&self) -> Option<MutexGuard<'_, Http1State>> {
        Some(self.client.state()).filter(|state| state.request == self.request)
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(mut state) = self.state() else {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        };
        let polled = state.poll_body(context);
        if polled.is_pending() {
            state.io.compact();
        }
        polled.map(Result::transpose)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.state().is_none_or(|state| state.body.is_end_stream())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.state().map_or_else(|| SizeHint::with_exact(0), |state| state.body.size_hint())
    }
}
