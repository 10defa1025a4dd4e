//! HTTP/1.1 client connection: requests and responses in sequence, until the connection ends.
//!
//! One task serves the client and also polls the upstream connection. No buffer is held between
//! requests.
//!
//! Previous step: `connection`. Next: `handler`, once per request.

use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{Method, StatusCode, Version};

use crate::http::Response;
use crate::proxy::date;
use crate::proxy::downstream::activity::ShutdownCommand;
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::downstream::http1_request::{NextEvent, ReceivedRequest, poll_next};
use crate::proxy::downstream::http1_response::{
    MAX_UNWANTED_BYTES, ResponseContext, head_of, respond,
};
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::error_response;
use crate::proxy::request::handler::handle;
use crate::proxy::request::response_body::ReplyBody;
use crate::proxy::request::upgrade;

/// Maximum bytes read after the last response.
const MAX_LINGER_BYTES: usize = 1024 * 1024;
/// Maximum time for the client to stop sending after the last response (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Why HTTP/1.1 on a connection has ended.
pub(crate) enum End {
    Closed,
    /// The connection begins with the HTTP/2 preface, which is still unread.
    Http2,
    Failed(io::Error),
}

/// Serves requests until the connection ends.
pub(crate) async fn serve(session: &Arc<Http1Session>, visitor: &Arc<ConnectionState>) -> End {
    let client = &session.client;
    let mut first = true;
    loop {
        let next = match std::future::poll_fn(|context| poll_next(client, visitor, first, context))
            .await
        {
            Ok(next) => next,
            Err(error) => return End::Failed(error),
        };
        first = false;
        let goes_on = match next {
            NextEvent::End => {
                // No request is in flight, so the remaining bytes fit into the socket buffer.
                let _ = std::future::poll_fn(|context| {
                    let _ = client.state().io.poll_end(context);
                    Poll::Ready(())
                })
                .await;
                return End::Closed;
            }
            NextEvent::Http2 => return End::Http2,
            NextEvent::Refused(error) => refuse(client, visitor, &error).await.map(|()| false),
            // Boxed, so that a connection between requests does not reserve the memory.
            NextEvent::Request(incoming) => Box::pin(exchange(session, visitor, incoming)).await,
        };
        match goes_on {
            Ok(true) => {}
            Ok(false) => {
                linger(client, visitor).await;
                return End::Closed;
            }
            Err(error) => return End::Failed(error),
        }
    }
}

/// Handles a request and writes its response. Returns whether another request may follow.
async fn exchange(
    session: &Arc<Http1Session>,
    visitor: &Arc<ConnectionState>,
    incoming: Box<ReceivedRequest>,
) -> io::Result<bool> {
    let client = &session.client;
    let ReceivedRequest { request, received, persistent } = *incoming;
    let to = ResponseContext {
        to_head: request.method == Method::HEAD,
        http11: received.version == Version::HTTP_11,
        persistent,
    };
    let mut handling =
        std::pin::pin!(handle(Arc::clone(visitor), Some(Arc::clone(session)), request, received));
    let response = std::future::poll_fn(|context| {
        if visitor.activity.poll_order(context) == ShutdownCommand::Close {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Poll::Ready(response) = handling.as_mut().poll(context) {
            return Poll::Ready(Ok(response));
        }
        let mut state = client.state();
        if let Poll::Ready(Err(error)) = state.poll_drain(context) {
            return Poll::Ready(Err(error));
        }
        match state.watch(context) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    })
    .await?;
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return switch(session, visitor, response).await;
    }
    let goes_on = respond(client, visitor, response, to).await?;
    if !goes_on {
        return Ok(false);
    }
    skip_body(client, visitor).await
}

/// Writes a 101 response and joins the client and upstream connections. No further request may
/// follow.
async fn switch(
    session: &Arc<Http1Session>,
    visitor: &Arc<ConnectionState>,
    response: Response<ReplyBody>,
) -> io::Result<bool> {
    let client = &session.client;
    let (response, mut body) = response.into_parts();
    let upstream = session.take_upgraded();
    let upstream = upstream.ok_or_else(|| io::Error::other("there is nothing to switch to"))?;
    let mut head = head_of(&response, true);
    head.extend_from_slice(b"\r\n");
    client.state().io.queue(&head);
    std::future::poll_fn(|context| client.state().poll_drain(context)).await?;
    body.upgraded();
    drop(body);
    visitor.activity.tunnels();
    upgrade::join(client, upstream, visitor).await;
    Ok(false)
}

/// Reads and discards the rest of a request body. Returns whether its end was reached.
async fn skip_body(client: &Arc<Http1Client>, visitor: &Arc<ConnectionState>) -> io::Result<bool> {
    let mut left = MAX_UNWANTED_BYTES;
    std::future::poll_fn(|context| {
        loop {
            if client.state().body_has_ended() {
                return Poll::Ready(Ok(true));
            }
            if visitor.activity.poll_order(context) == ShutdownCommand::Close {
                return Poll::Ready(Ok(false));
            }
            let polled = client.state().poll_body(context);
            let Ok(Some(frame)) = ready!(polled) else { return Poll::Ready(Ok(false)) };
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return Poll::Ready(Ok(false)),
            }
        }
    })
    .await
}

/// Responds to an invalid request with an error page.
async fn refuse(
    client: &Arc<Http1Client>,
    visitor: &Arc<ConnectionState>,
    error: &ProxyError,
) -> io::Result<()> {
    visitor.worker.metrics().error(error.kind());
    let id = visitor.worker.request_id(visitor.worker.next_request());
    error.log(&id);
    let page = error_response::plain(error, &id);
    let (mut response, page) = Response::from_http(page).into_parts();
    response.fields.insert(&CONTENT_LENGTH, page.len().to_string());
    response.fields.insert(&CONNECTION, "close");
    let mut head = head_of(&response, true);
    date::write_field(&mut head);
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&page);
    client.state().io.queue(&head);
    std::future::poll_fn(|context| {
        if visitor.activity.poll_order(context) == ShutdownCommand::Close {
            return Poll::Ready(Ok(()));
        }
        client.state().poll_drain(context)
    })
    .await
}

/// Closes the sending side, then reads and discards client bytes for a moment.
///
/// Closing at once would reset the connection, and the client might lose the response (RFC 9112
/// section 9.6).
async fn linger(client: &Arc<Http1Client>, visitor: &Arc<ConnectionState>) {
    let (mut shut, mut read) = (false, 0);
    let lingering = std::future::poll_fn(|context| {
        let mut state = client.state();
        if !shut {
            match state.io.poll_end(context) {
                Poll::Ready(Ok(())) => shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        loop {
            state.io.consume(usize::MAX);
            if visitor.activity.poll_order(context) == ShutdownCommand::Close || state.half_closed {
                return Poll::Ready(());
            }
            match ready!(state.poll_read(context)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(new) => read += new,
            }
            if read > MAX_LINGER_BYTES {
                return Poll::Ready(());
            }
        }
    });
    let _ = tokio::time::timeout(LINGER, lingering).await;
}
