//! Buffered byte I/O of an HTTP/1.1 connection, for clients and upstreams.
//!
//! Between polls the connection owns only two kinds of bytes: bytes read but not consumed, and
//! bytes the socket has not accepted.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::proxy::socket_io::{SocketIo, poll_write_all};

/// Maximum bytes per read from a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadSizes {
    /// For the start of a message, until one read exceeds `later`.
    first: usize,
    /// For the rest of a long message. A slow client may leave the last read unsent.
    later: usize,
}

/// For a message on its own connection: one read fits a head and a body of 64 KiB.
pub(crate) const READ_SIZES: ReadSizes = ReadSizes { first: 68 * 1024, later: 32 * 1024 };
/// For a response to one HTTP/2 stream: each stream may have to wait for the client.
pub(crate) const STREAM_READ_SIZES: ReadSizes = ReadSizes { first: 68 * 1024, later: 16 * 1024 };
/// Parts up to this size are copied out of the worker's read buffer, so that they do not keep it
/// alive.
const SHORT: usize = 4 * 1024;

thread_local! {
    /// The worker's read buffer. Data is split off and shares the buffer's memory until the data is
    /// consumed.
    static READ: Cell<BytesMut> = Cell::default();
}

/// The buffered bytes and the socket of an HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Http1Io {
    socket: SocketIo,
    /// Bytes read but not consumed.
    unread: BytesMut,
    /// Bytes that the socket has not accepted.
    queued: BytesMut,
    /// The socket has accepted a byte since [`Self::begin`].
    has_written: bool,
    /// Sizes of the next reads.
    reads: ReadSizes,
}

impl Http1Io {
    pub(crate) fn new(socket: SocketIo) -> Self {
        Self {
            socket,
            unread: BytesMut::new(),
            queued: BytesMut::new(),
            has_written: false,
            reads: READ_SIZES,
        }
    }

    /// Returns the socket and the bytes that were read but not consumed.
    pub(crate) fn into_parts(self) -> (SocketIo, Bytes) {
        (self.socket, self.unread.freeze())
    }

    /// Bytes read but not consumed.
    pub(crate) fn unread(&mut self) -> &mut BytesMut {
        &mut self.unread
    }

    /// Drops unread bytes from the front. If none are left, the buffer is freed.
    pub(crate) fn consume(&mut self, length: usize) {
        match length < self.unread.len() {
            true => self.unread.advance(length),
            false => self.unread = BytesMut::new(),
        }
    }

    /// Removes `length` unread bytes from the front and returns the range `data` of them.
    pub(crate) fn take(&mut self, length: usize, data: Range<usize>) -> Bytes {
        let part = self.unread.get(data.clone()).unwrap_or_default();
        if part.len() <= SHORT {
            let part = Bytes::copy_from_slice(part);
            self.consume(length);
            return part;
        }
        let mut taken = match length < self.unread.len() {
            true => self.unread.split_to(length),
            false => std::mem::take(&mut self.unread),
        };
        taken.truncate(data.end);
        taken.advance(data.start.min(taken.len()));
        taken.freeze()
    }

