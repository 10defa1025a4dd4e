//! One visitor's connection: HTTP/1.1 or HTTP/2, until it ends or is told to.
//!
//! Previous step: `workers`, which accepted it. Next: `handler`, once for each request.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use super::handler::handle;
use super::site::Snapshot;
use super::visitor::{Order, Visitor};
use super::watched::WatchedStream;
use crate::telemetry::ErrorKind;

/// Speaks HTTP on a stream, plain or TLS, until it ends.
pub(super) async fn serve<S>(stream: S, visitor: Arc<Visitor>, snapshot: Arc<Snapshot>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(WatchedStream::new(stream, Arc::clone(&visitor)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = snapshot.limits.header_bytes;
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(snapshot.limits.header_fields)
        .max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    drop(snapshot);
    let of_service = Arc::clone(&visitor);
    let service = service_fn(move |request| handle(Arc::clone(&of_service), request));
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut finishing = false;
    let ended = std::future::poll_fn(|context| {
        let order = visitor.poll_order(context);
        loop {
            let finish = match order {
                Order::Close => return Poll::Ready(Ok(())),
                Order::Finish => true,
                Order::LastRequest => visitor.may_finish(),
                Order::GoOn => false,
            };
            if finish && !finishing {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            let polled = connection.as_mut().poll(context);
            // The last request may just have begun.
            let last = order == Order::LastRequest && !finishing && visitor.may_finish();
            if polled.is_ready() || !last {
                return polled;
            }
        }
    })
    .await;
    if let Err(error) = ended {
        visitor.worker.metrics().error(kind_of(&*error));
        tracing::debug!(error = %error, "a visitor's connection failed");
    }
}

/// What hyper answered with a 400 or 431 by itself was malformed; the rest broke off.
fn kind_of(error: &(dyn Error + Send + Sync + 'static)) -> ErrorKind {
    let malformed = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_parse() || error.is_parse_too_large());
    if malformed { ErrorKind::BadRequest } else { ErrorKind::Connection }
}
