//! HTTP/2 client stream, plain or TLS, that records writes in its [`ConnectionState`] for the timeouts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::socket_io::SocketIo;

pub(crate) struct ActivityStream {
    stream: SocketIo,
    connection_state: Arc<ConnectionState>,
    /// Bytes already read that will be read again.
    unread: Bytes,
}

impl ActivityStream {
    pub(crate) fn new(stream: SocketIo, connection_state: Arc<ConnectionState>) -> Self {
        Self { stream, connection_state, unread: Bytes::new() }
    }

    /// Prepends bytes to the stream, so that they are read again first.
    pub(crate) fn rewind(&mut self, bytes: &[u8]) {
        // A copy, so that a few bytes do not keep their whole read buffer alive.
        self.unread = Bytes::copy_from_slice(bytes);
    }
}

impl AsyncRead for ActivityStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let length = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ActivityStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.connection_state.activity.written(polled.is_ready());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.connection_state.activity.written(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
