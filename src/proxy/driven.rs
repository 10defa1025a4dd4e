//! A connection of HTTP/1.1 to an upstream that whoever waits for its answer moves on: it has no task of its own, and so
//! a request wakes nobody but itself.
//!
//! A connection may get a task all the same, and keeps it: for a request with a body, which is sent and answered at the same
//! time by two that may wait for each other, and for visitors of HTTP/1.1 (`sender` has the reason).

use std::pin::Pin;
use std::task::{Context, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::ProxyError;
use super::request_body::VisitorBody;
use crate::config::settings::Limits;

/// What hyper says of a request that it was given.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<VisitorBody>>>;

/// A connection to an upstream, for one request after the other.
pub(super) struct Driven {
    sender: SendRequest<VisitorBody>,
    /// `None` when it has ended or a task of its own.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl std::fmt::Debug for Driven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}

impl Driven {
    /// Begins to speak HTTP/1.1 on a stream.
    pub(super) async fn on<S>(stream: S, limits: &Limits) -> Result<Self, ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(limits.header_fields.max(256))
            // An answer of 64 KiB in one piece: a tenth less CPU than in two.
            .max_buf_size(limits.header_bytes.max(128 * 1024))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ProxyError::Upstream)?;
        // It ends with its last request, or when the upstream closes it. Its errors reach the
        // request that it serves; without one they concern nobody.
        let mut connection = connection.with_upgrades();
        let connection = async move {
            let _ = (&mut connection).await;
        };
        Ok(Self { sender, connection: Some(Box::pin(connection)) })
    }

    /// Sends a request. Its answer comes while the connection is moved on.
    pub(super) fn send(
        &mut self,
        request: Request<VisitorBody>,
    ) -> impl Future<Output = Sent> + use<> {
        self.sender.try_send_request(request)
    }

    /// Moves the connection on, as far as it goes.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(context).is_ready()
        {
            self.connection = None;
        }
    }

    /// Gives the connection a task of its own, for what goes on without anybody who waits for an answer.
    pub(super) fn detach(&mut self) {
        if let Some(connection) = self.connection.take() {
            tokio::spawn(connection);
        }
    }

    /// Looks whether the upstream has closed a connection that nobody waits at.
    pub(super) fn look(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether another request can be sent, after a look.
    pub(super) fn is_ready(&mut self) -> bool {
        self.look();
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Waits until another request can be sent. An error means that the connection has ended.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        std::future::poll_fn(|context| {
            self.drive(context);
            self.sender.poll_ready(context)
        })
        .await
    }

    /// Whether it has ended, as far as is known.
    pub(super) fn has_ended(&self) -> bool {
        self.sender.is_closed()
    }
}
