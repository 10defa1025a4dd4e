//! Write coalescing: small writes of one poll are buffered and flushed together at its end.
//!
//! h2 flushes after each DATA frame. With concurrent responses, each frame would cost a TLS record,
//! a system call and a wake-up of the client.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::socket_io::poll_write_all;

/// Maximum buffered bytes: one DATA frame of the default size.
const MAX_BUFFERED: usize = 16 * 1024 + 9;
/// Initial buffer capacity, in bytes.
const INITIAL_CAPACITY: usize = 4 * 1024;

/// A stream with two owners: the connection writes to it, and the connection's driver
/// [flushes](Self::poll_flush_buffered) the buffered bytes.
pub(crate) struct CoalescingStream<S>(Arc<Mutex<BufferedStream<S>>>);

struct BufferedStream<S> {
    stream: S,
    buffered: BytesMut,
}

impl<S> Clone for CoalescingStream<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> CoalescingStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(BufferedStream { stream, buffered: BytesMut::new() })))
    }

    fn inner(&self) -> MutexGuard<'_, BufferedStream<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> CoalescingStream<S> {
    /// Writes the buffered bytes. If the stream is blocked, the task is woken when it is writable.
    pub(crate) fn poll_flush_buffered(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner();
        ready!(inner.poll_flush_buffered(context))?;
        Pin::new(&mut inner.stream).poll_flush(context)
    }
}

impl<S: AsyncWrite + Unpin> BufferedStream<S> {
    fn poll_flush_buffered(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(poll_write_all(&mut self.stream, context, &mut self.buffered))?;
        // An idle connection holds no buffer.
        self.buffered = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn poll_buffer(
        &mut self,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.buffered.len() + bytes > MAX_BUFFERED {
            ready!(self.poll_flush_buffered(context))?;
        }
        if bytes > MAX_BUFFERED {
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        if self.buffered.is_empty() {
            self.buffered.reserve(bytes.max(INITIAL_CAPACITY));
        }
        pieces.iter().for_each(|piece| self.buffered.extend_from_slice(piece));
        Poll::Ready(Ok(bytes))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CoalescingStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CoalescingStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_buffer(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_buffer(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the driver flushes the buffered bytes at the end of a poll.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner();
        ready!(inner.poll_flush_buffered(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::task::Waker;

    /// Accepts `at_a_time` bytes per write, and none at every second write; 0 means no limit.
    #[derive(Default)]
    struct LimitedWriter {
        at_a_time: usize,
        refused: bool,
        got: Vec<Vec<u8>>,
        ended: bool,
    }

    impl AsyncWrite for LimitedWriter {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.at_a_time > 0 && !std::mem::replace(&mut self.refused, true) {
                return Poll::Pending;
            }
            self.refused = false;
            let most = if self.at_a_time == 0 { usize::MAX } else { self.at_a_time };
            let taken = bytes.get(..most.min(bytes.len())).unwrap_or_default();
            self.got.push(taken.to_vec());
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.ended = true;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn small_writes_are_coalesced_until_a_flush_or_shutdown() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut stream = CoalescingStream::new(LimitedWriter::default());
        for piece in [&b"head"[..], b" ", b"body"] {
            assert!(Pin::new(&mut stream).poll_write(context, piece).is_ready());
            assert!(Pin::new(&mut stream).poll_flush(context).is_ready());
        }
        assert!(stream.inner().stream.got.is_empty());
        assert!(stream.poll_flush_buffered(context).is_ready());
        assert!(stream.poll_flush_buffered(context).is_ready(), "nothing is left");
        assert_eq!(stream.inner().stream.got, [b"head body"]);
        assert_eq!(stream.inner().buffered.capacity(), 0, "at rest it holds no buffer");
        assert!(Pin::new(&mut stream).poll_write(context, b"bye").is_ready());
        assert!(Pin::new(&mut stream).poll_shutdown(context).is_ready());
        assert_eq!(stream.inner().stream.got, [&b"head body"[..], b"bye"]);
        assert!(stream.inner().stream.ended);
    }

    proptest! {
        #[test]
        fn all_bytes_arrive_in_order_within_the_buffer_limit(
            lengths in prop::collection::vec(prop_oneof![1..200_usize, 1..100_000_usize], 1..20),
            at_a_time in prop_oneof![Just(0_usize), 1..50_000_usize],
            flushes in any::<u32>(),
        ) {
            let context = &mut Context::from_waker(Waker::noop());
            let mut stream = CoalescingStream::new(LimitedWriter { at_a_time, ..LimitedWriter::default() });
            let mut sent = Vec::new();
            // Each write takes at least one byte, or the next one does.
            let mut polls = 0..4 * lengths.iter().sum::<usize>() + 8;
            for (number, length) in lengths.into_iter().enumerate() {
                let piece: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
                let mut rest = piece.as_slice();
                while !rest.is_empty() {
                    prop_assert!(polls.next().is_some(), "the peer gets nothing more");
                    if let Poll::Ready(written) = Pin::new(&mut stream).poll_write(context, rest) {
                        rest = &rest[written.unwrap()..];
                    }
                    prop_assert!(stream.inner().buffered.len() <= MAX_BUFFERED);
                }
                sent.extend(piece);
                if flushes & (1 << number) != 0 {
                    let _ = stream.poll_flush_buffered(context);
                }
            }
            while stream.poll_flush_buffered(context).is_pending() {
                prop_assert!(polls.next().is_some(), "the peer gets nothing more");
            }
            prop_assert_eq!(stream.inner().stream.got.concat(), sent);
        }
    }
}
