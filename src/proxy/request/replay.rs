//! Replayable request body, for a request that an HTTP/2 upstream may not have processed.
//!
//! The bytes sent so far are kept for a second attempt, up to a limit (RFC 9113 section 8.7).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

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
    kept: Arc<Mutex<ReplayableBody>>,
    number: u32,
    /// Bytes of the previous attempt that must be sent again.
    again: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

/// Starts another attempt.
#[derive(Debug)]
pub(crate) struct RetryableRequest(Arc<Mutex<ReplayableBody>>);

fn locked(kept: &Mutex<ReplayableBody>) -> MutexGuard<'_, ReplayableBody> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RetryableRequest {
    /// Returns the body from its start; `None` if too many bytes were sent to be kept.
    pub(crate) fn again(&self) -> Option<AttemptBody> {
        let mut kept = locked(&self.0);
        if !kept.complete {
            return None;
        }
        kept.attempt += 1;
        Some(AttemptBody {
            number: kept.attempt,
            again: kept.data.iter().cloned().collect(),
            trailers: kept.trailers.clone(),
            kept: Arc::clone(&self.0),
        })
    }
}

impl AttemptBody {
    /// Creates the first attempt to send a body.
    pub(crate) fn first(body: ClientBody) -> Self {
        let kept = ReplayableBody {
            body,
            data: Vec::new(),
            bytes: 0,
            trailers: None,
            complete: true,
            attempt: 0,
        };
        let kept = Arc::new(Mutex::new(kept));
        Self { kept, number: 0, again: VecDeque::new(), trailers: None }
    }

    /// Returns a handle that starts later attempts.
    pub(crate) fn replay(&self) -> RetryableRequest {
        RetryableRequest(Arc::clone(&self.kept))
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut kept = locked(&self.kept);
        if kept.attempt != self.number {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if let Some(data) = self.again.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(kept.body.poll_frame(context));
        // Without a `Replay` handle no further attempt is possible, so keeping bytes is pointless.
        kept.complete &= Arc::strong_count(&self.kept) > 1;
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref() {
                kept.bytes += data.len() as u64;
                kept.complete &= kept.bytes <= MAX_KEPT_BYTES;
                if kept.complete {
                    // A copy, so that a few bytes do not keep their whole read buffer alive.
                    kept.data.push(Bytes::copy_from_slice(data));
                }
            }
            kept.trailers = frame.trailers_ref().cloned();
            if !kept.complete {
                kept.data = Vec::new();
            }
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.again.is_empty() && self.trailers.is_none() && locked(&self.kept).body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let again: u64 = self.again.iter().map(|data| data.len() as u64).sum();
        let left = locked(&self.kept).body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + again);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + again);
        }
        hint
    }
}
