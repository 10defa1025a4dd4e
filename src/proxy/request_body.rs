//! A request's body on its way from the visitor to the upstream: streamed, watched, never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;

use crate::filter::Filter;

/// Why a request's body is not forwarded to its end.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("the body is larger than the site takes")]
    TooLarge,
}

/// How far a request's body has come, for the timeouts of its response.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    /// Milliseconds from `started` to the last frame.
    last: AtomicU64,
    /// Whether the upstream would take more than the visitor has sent.
    awaits_visitor: AtomicBool,
    too_large: AtomicBool,
    broken: AtomicBool,
}

impl Progress {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            last: AtomicU64::new(0),
            awaits_visitor: AtomicBool::new(false),
            too_large: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }

    /// Whether more has come than is taken.
    pub(super) fn is_too_large(&self) -> bool {
        self.too_large.load(Relaxed)
    }

    /// Whether what has come is no body, or its end is missing.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// How long nothing has moved.
    pub(super) fn stalled_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }

    /// Whether it is the visitor who is waited for.
    pub(super) fn awaits_visitor(&self) -> bool {
        self.awaits_visitor.load(Relaxed)
    }

    fn moved(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Relaxed);
    }
}

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub(super) struct VisitorBody {
    /// `None` for a request that is sent again: only those without a body are.
    inner: Option<Incoming>,
    /// The unread bodies of the client connection, until this one has been read to its end.
    unread: Option<Arc<AtomicU32>>,
    progress: Option<Arc<Progress>>,
    /// Judges the trailers; `None` without a body.
    filter: Option<Arc<Filter>>,
    /// The octets that may still come.
    left: u64,
    /// Whether anybody has asked for it.
    touched: bool,
}

/// The most octets of a body that nobody wants which are taken to keep the connection.
const MOST_UNWANTED_OCTETS: u64 = 64 * 1024;

impl VisitorBody {
    /// A body of at most `most` bytes, counted in `unread` already.
    pub(super) fn new(
        inner: Incoming,
        most: Option<u64>,
        filter: &Arc<Filter>,
        unread: &Arc<AtomicU32>,
    ) -> Self {
        let has_body = !inner.is_end_stream();
        Self {
            inner: Some(inner),
            unread: has_body.then(|| Arc::clone(unread)),
            progress: has_body.then(|| Arc::new(Progress::new())),
            filter: has_body.then(|| Arc::clone(filter)),
            left: most.unwrap_or(u64::MAX),
            touched: false,
        }
    }

    pub(super) fn empty() -> Self {
        Self { inner: None, unread: None, progress: None, filter: None, left: 0, touched: false }
    }

    /// `None` for a request without a body.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }
}

impl Body for VisitorBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.touched = true;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *inner).poll_frame(context);
        note_end(inner, &polled, &mut this.unread);
        if let Some(progress) = &this.progress {
            progress.awaits_visitor.store(polled.is_pending(), Relaxed);
            if let Poll::Ready(frame) = &polled {
                progress.moved();
                if matches!(frame, Some(Err(_))) {
                    progress.broken.store(true, Relaxed);
                }
            }
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            match this.left.checked_sub(data.len() as u64) {
                Some(left) => this.left = left,
                None => {
                    if let Some(progress) = &this.progress {
                        progress.too_large.store(true, Relaxed);
                    }
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                }
            }
        }
        let frame = match polled {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other.map_err(BodyError::Broken),
        };
        let frame = frame.into_trailers().map(|mut trailers| {
            if let Some(filter) = &this.filter {
                filter.strip_request_trailers(&mut trailers);
            }
            Frame::trailers(trailers)
        });
        Poll::Ready(Some(Ok(frame.unwrap_or_else(|data| data))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Reports a body that has been read to its end to the client connection, once.
fn note_end(
    body: &Incoming,
    polled: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>,
    unread: &mut Option<Arc<AtomicU32>>,
) {
    let ended = match polled {
        Poll::Ready(None) => true,
        Poll::Ready(Some(Ok(_))) => body.is_end_stream(),
        Poll::Ready(Some(Err(_))) | Poll::Pending => false,
    };
    if ended && let Some(unread) = unread.take() {
        unread.fetch_sub(1, Relaxed);
    }
}

impl Drop for VisitorBody {
    /// A beacon that was answered here, say, still has its body on the way. Closing the connection
    /// would take the answer with it: a short rest is taken and forgotten.
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else { return };
        let short = inner.size_hint().lower() <= MOST_UNWANTED_OCTETS;
        if self.touched || inner.is_end_stream() || !short {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut unread = self.unread.take();
            runtime.spawn(async move {
                let mut octets = 0;
                loop {
                    let polled = Poll::Ready(inner.frame().await);
                    note_end(&inner, &polled, &mut unread);
                    let Poll::Ready(Some(Ok(frame))) = polled else { return };
                    octets += frame.data_ref().map_or(0, Bytes::len) as u64;
                    if octets > MOST_UNWANTED_OCTETS {
                        return;
                    }
                }
            });
        }
    }
}