    /// Appends to the unread bytes. Returns the number of new bytes; 0 at the end of the stream.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = READ.take();
        let most = self.reads.first;
        if buffer.spare_capacity_mut().len() < most && !buffer.try_reclaim(most) {
            buffer = BytesMut::with_capacity(most);
        }
        let polled =
            poll_read_buf(Pin::new(&mut self.socket), context, &mut (&mut buffer).limit(most));
        if buffer.len() > self.reads.later {
            self.reads.first = self.reads.later;
        }
        if self.unread.is_empty() {
            self.unread = buffer.split();
        } else {
            self.unread.extend_from_slice(&buffer);
            buffer.clear();
        }
        READ.set(buffer);
        polled
    }

    /// Copies a few unread bytes to memory of their own, so that they do not keep a large buffer
    /// alive.
    pub(crate) fn settle(&mut self) {
        if self.unread.len() <= SHORT {
            self.unread = BytesMut::from(&self.unread[..]);
        }
    }

    /// Whether no unexpected data has arrived: no bytes and no end of the stream.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut byte = [0];
        self.unread.is_empty()
            && self.queued.is_empty()
            && Pin::new(&mut self.socket)
                .poll_read(&mut context, &mut ReadBuf::new(&mut byte))
                .is_pending()
    }

    /// Whether bytes are queued for the socket.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Starts a message, of which no byte has been written yet. `reads` are the read sizes for the
    /// response.
    pub(crate) fn begin(&mut self, reads: ReadSizes) {
        self.has_written = false;
        self.reads = reads;
    }

    /// Whether the socket has accepted a byte of the message.
    pub(crate) fn has_written(&self) -> bool {
        self.has_written
    }

    /// Appends bytes to the write queue.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.queued.extend_from_slice(bytes);
    }

    /// The number of queued bytes.
    pub(crate) fn queued(&self) -> usize {
        self.queued.len()
    }

    /// Discards the queued bytes after this length.
    pub(crate) fn truncate_queued(&mut self, length: usize) {
        self.queued.truncate(length);
    }

    /// Writes the queued bytes, then two more parts. Bytes that the socket does not accept are
    /// queued.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn write(&mut self, context: &mut Context<'_>, parts: [&[u8]; 2]) -> io::Result<()> {
        let [first, second] = parts;
        let before = self.queued.len();
        let slices = [&self.queued[..], first, second].map(IoSlice::new);
        let polled = match (before, first.len() + second.len()) {
            (0, 0) => return Ok(()),
            (_, 0) => Pin::new(&mut self.socket).poll_write(context, &self.queued),
            (0, _) if second.is_empty() => Pin::new(&mut self.socket).poll_write(context, first),
            _ => Pin::new(&mut self.socket).poll_write_vectored(context, &slices),
        };
        let mut accepted = match polled {
            Poll::Ready(accepted) => accepted?,
            Poll::Pending => 0,
        };
        self.has_written |= accepted > 0;
        self.queued.advance(accepted.min(before));
        accepted = accepted.saturating_sub(before);
        for part in parts {
            let skipped = accepted.min(part.len());
            accepted -= skipped;
            self.queued.extend_from_slice(part.get(skipped..).unwrap_or_default());
        }
        self.give_back();
        Ok(())
    }

    /// Writes until the queue is empty.
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.queued.len();
        let drained = poll_write_all(&mut self.socket, context, &mut self.queued);
        self.has_written |= self.queued.len() < before;
        ready!(drained)?;
        self.give_back();
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// Shuts down the sending side once the queue is empty.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn give_back(&mut self) {
        if self.queued.is_empty() && self.queued.capacity() > 0 {
            self.queued = BytesMut::new();
        }
    }
}

/// Tunnel reads: first the unread bytes, then the socket.
impl AsyncRead for Http1Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http1Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn empty_buffers_are_released() {
        let (near, far) = tokio::net::UnixStream::pair().expect("a pair");
        let mut io = Http1Io::new(SocketIo::Unix(near));
        let sent = vec![b'x'; 20_000];
        // Short parts are copied. Long parts share the worker's buffer.
        for (head, part) in [(10, 100), (10, 19_000), (0, 20_000)] {
            let mut written = 0;
            while written < sent.len() {
                far.writable().await.expect("open");
                written += far.try_write(&sent[written..]).unwrap_or_default();
            }
            while io.unread.len() < sent.len() {
                std::future::poll_fn(|context| io.poll_fill(context)).await.expect("open");
            }
            io.consume(head);
            let body = io.take(part, 1..part);
            assert_eq!(body.len(), part - 1);
            io.consume(usize::MAX);
            assert_eq!((io.unread.len(), io.unread.capacity()), (0, 0));
        }
    }
}
