//! A connection to an upstream that requests are sent on: by HTTP/1.1 one after the other, by HTTP/2 side by side.
//!
//! Each version wants a request in its own form; which one it is turns out only when hands have been shaken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Context;
use std::time::Duration;

use futures_util::future::Either;
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::driven::{Driven, Sent};
use super::error::ProxyError;
use super::request_body::VisitorBody;
use crate::config::settings::Limits;

/// The most requests side by side on one connection, where the upstream takes so many.
const MOST_STREAMS: usize = 100;
/// How much of a body may be on its way, for each request and for a connection (RFC 9113 section 6.9).
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// When a silent upstream is asked whether it is there, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// A connection that requests are sent on.
#[derive(Debug)]
pub(super) enum Sender {
    Http1(Box<Driven>),
    Http2(Shared),
}

/// A connection that many requests are on.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    sender: http2::SendRequest<VisitorBody>,
    streams: Arc<Streams>,
    scheme: Scheme,
}

/// The requests on a shared connection.
#[derive(Debug)]
struct Streams {
    open: AtomicUsize,
    /// As many as the upstream takes.
    most: AtomicUsize,
}

/// A request's place on a shared connection.
#[derive(Debug)]
pub(super) struct Stream(Arc<Streams>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    /// A place on it; `None` when it is full or has ended.
    pub(super) fn place(&self) -> Option<Stream> {
        let Streams { open, most } = &*self.streams;
        if self.sender.is_closed() || open.load(Relaxed) >= most.load(Relaxed) {
            return None;
        }
        open.fetch_add(1, Relaxed);
        Some(Stream(Arc::clone(&self.streams)))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.open.load(Relaxed) == 0
    }
}

/// Begins to speak HTTP/1.1 on a stream.
pub(super) async fn http1<S>(stream: S, limits: &Limits) -> Result<Sender, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Ok(Sender::Http1(Box::new(Driven::on(stream, limits).await?)))
}

/// Begins to speak HTTP/2 on a stream.
pub(super) async fn http2<S>(
    stream: S,
    scheme: Scheme,
    limits: &Limits,
) -> Result<Sender, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header_list = u32::try_from(limits.header_bytes.max(64 * 1024)).unwrap_or(u32::MAX);
    let (every, patience) = PING;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(header_list)
        .keep_alive_interval(every)
        .keep_alive_timeout(patience)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ProxyError::Upstream)?;
    let most = AtomicUsize::new(MOST_STREAMS);
    let streams = Arc::new(Streams { open: AtomicUsize::new(0), most });
    let told = Arc::clone(&streams);
    let mut connection = Box::pin(connection);
    tokio::spawn(std::future::poll_fn(move |context| {
        let polled = connection.as_mut().poll(context);
        // It says so in its settings (RFC 9113 section 6.5.2). They are looked at whenever a request is handed
        // over: what comes at once before that waits inside of h2.
        told.most.store(connection.current_max_send_streams().min(MOST_STREAMS), Relaxed);
        polled.map(|_| ())
    }));
    Ok(Sender::Http2(Shared { sender, streams, scheme }))
}

impl Sender {
    /// Sends a request in the form that the connection wants.
    ///
    /// # Errors
    /// When its host cannot be said in HTTP/2.
    pub(super) fn send(
        &mut self,
        mut request: Request<VisitorBody>,
    ) -> Result<impl Future<Output = Sent> + use<>, ProxyError> {
        match self {
            Self::Http1(driven) => {
                // A request of HTTP/1.1 is written a moment later by the connection's task, and with it those of other
                // visitors: each by itself would wake the origin, which costs more than the task does. Those that switch
                // protocols and those that ask after the upstream's health are of HTTP/1.1 too: nobody moves theirs on.
                if request.version() != Version::HTTP_2 || request.body().progress().is_some() {
                    driven.detach();
                }
                fit_http1(&mut request);
                Ok(Either::Left(driven.send(request)))
            }
            Self::Http2(shared) => {
                fit_http2(&mut request, shared.scheme.clone())?;
                Ok(Either::Right(shared.sender.try_send_request(request)))
            }
        }
    }

    /// Waits until another request can be sent. An error means that the connection has ended.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(driven) => driven.ready().await,
            Self::Http2(shared) => shared.sender.ready().await,
        }
    }

    /// Moves the connection on, where it has no task of its own: before its answer is waited for.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        if let Self::Http1(driven) = self {
            driven.drive(context);
        }
    }
}

/// The target without scheme and authority, which `Host` has (RFC 9112 section 3.2.1).
fn fit_http1<B>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_11;
    let Some(authority) = request.uri().authority() else { return };
    let host = HeaderValue::from_str(authority.as_str());
    *request.uri_mut() = Uri::from(path_of(request.uri()));
    if let Ok(host) = host
        && !request.headers().contains_key(HOST)
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// The target with scheme and authority, and no `Host` and no fields of the connection
/// (RFC 9113 sections 8.2.2 and 8.3.1).
fn fit_http2<B>(request: &mut Request<B>, scheme: Scheme) -> Result<(), ProxyError> {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    let host = headers.remove(HOST);
    let authority = match &host {
        Some(host) => Authority::try_from(host.as_bytes()).map_err(|_| ProxyError::BadHost)?,
        None => request.uri().authority().cloned().ok_or(ProxyError::BadHost)?,
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_of(request.uri()));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ProxyError::BadHost)?;
    Ok(())
}

fn path_of(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_the_form_of_either_version_and_back() {
        let mut request = Request::builder()
            .uri("/a?b=c")
            .header("host", "shop.example:8080")
            .header("te", "trailers")
            .header("connection", "te")
            .body(())
            .expect("a request");
        fit_http2(&mut request, Scheme::HTTPS).expect("a host");
        assert_eq!(request.uri(), "https://shop.example:8080/a?b=c");
        assert_eq!(request.version(), Version::HTTP_2);
        assert!(!request.headers().contains_key("host"));
        assert!(!request.headers().contains_key("connection"));
        assert_eq!(request.headers()["te"], "trailers");
        // A second time, for it may be sent again.
        fit_http2(&mut request, Scheme::HTTP).expect("a host");
        assert_eq!(request.uri(), "http://shop.example:8080/a?b=c");
        fit_http1(&mut request);
        assert_eq!(request.uri(), "/a?b=c");
        assert_eq!(request.headers()["host"], "shop.example:8080");
        assert_eq!(request.version(), Version::HTTP_11);
    }

    #[test]
    fn a_host_that_http_2_cannot_say_is_refused() {
        let request = Request::builder().uri("/").header("host", "a b").body(());
        let mut request = request.expect("a request");
        assert!(matches!(fit_http2(&mut request, Scheme::HTTP), Err(ProxyError::BadHost)));
    }
}
