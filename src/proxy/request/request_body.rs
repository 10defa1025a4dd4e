//! Request body on its way from the client to the upstream: streamed and observed, never buffered
//! as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::filter::Filter;
use crate::proxy::downstream::client_body::ClientBody;
use crate::proxy::request::replay::{AttemptBody, RetryableRequest};
use crate::proxy::upstream::failure::BodyError;

/// Progress of a request body, used by the response timeouts.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    /// Milliseconds from `started` to the last frame.
    last: AtomicU64,
    /// The upstream side waits for more bytes from the client.
    awaits_client: AtomicBool,
    too_large: AtomicBool,
    broken: AtomicBool,
}

impl Progress {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            last: AtomicU64::new(0),
            awaits_client: AtomicBool::new(false),
            too_large: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }

    /// Whether the body exceeds the size limit.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large.load(Relaxed)
    }

    /// Whether the body is malformed or truncated.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Time since the last progress.
    pub(crate) fn stalled_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }

    /// Whether the body is waiting for the client.
    pub(crate) fn awaits_client(&self) -> bool {
        self.awaits_client.load(Relaxed)
    }

    fn record_progress(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Relaxed);
    }
}

/// A request body on its way to the upstream.
#[derive(Debug)]
pub(crate) struct UpstreamRequestBody {
    source: BodySource,
    progress: Option<Arc<Progress>>,
    /// Filters the trailers; `None` without a body.
    filter: Option<Arc<Filter>>,
    /// Remaining bytes of the size limit.
    left: u64,
    /// The body has been polled and has returned a result.
    polled_once: bool,
}

/// The source of a body.
#[derive(Debug)]
enum BodySource {
    /// No body.
    Empty,
    Client(ClientBody),
    /// A body that can be replayed.
    Replayable(Box<AttemptBody>),
}

impl BodySource {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Client(body) => body.poll_frame(context),
            Self::Replayable(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(body) => body.is_end_stream(),
            Self::Replayable(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(body) => body.size_hint(),
            Self::Replayable(body) => body.size_hint(),
        }
    }
}

impl UpstreamRequestBody {
    /// Creates a body of at most `limit` bytes.
    pub(crate) fn new(body: ClientBody, limit: Option<u64>, filter: &Arc<Filter>) -> Self {
        Self::from(BodySource::Client(body), limit.unwrap_or(u64::MAX), filter)
    }

    pub(crate) fn empty() -> Self {
        Self {
            source: BodySource::Empty,
            progress: None,
            filter: None,
            left: 0,
            polled_once: false,
        }
    }

    fn from(source: BodySource, left: u64, filter: &Arc<Filter>) -> Self {
        let has_body = !source.is_end_stream();
        Self {
            source,
            progress: has_body.then(|| Arc::new(Progress::new())),
            filter: has_body.then(|| Arc::clone(filter)),
            left,
            polled_once: false,
        }
    }

    /// Progress of the body; `None` for a request without a body.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    /// Starts to keep the sent bytes for a second attempt.
    pub(crate) fn make_replayable(&mut self) -> RetryBody {
        let Some(filter) = self.filter.clone() else { return RetryBody::Empty };
        let left = self.left;
        let attempt = match std::mem::replace(&mut self.source, BodySource::Empty) {
            BodySource::Empty => return RetryBody::Empty,
            BodySource::Client(body) => Box::new(AttemptBody::first(body)),
            BodySource::Replayable(attempt) => attempt,
        };
        let replay = attempt.replay();
        self.source = BodySource::Replayable(attempt);
        RetryBody::Replayable { replay, filter, left }
    }

    /// Whether no frame has been read from the body.
    pub(crate) fn is_unpolled(&self) -> bool {
        !self.polled_once
    }
}

/// The body for a second attempt to send a request.
#[derive(Debug)]
pub(crate) enum RetryBody {
    Empty,
    Replayable { replay: RetryableRequest, filter: Arc<Filter>, left: u64 },
}

impl RetryBody {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Returns the body from its start; `None` if too many bytes were sent.
    pub(crate) fn body(self) -> Option<UpstreamRequestBody> {
        match self {
            Self::Empty => Some(UpstreamRequestBody::empty()),
            Self::Replayable { replay, filter, left } => {
                let source = BodySource::Replayable(Box::new(replay.restart()?));
                Some(UpstreamRequestBody::from(source, left, &filter))
            }
        }
    }
}

impl Body for UpstreamRequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = this.source.poll_frame(context);
        this.polled_once |= polled.is_ready();
        if let Some(progress) = &this.progress {
            progress.awaits_client.store(polled.is_pending(), Relaxed);
            if let Poll::Ready(frame) = &polled {
                progress.record_progress();
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
            other => return other,
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
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}
