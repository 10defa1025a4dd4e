//! TLS with a visitor, before anything is said in HTTP.
//!
//! Previous step: `workers`. Next: `connection`, which tells HTTP/2 by its first octets.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::connection;
use super::site::Snapshot;
use super::socket::Socket;
use super::visitor::Visitor;
use crate::telemetry::ErrorKind;

/// Shakes hands, for no longer than the head of a request may take, and speaks HTTP from then on.
pub(super) async fn serve(socket: Socket, visitor: Arc<Visitor>, snapshot: Arc<Snapshot>) {
    let Some(tls) = snapshot.tls.clone() else { return };
    let longest = snapshot.timeouts.request_head;
    // The connection may outlive this config by far.
    drop(snapshot);
    let shaking = Box::pin(TlsAcceptor::from(tls).accept(socket));
    match tokio::time::timeout(longest, shaking).await {
        Ok(Ok(stream)) => connection::serve(stream, visitor).await,
        Ok(Err(error)) => {
            visitor.worker.metrics().error(ErrorKind::Tls);
            tracing::debug!(%error, "a visitor's TLS handshake failed");
        }
        Err(_) => {
            visitor.worker.metrics().error(ErrorKind::Tls);
            tracing::debug!("a visitor's TLS handshake took too long");
        }
    }
}
