//! Socket of a client or upstream connection: TCP, TLS over TCP, or a Unix socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::TlsStream;

use crate::proxy::downstream::client_stream::ClientStream;

/// The socket of a connection.
#[derive(Debug)]
pub(crate) enum SocketIo {
    Tcp(ClientStream),
    /// Boxed: a TLS session is many times larger than a socket.
    Tls(Box<TlsStream<ClientStream>>),
    Unix(UnixStream),
}

/// Delegates a call to the variant's stream.
macro_rules! stream {
    ($io:expr, $stream:ident => $call:expr) => {
        match $io.get_mut() {
            SocketIo::Tcp($stream) => $call,
            SocketIo::Tls($stream) => $call,
            SocketIo::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for SocketIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        stream!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for SocketIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => Pin::new(stream).poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

/// Writes until the buffer is empty. The buffer keeps the bytes that the stream has not accepted.
pub(crate) fn poll_write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    context: &mut Context<'_>,
    buffer: &mut impl Buf,
) -> Poll<io::Result<()>> {
    while buffer.has_remaining() {
        match ready!(Pin::new(&mut *stream).poll_write(context, buffer.chunk()))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => buffer.advance(written),
        }
    }
    Poll::Ready(Ok(()))
}
