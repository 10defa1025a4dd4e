//! HTTP/2 PING after a response timeout (RFC 9113 section 6.7).
//!
//! hyper sends PING frames only at intervals. A gRPC server treats those as abuse
//! (`too_many_pings`) while a stream is silent. This PING is written between two of hyper's frames,
//! and h2 ignores the acknowledgement.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::proxy::socket_io::poll_write_all;

/// Length of the client connection preface, in bytes (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// Length of a frame header, in bytes (RFC 9113 section 4.1).
const FRAME_HEAD: usize = 9;
/// The PING frame: length, type, flags, stream identifier, and eight bytes of opaque data.
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, b'a', b'n', b's', b'w', b'e', b'r', b'?', b'?'];

/// The byte stream of an HTTP/2 connection. hyper and the [`Pinger`] share it.
#[derive(Debug)]
pub(crate) struct PingStream<S>(Arc<Mutex<PingState<S>>>);

#[derive(Debug)]
struct PingState<S> {
    stream: S,
    position: FramePosition,
    /// The unwritten rest of a PING.
    ping: &'static [u8],
}

/// The write position within the current frame.
#[derive(Debug)]
struct FramePosition {
    /// Remaining bytes of the preface or of a payload.
    remaining: usize,
    /// Written bytes of the frame header.
    head: usize,
    /// The length field of the frame header, as far as it has been written.
    length: usize,
}

impl FramePosition {
    fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.remaining > 0 {
                let skipped = self.remaining.min(bytes.len());
                self.remaining -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            if self.head < 3 {
                self.length = self.length << 8 | usize::from(first);
            }
            self.head += 1;
            if self.head == FRAME_HEAD {
                *self = Self { remaining: self.length, head: 0, length: 0 };
            }
            bytes = rest;
        }
    }

    fn is_between_frames(&self) -> bool {
        self.remaining == 0 && self.head == 0
    }
}

impl<S> PingStream<S> {
    /// Creates the stream of a new connection and its pinger. `longest` is the pinger's timeout for
    /// an answer.
    pub(crate) fn new(stream: S, longest: Duration) -> (Self, Pinger<S>) {
        let position = FramePosition { remaining: PREFACE, head: 0, length: 0 };
        let shared = Arc::new(Mutex::new(PingState { stream, position, ping: &[] }));
        (Self(Arc::clone(&shared)), Pinger { stream: Self(shared), longest, timer: None })
    }

    fn inner(&self) -> MutexGuard<'_, PingState<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> PingState<S> {
    /// Writes the rest of a PING.
    fn poll_ping(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write_all(&mut self.stream, context, &mut self.ping)
    }
}

/// Checks whether a silent upstream is still alive.
pub(crate) struct Pinger<S> {
    stream: PingStream<S>,
    longest: Duration,
    /// The deadline for the answer to a PING that was written.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Pinger<S> {
    /// Sends a PING if `silent`, unless one is already pending.
    ///
    /// Ready if the upstream has not answered in time or the stream is broken. The connection's
    /// task must poll the connection first, then the pinger.
    pub(crate) fn poll(&mut self, silent: bool, context: &mut Context<'_>) -> Poll<()> {
        if !silent {
            self.timer = None;
        } else if self.timer.is_none() {
            let inner = &mut *self.stream.inner();
            if inner.position.is_between_frames() && inner.ping.is_empty() {
                inner.ping = PING;
                self.timer = Some(Box::pin(tokio::time::sleep(self.longest)));
            }
        }
        if self.timer.is_some()
            && let Poll::Ready(Err(_)) = Pin::new(&mut self.stream).poll_flush(context)
        {
            return Poll::Ready(());
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PingStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PingStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner();
        ready!(inner.poll_ping(context))?;
        let written = ready!(Pin::new(&mut inner.stream).poll_write_vectored(context, parts))?;
        let mut remaining = written;
        for part in parts {
            let of_part = remaining.min(part.len());
            inner.position.advance(part.get(..of_part).unwrap_or_default());
            remaining -= of_part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner();
        ready!(inner.poll_ping(context))?;
        Pin::new(&mut inner.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn frame(payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("short").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([0, 0, 0, 0, 0, 1]);
        frame.resize(FRAME_HEAD + payload, b'x');
        frame
    }

    proptest! {
        #[test]
        fn frame_boundaries_are_found_in_any_chunking(
            payloads in prop::collection::vec(0..40_usize, 0..6),
            parts in prop::collection::vec(1..30_usize, 1..40),
        ) {
            let mut bytes = vec![b'p'; PREFACE];
            let mut ends = vec![PREFACE];
            for payload in payloads {
                bytes.extend(frame(payload));
                ends.push(bytes.len());
            }
            let mut position = FramePosition { remaining: PREFACE, head: 0, length: 0 };
            let (mut at, mut parts) = (0, parts.into_iter().cycle());
            while at < bytes.len() {
                let end = bytes.len().min(at + parts.next().expect("endless"));
                position.advance(&bytes[at..end]);
                at = end;
                prop_assert_eq!(position.is_between_frames(), ends.contains(&at), "{}", at);
            }
        }
    }

    #[tokio::test]
    async fn a_ping_never_splits_a_frame_and_is_sent_once_while_the_upstream_is_silent() {
        let (mut upstream, socket) = tokio::io::duplex(1024);
        let (mut stream, mut pinger) = PingStream::new(socket, Duration::from_secs(60));
        let frame = frame(4);
        let mut poll = |silent| {
            let mut context = Context::from_waker(std::task::Waker::noop());
            assert!(pinger.poll(silent, &mut context).is_pending());
        };
        poll(true);
        stream.write_all(&[b'p'; PREFACE]).await.expect("room");
        stream.write_all(&frame[..10]).await.expect("room");
        poll(true);
        stream.write_all(&frame[10..]).await.expect("room");
        poll(true);
        poll(true);
        stream.write_all(&frame).await.expect("room");
        poll(false);
        poll(true);
        stream.shutdown().await.expect("it ends");
        let mut written = Vec::new();
        upstream.read_to_end(&mut written).await.expect("it ends");
        assert_eq!(written, [&[b'p'; PREFACE][..], &frame, PING, &frame, PING].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_ping_replies_is_closed() {
        let longest = Duration::from_secs(20);
        let (_upstream, socket) = tokio::io::duplex(1024);
        let (mut stream, mut pinger) = PingStream::new(socket, longest);
        stream.write_all(&[b'p'; PREFACE]).await.expect("room");
        let started = tokio::time::Instant::now();
        std::future::poll_fn(|context| pinger.poll(true, context)).await;
        assert_eq!(started.elapsed(), longest);
    }
}
