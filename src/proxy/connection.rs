//! One visitor's connection: HTTP/1.1 or HTTP/2, its timeouts, its orderly end.
//!
//! Timeouts cost a request nothing: the connection notes in which phase it is and since which tick
//! of its worker's coarse clock, and the worker looks through its connections now and then.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use super::handler::handle;
use super::headers::Peer;
use super::site::Snapshot;
use super::watched::WatchedStream;
use super::worker::Worker;
use crate::telemetry::ErrorKind;

/// Nothing is under way.
const IDLE: u8 = 0;
/// The first octets of a request have come.
const HEAD: u8 = 1;
/// At least one request is being answered.
const BUSY: u8 = 2;

const GO_ON: u8 = 0;
const FINISH: u8 = 1;
const CLOSE: u8 = 2;

/// What is known of a visitor's connection.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) peer: Peer,
    pub(super) worker: Arc<Worker>,
    requests: AtomicU32,
    phase: AtomicU8,
    /// The worker's tick at the last movement.
    since: AtomicU64,
    /// The visitor does not take what is written.
    blocked: AtomicBool,
    http2: AtomicBool,
    order: AtomicU8,
    waker: AtomicWaker,
}

impl Visitor {
    pub(super) fn new(worker: Arc<Worker>, address: SocketAddr, snapshot: &Snapshot) -> Self {
        let ip = address.ip().to_canonical();
        let trusted = snapshot.trusted_proxies.iter().any(|net| net.contains(&ip));
        Self {
            peer: Peer::new(ip, trusted, false),
            since: AtomicU64::new(worker.tick()),
            worker,
            requests: AtomicU32::new(0),
            phase: AtomicU8::new(IDLE),
            blocked: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            order: AtomicU8::new(GO_ON),
            waker: AtomicWaker::new(),
        }
    }

    pub(super) fn request_started(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.phase.store(BUSY, Relaxed);
        self.touch();
    }

    pub(super) fn request_ended(&self) {
        if self.requests.fetch_sub(1, Relaxed) == 1 {
            self.phase.store(IDLE, Relaxed);
        }
        self.touch();
    }

    fn touch(&self) {
        self.since.store(self.worker.tick(), Relaxed);
    }

    /// Octets have come.
    pub(super) fn received(&self, start: &[u8]) {
        match self.phase.load(Relaxed) {
            // The preface of HTTP/2; its frames say nothing of heads, so only idleness counts.
            IDLE if start.starts_with(b"PRI") => self.http2.store(true, Relaxed),
            IDLE if !self.http2.load(Relaxed) => {
                self.phase.store(HEAD, Relaxed);
                self.touch();
            }
            BUSY => self.touch(),
            _ => {}
        }
    }

    pub(super) fn written(&self, took: bool) {
        self.blocked.store(!took, Relaxed);
        if took {
            self.touch();
        }
    }

    /// Ends the connection when it has been in its phase for too long. Times are in ticks.
    pub(super) fn check(&self, now: u64, head: u64, idle: u64) {
        let waited = now.saturating_sub(self.since.load(Relaxed));
        match self.phase.load(Relaxed) {
            HEAD if waited >= head => self.order(CLOSE),
            IDLE if waited >= idle.saturating_mul(2) => self.order(CLOSE),
            IDLE if waited >= idle => self.order(FINISH),
            _ if waited >= idle && self.blocked.load(Relaxed) => self.order(CLOSE),
            _ => {}
        }
    }

    /// Lets the requests under way end, takes no new ones.
    pub(super) fn finish(&self) {
        self.order(FINISH);
    }

    fn order(&self, order: u8) {
        if self.order.fetch_max(order, Relaxed) < order {
            self.waker.wake();
        }
    }
}

/// Speaks HTTP on a connection until it ends.
pub(super) async fn serve(stream: TcpStream, visitor: Arc<Visitor>, snapshot: Arc<Snapshot>) {
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
        visitor.waker.register(context.waker());
        match visitor.order.load(Relaxed) {
            CLOSE => return Poll::Ready(Ok(())),
            FINISH if !finishing => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ => {}
        }
        connection.as_mut().poll(context)
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
