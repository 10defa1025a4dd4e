//! One visitor's connection: HTTP/1.1 or HTTP/2, until it ends or is told to.
//!
//! A connection of HTTP/1.1 on which nothing happens gives its buffers and its state back and is the bare socket,
//! until octets come again.
//!
//! Previous step: `workers`, which accepted it. Next: `handler`, once for each request.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::UpgradeableConnection;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use super::gathered::Gathered;
use super::handler::handle;
use super::pool::PrivateConnections;
use super::response_body::ServedBody;
use super::socket::ReadReady;
use super::visitor::{Order, Visitor};
use super::watched::WatchedStream;
use crate::config::settings::Limits;
use crate::http::binds_connection;
use crate::telemetry::ErrorKind;

/// How requests of HTTP/2 begin (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long nothing happens on a connection before it gives back what it holds; up to twice as long.
const REST: Duration = Duration::from_millis(50);

/// How an error comes from hyper, or from below it.
type Failure = Box<dyn Error + Send + Sync>;

/// How a connection stops being served.
enum Stop<S> {
    /// It has ended.
    Ended(Result<(), Failure>),
    /// Nothing is under way: what it needs until that changes.
    Rests(WatchedStream<S>),
}

/// Speaks HTTP on a stream, plain or TLS, until it ends.
pub(super) async fn serve<S: ReadReady>(stream: S, visitor: Arc<Visitor>) {
    let mut stream = WatchedStream::new(stream, Arc::clone(&visitor));
    let private = Arc::default();
    let mut first = true;
    loop {
        if !readable(&stream, &visitor).await {
            // What it says is "no more" by TLS, and fits into the socket: nothing is under way.
            let _ = stream.shutdown().now_or_never();
            return;
        }
        // Boxed, so that a connection at rest does not hold the place.
        match Box::pin(serve_awake(stream, (&visitor, &private), first)).await {
            Stop::Rests(resting) => {
                visitor.recall.forget();
                stream = resting;
            }
            Stop::Ended(Ok(())) => return,
            Stop::Ended(Err(error)) => {
                visitor.worker.metrics().error(kind_of(&*error));
                return tracing::debug!(error = %error, "a visitor's connection failed");
            }
        }
        first = false;
    }
}

/// Waits for octets; `false` when the connection is to end instead.
async fn readable<S: ReadReady>(stream: &WatchedStream<S>, visitor: &Visitor) -> bool {
    std::future::poll_fn(|context| match visitor.poll_order(context) {
        Order::Close | Order::Finish => Poll::Ready(false),
        Order::LastRequest | Order::GoOn => stream.poll_read_ready(context).map(|()| true),
    })
    .await
}

/// Speaks HTTP from the octets that are there until nothing is under way.
async fn serve_awake<S: ReadReady>(
    mut stream: WatchedStream<S>,
    (visitor, private): (&Arc<Visitor>, &Arc<PrivateConnections>),
    first: bool,
) -> Stop<S> {
    let speaks_http2 = match first {
        true => speaks_http2(&mut stream, visitor).await,
        false => Ok(Some(false)),
    };
    let of_service = Arc::clone(visitor);
    match speaks_http2 {
        Err(error) => Stop::Ended(Err(error.into())),
        Ok(None) => Stop::Ended(Ok(())),
        Ok(Some(true)) => {
            visitor.speaks_http2();
            // Boxed here: on its way into a task of its own it is moved half a dozen times.
            let service = service_fn(move |request| Box::pin(handle_http2(&of_service, request)));
            Stop::Ended(serve_http2(stream, service, visitor).await)
        }
        Ok(Some(false)) => {
            let private = Arc::clone(private);
            let handle =
                move |request| handle(Arc::clone(&of_service), Some(Arc::clone(&private)), request);
            serve_http1(stream, service_fn(handle), visitor).await
        }
    }
}

/// Whether the first octets are the preface of HTTP/2. They are put back. `None` when there are none.
async fn speaks_http2<S: ReadReady>(
    stream: &mut WatchedStream<S>,
    visitor: &Visitor,
) -> io::Result<Option<bool>> {
    let mut read = [0; PREFACE.len()];
    let mut length = 0;
    let outcome = std::future::poll_fn(|context| {
        if matches!(visitor.poll_order(context), Order::Close | Order::Finish) {
            return Poll::Ready(Ok(None));
        }
        loop {
            let (sofar, place) = read.split_at_mut(length);
            if sofar != PREFACE.get(..length).unwrap_or_default() {
                return Poll::Ready(Ok(Some(false)));
            }
            if place.is_empty() {
                return Poll::Ready(Ok(Some(true)));
            }
            let mut buffer = ReadBuf::new(place);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Ok((length > 0).then_some(false)));
                }
                Poll::Ready(Ok(())) => length += buffer.filled().len(),
            }
        }
    })
    .await;
    stream.put_back(read.get(..length).unwrap_or_default());
    outcome
}

