//! One client connection over HTTP/1.1 or HTTP/2, from the first byte to its end.
//!
//! Previous step: `worker_pool`, which spawned the connection's task. Next: `http1_connection`, or
//! for HTTP/2 `handler`, once per request.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::Method;
use http::header::CONTENT_LENGTH;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::http::{Fields, Request, binds_connection};
use crate::proxy::downstream::activity::ShutdownCommand;
use crate::proxy::downstream::activity_stream::ActivityStream;
use crate::proxy::downstream::client_body::ClientBody;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::downstream::http1_connection::{self, End};
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::downstream::send_gate::{GatedBody, SendGate};
use crate::proxy::downstream::write_coalescer::CoalescingStream;
use crate::proxy::http1_io::Http1Io;
use crate::proxy::request::handler::{RequestLine, handle};
use crate::proxy::request::response_body::ReplyBody;
use crate::proxy::socket_io::SocketIo;
use crate::telemetry::ErrorKind;

/// Maximum buffered response bytes per HTTP/2 stream. With 1, each part must be sent before the
/// next is read.
const MAX_SEND_BUFFER: usize = 1;

/// An error from hyper or from a layer below.
type ConnectionError = Box<dyn Error + Send + Sync>;

/// Serves HTTP on a socket, plain or TLS, until the connection ends.
pub(crate) async fn serve(socket: SocketIo, visitor: Arc<ConnectionState>) {
    let client = Http1Client::new(Http1Io::new(socket), Arc::clone(&visitor.activity));
    let session = Http1Session::new(Arc::clone(&client));
    let ended = match http1_connection::serve(&session, &visitor).await {
        End::Closed => Ok(()),
        End::Failed(error) => Err(error.into()),
        End::Http2 => {
            drop(session);
            Box::pin(speak_http2(client, &visitor)).await
        }
    };
    if let Err(error) = ended {
        visitor.worker.metrics().error(ErrorKind::Connection);
        tracing::debug!(%error, "client connection failed");
    }
}

/// Serves HTTP/2 from the first byte on.
async fn speak_http2(
    client: Arc<Http1Client>,
    visitor: &Arc<ConnectionState>,
) -> Result<(), ConnectionError> {
    visitor.activity.speaks_http2();
    let Some((socket, unread)) = client.into_socket() else {
        return Err(io::Error::other("the connection is in use").into());
    };
    let mut stream = ActivityStream::new(socket, Arc::clone(visitor));
    stream.rewind(&unread);
    let of_service = Arc::clone(visitor);
    let gate = Arc::new(SendGate::default());
    let of_bodies = Arc::clone(&gate);
    // Boxed here: hyper moves the future several times before it is spawned.
    let service = service_fn(move |request| {
        let handled = handle_http2(&of_service, request);
        let gate = Arc::clone(&of_bodies);
        Box::pin(async move { Ok(handled.await?.map(|body| GatedBody::new(body, gate))) })
    });
    serve_http2(stream, service, visitor, &gate).await
}

/// Handles an HTTP/2 request, unless it authenticates its connection.
///
/// Such a request is rejected with HTTP_1_1_REQUIRED. An HTTP/2 connection from a proxy carries
/// concurrent requests of many users. Clients retry over HTTP/1.1 (RFC 9113 section 7).
fn handle_http2(
    visitor: &Arc<ConnectionState>,
    mut request: http::Request<Incoming>,
) -> impl Future<Output = Result<http::Response<ReplyBody>, h2::Error>> + use<> {
    let binds = binds_connection(request.headers());
    if binds {
        visitor.worker.metrics().error(ErrorKind::BadRequest);
        tracing::debug!("rejected connection authentication over HTTP/2: HTTP/1.1 is required");
    }
    let to_head = request.method() == Method::HEAD;
    let handled = (!binds).then(|| {
        let received = RequestLine::of_http2(&mut request);
        let request = Request::from_http(request.map(ClientBody::Http2));
        handle(Arc::clone(visitor), None, request, received)
    });
    async move {
        match handled {
            Some(handled) => {
                let mut response = handled.await;
                if to_head
                    && let Some(length) = response.body.suppress()
                    && !response.fields.has(&CONTENT_LENGTH)
                {
                    response.fields.append(&CONTENT_LENGTH, length.to_string());
                }
                Ok(response.into_http())
            }
            None => Err(h2::Reason::HTTP_1_1_REQUIRED.into()),
        }
    }
}

async fn serve_http2<H>(
    stream: ActivityStream,
    service: H,
    visitor: &ConnectionState,
    gate: &SendGate,
) -> Result<(), ConnectionError>
where
    H: HttpService<
            Incoming,
            ResBody = GatedBody<ReplyBody>,
            Error = h2::Error,
            Future: Send + 'static,
        >,
{
    let limits = visitor.worker.snapshot().limits;
    let stream = CoalescingStream::new(stream);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(stream.clone()), service);
    let mut connection = pin!(connection);
    let mut finishing = false;
    std::future::poll_fn(|context| {
        let finish = match visitor.activity.poll_order(context) {
            ShutdownCommand::Close => return Poll::Ready(Ok(())),
            ShutdownCommand::Finish | ShutdownCommand::LastRequest => true,
            ShutdownCommand::GoOn => false,
        };
        if finish && !std::mem::replace(&mut finishing, true) {
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(context).map_err(ConnectionError::from);
        let handed_over = stream.poll_hand_over(context);
        gate.set(handed_over.is_pending());
        match handed_over {
            Poll::Ready(Err(error)) if ended.is_pending() => Poll::Ready(Err(error.into())),
            Poll::Ready(_) | Poll::Pending => ended,
        }
    })
    .await
}
