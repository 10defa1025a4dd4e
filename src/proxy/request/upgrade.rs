//! Tunnel after a 101 response: copies bytes in both directions until both sides have closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::downstream::activity::ShutdownCommand;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::upstream::client::UpstreamClient;
use crate::proxy::upstream::pool::PooledConnection;

/// Copies bytes between the client and the upstream connection until both sides have closed or the
/// drain ends. The 101 response itself has passed the filter.
pub(crate) async fn join(
    client: &Arc<Http1Client>,
    upstream: PooledConnection,
    connection_state: &ConnectionState,
) {
    let UpstreamClient::Http1(connection) = upstream.sender else { return };
    let (mut left, mut right) = (ClientSide(client), connection.into_io());
    let closed =
        std::future::poll_fn(|context| match connection_state.activity.poll_command(context) {
            ShutdownCommand::Close => Poll::Ready(()),
            _ => Poll::Pending,
        });
    tokio::select! {
        // Either side may abort at any time, which is a normal end for a tunnel.
        _ = tokio::io::copy_bidirectional(&mut left, &mut right) => {}
        () = closed => {}
    }
}

/// The client connection as a byte stream.
struct ClientSide<'a>(&'a Http1Client);

impl AsyncRead for ClientSide<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.state().io).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientSide<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.state().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.state().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.0.state().io), context)
    }
}
