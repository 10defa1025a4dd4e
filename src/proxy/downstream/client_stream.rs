//! TCP stream that joins short vectored writes into one plain `send`.
//!
//! hyper writes a head and its body as two slices. For a short response the vectored system call
//! costs more than copying the slices into one buffer.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Maximum bytes that are joined.
const SHORT: usize = 2048;

/// Maximum consecutive reads with data before the task yields to other tasks of its worker.
const MAX_READS: u8 = 4;

#[derive(Debug)]
pub(crate) struct ClientStream {
    stream: TcpStream,
    /// Consecutive reads that returned data.
    reads: u8,
}

impl ClientStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, reads: 0 }
    }

    /// Reads the next bytes without consuming them.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(bytes).await
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A peer may send without end, and must not starve other connections.
        if self.reads >= MAX_READS {
            self.reads = 0;
            // `yield_now` wakes the task after the runtime has polled for other ready sockets.
            // Otherwise the runtime polls only after many tasks.
            return pin!(tokio::task::yield_now()).poll(context).map(Ok);
        }
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.reads = if read.is_ready() { self.reads + 1 } else { 0 };
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
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
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::{Wake, Waker};

    use super::*;

    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn a_socket_with_constant_data_yields_and_is_polled_again() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut peer, _) = listener.accept().expect("a connection");
        peer.write_all(&[7; 64]).expect("written");
        stream.readable().await.expect("data");
        let mut socket = ClientStream::new(stream);
        let counted = Arc::new(Counted(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&counted));
        let mut read = || {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            let mut context = Context::from_waker(&waker);
            Pin::new(&mut socket).poll_read(&mut context, &mut buffer).is_ready()
        };
        for pauses in 1..=2 {
            let reads: Vec<bool> = (0..=MAX_READS).map(|_| read()).collect();
            assert!(
                reads.iter().take(MAX_READS.into()).all(|found| *found)
                    && reads.last() == Some(&false)
            );
            tokio::task::yield_now().await;
            assert_eq!(counted.0.load(Relaxed), pauses, "each pause wakes the task");
        }
    }
}