/// Handles a request of HTTP/2. One that authenticates its connection is rejected: an HTTP/2 connection carries the
/// requests of many users side by side where a proxy is the client. Clients repeat it by HTTP/1.1 (RFC 9113 section 7).
fn handle_http2(
    visitor: &Arc<Visitor>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ServedBody>, h2::Error>> + use<> {
    let binds = binds_connection(request.headers());
    if binds {
        visitor.worker.metrics().error(ErrorKind::BadRequest);
        tracing::debug!("rejected connection authentication over HTTP/2: HTTP/1.1 is required");
    }
    let handled = (!binds).then(|| handle(Arc::clone(visitor), None, request));
    async move {
        match handled {
            Some(handled) => handled.await.map_err(|never| match never {}),
            None => Err(h2::Reason::HTTP_1_1_REQUIRED.into()),
        }
    }
}

async fn serve_http2<S, H>(
    stream: WatchedStream<S>,
    service: H,
    visitor: &Visitor,
) -> Result<(), Failure>
where
    S: ReadReady,
    H: HttpService<Incoming, ResBody = ServedBody, Error = h2::Error, Future: Send + 'static>,
{
    let limits = visitor.worker.snapshot().limits;
    let stream = Gathered::new(stream);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(stream.clone()), service);
    let mut connection = pin!(connection);
    let mut finishing = false;
    std::future::poll_fn(|context| {
        let finish = match visitor.poll_order(context) {
            Order::Close => return Poll::Ready(Ok(())),
            Order::Finish | Order::LastRequest => true,
            Order::GoOn => false,
        };
        if finish && !std::mem::replace(&mut finishing, true) {
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(context).map_err(Failure::from);
        match stream.poll_hand_over(context) {
            Poll::Ready(Err(error)) if ended.is_pending() => Poll::Ready(Err(error.into())),
            Poll::Ready(_) | Poll::Pending => ended,
        }
    })
    .await
}

async fn serve_http1<S, H>(stream: WatchedStream<S>, service: H, visitor: &Visitor) -> Stop<S>
where
    S: ReadReady,
    H: HttpService<Incoming, ResBody = ServedBody, Error = Infallible>,
{
    let Limits { header_bytes, header_fields, .. } = visitor.worker.snapshot().limits;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(header_fields)
        .max_buf_size(header_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = Some(connection);
    let mut finishing = false;
    // It is set when nothing is under way, at most once in its time: a request costs it nothing.
    let mut rest = pin!(tokio::time::sleep(REST));
    let (mut set, mut moved) = (false, false);
    std::future::poll_fn(|context| {
        let rested = set && rest.as_mut().poll(context).is_ready();
        set &= !rested;
        moved |= !rested;
        let order = visitor.poll_order(context);
        loop {
            let Some(running) = &mut connection else { return Poll::Ready(Stop::Ended(Ok(()))) };
            let finish = match order {
                Order::Close => return Poll::Ready(Stop::Ended(Ok(()))),
                Order::Finish => true,
                Order::LastRequest => visitor.may_finish(),
                Order::GoOn => false,
            };
            if finish && !std::mem::replace(&mut finishing, true) {
                Pin::new(&mut *running).graceful_shutdown();
            }
            if let Poll::Ready(ended) = Pin::new(running).poll(context) {
                return Poll::Ready(Stop::Ended(ended.map_err(Into::into)));
            }
            if !set && !finishing && visitor.is_settled() {
                if rested && !moved {
                    let parts = connection.take().and_then(UpgradeableConnection::into_parts);
                    let Some(parts) = parts else { continue };
                    let mut stream = parts.io.into_inner();
                    stream.put_back(&parts.read_buf);
                    return Poll::Ready(Stop::Rests(stream));
                }
                rest.as_mut().reset(Instant::now() + REST);
                set = rest.as_mut().poll(context).is_pending();
                moved = false;
            }
            // The last request may just have begun.
            if finishing || order != Order::LastRequest || !visitor.may_finish() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// What hyper answered with a 400 or 431 by itself was malformed; the rest broke off.
fn kind_of(error: &(dyn Error + Send + Sync + 'static)) -> ErrorKind {
    let malformed = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_parse() || error.is_parse_too_large());
    if malformed { ErrorKind::BadRequest } else { ErrorKind::Connection }
}
