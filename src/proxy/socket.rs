//! A connected socket that writes what little there is in one plain `send`.
//!
//! hyper writes a head and its body as two pieces. For a short response the vectored system call
//! costs more than putting the pieces side by side first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What is put side by side at most, in octets.
const SHORT: usize = 2048;

#[derive(Debug)]
pub(super) struct Socket(TcpStream);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(stream)
    }
}

/// A stream that can be asked whether there is anything to read, without a place to read it to.
pub(super) trait ReadReady: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Waits until there are octets, the end, or an error to be read.
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<()>;
}

impl ReadReady for TlsStream<Socket> {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let (socket, session) = self.get_ref();
        // What came along with the end of the handshake is in the session already.
        if session.wants_read() { socket.poll_read_ready(context) } else { Poll::Ready(()) }
    }
}

impl ReadReady for Socket {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error is there to be read, too.
        self.0.poll_read_ready(context).map(drop)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [piece] = pieces {
            return stream.poll_write(context, piece);
        }
        let mut short = [0; SHORT];
        let mut rest = &mut short[..];
        for piece in pieces {
            match rest.split_at_mut_checked(piece.len()) {
                Some((place, after)) => {
                    place.copy_from_slice(piece);
                    rest = after;
                }
                None => return stream.poll_write_vectored(context, pieces),
            }
        }
        let length = SHORT - rest.len();
        stream.poll_write(context, short.get(..length).unwrap_or_default())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
