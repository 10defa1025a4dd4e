//! Replayable request body, for a request that an HTTP/2 upstream may not have processed.
//!
//! The bytes sent so far are kept for a second attempt, up to a limit (RFC 9113 section 8.7).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::filter::hint_with;
use crate::proxy::downstream::client_body::ClientBody;
use crate::proxy::upstream::failure::BodyError;

/// Maximum bytes of a body that are kept.
const MAX_KEPT_BYTES: u64 = 64 * 1024;

/// A body and a copy of the bytes sent from it.
#[derive(Debug)]
struct ReplayableBody {
    body: ClientBody,
    data: Vec<Bytes>,
    bytes: u64,
    trailers: Option<HeaderMap>,
    /// `data` has every byte that was sent.
    complete: bool,
    /// The number of the attempt that owns the body.
    attempt: u32,
}

/// The body as read by one attempt. After a later attempt starts, this one fails.
#[derive(Debug)]
pub(crate) struct AttemptBody {
    shared: Arc<Mutex<ReplayableBody>>,
    number: u32,
    /// Bytes of the previous attempt that must be sent again.
    replayed: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

/// Starts another attempt.
#[derive(Debug)]
pub(crate) struct RetryableRequest(Arc<Mutex<ReplayableBody>>);

fn locked(shared: &Mutex<ReplayableBody>) -> MutexGuard<'_, ReplayableBody> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RetryableRequest {
    /// Returns the body from its start; `None` if too many bytes were sent to be kept.
    pub(crate) fn restart(&self) -> Option<AttemptBody> {
        let mut shared = locked(&self.0);
        if !shared.complete {
            return None;
        }
        shared.attempt += 1;
        Some(AttemptBody {
            number: shared.attempt,
            replayed: shared.data.iter().cloned().collect(),
            trailers: shared.trailers.clone(),
            shared: Arc::clone(&self.0),
        })
    }
}

impl AttemptBody {
    /// Creates the first attempt to send a body.
    pub(crate) fn first(body: ClientBody) -> Self {
        let shared = ReplayableBody {
            body,
            data: Vec::new(),
            bytes: 0,
            trailers: None,
            complete: true,
            attempt: 0,
        };
        let shared = Arc::new(Mutex::new(shared));
        Self { shared, number: 0, replayed: VecDeque::new(), trailers: None }
    }

    /// Returns a handle that starts later attempts.
    pub(crate) fn replay(&self) -> RetryableRequest {
        RetryableRequest(Arc::clone(&self.shared))
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut shared = locked(&self.shared);
        if shared.attempt != self.number {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if let Some(data) = self.replayed.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(shared.body.poll_frame(context));
        // Without a `Replay` handle no further attempt is possible, so keeping bytes is pointless.
        shared.complete &= Arc::strong_count(&self.shared) > 1;
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref() {
                shared.bytes += data.len() as u64;
                shared.complete &= shared.bytes <= MAX_KEPT_BYTES;
                if shared.complete {
                    // A copy, so that a few bytes do not keep their whole read buffer alive.
                    shared.data.push(Bytes::copy_from_slice(data));
                }
            }
            shared.trailers = frame.trailers_ref().cloned();
            if !shared.complete {
                shared.data = Vec::new();
            }
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.replayed.is_empty()
            && self.trailers.is_none()
            && locked(&self.shared).body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let replayed = self.replayed.iter().map(Bytes::len).sum();
        hint_with(replayed, &locked(&self.shared).body.size_hint())
    }
}
