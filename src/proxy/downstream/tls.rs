//! TLS handshake with a client.
//!
//! Previous step: `worker_pool`. Next: `connection`, which detects HTTP/2 by its preface.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::proxy::downstream::client_stream::ClientStream;
use crate::proxy::downstream::connection;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::site_router::Snapshot;
use crate::proxy::socket_io::SocketIo;
use crate::telemetry::ErrorKind;

/// Maximum bytes of TLS records buffered for a slow client: one DATA frame of the default size.
const MAX_UNSENT: usize = 17 * 1024;

/// Performs the TLS handshake, then serves HTTP. The handshake has the same timeout as a request
/// head.
pub(crate) async fn serve(
    socket: ClientStream,
    connection_state: Arc<ConnectionState>,
    snapshot: Arc<Snapshot>,
) {
    let Some(tls) = snapshot.tls.clone() else { return };
    let longest = snapshot.timeouts.request_head;
    let forwards_certificate = snapshot.client_cert_fields;
    // The connection may outlive this config by far.
    drop(snapshot);
    let handshake = Box::pin(async {
        let mut first = [0];
        // A TLS record never begins with a letter, and an HTTP request always does.
        if socket.peek(&mut first).await? > 0 && first.first().is_some_and(u8::is_ascii_alphabetic)
        {
            return Ok(Err(socket));
        }
        TlsAcceptor::from(tls).accept(socket).await.map(Ok)
    });
    match tokio::time::timeout(longest, handshake).await {
        Ok(Ok(Ok(mut stream))) => {
            stream.get_mut().1.set_buffer_limit(Some(MAX_UNSENT));
            if forwards_certificate && let Some(chain) = stream.get_ref().1.peer_certificates() {
                connection_state.peer.set_certificate(chain);
            }
            connection::serve(SocketIo::Tls(Box::new(stream.into())), connection_state).await;
        }
        Ok(Ok(Err(socket))) => {
            connection_state.worker.metrics().error(ErrorKind::Tls);
            tracing::debug!("client sent plain HTTP to the HTTPS port");
            reject_plain_http(socket, longest).await;
        }
        Ok(Err(error)) => {
            connection_state.worker.metrics().error(ErrorKind::Tls);
            tracing::debug!(%error, "TLS handshake with a client failed");
        }
        Err(_) => {
            connection_state.worker.metrics().error(ErrorKind::Tls);
            tracing::debug!("TLS handshake with a client timed out");
        }
    }
}

/// Rejects a plain HTTP request with a 400 response.
async fn reject_plain_http(mut socket: ClientStream, longest: Duration) {
    let text = "This port accepts only HTTPS.\n";
    let response = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    let rejecting = async {
        socket.write_all(response.as_bytes()).await?;
        socket.shutdown().await?;
        // Closing with unread request bytes would reset the connection and lose the response.
        let mut unread = [0; 1024];
        for _ in 0..64 {
            if socket.read(&mut unread).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = tokio::time::timeout(longest, rejecting).await;
}
