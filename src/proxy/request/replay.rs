//! The body of a request that an HTTP/2 upstream may not have processed: what has been sent of it is kept for a second
//! attempt, as long as that is little (RFC 9113 section 8.7).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::proxy::downstream::client_body::ClientBody;
use crate::proxy::upstream::failure::BodyError;

/// The most bytes of a body that are kept.
const MAX_KEPT_BYTES: u64 = 64 * 1024;

/// A body, and what has been sent of it.
#[derive(Debug)]
struct Kept {
    body: ClientBody,
    data: Vec<Bytes>,
    bytes: u64,
    trailers: Option<HeaderMap>,
    /// Nothing that was sent is missing.
    complete: bool,
    /// The number of the attempt that the body belongs to.
    attempt: u32,
}

/// The body as one attempt reads it. A later attempt takes it over: this one fails from then on.
#[derive(Debug)]
pub(crate) struct Attempt {
    kept: Arc<Mutex<Kept>>,
    number: u32,
    /// What was sent before, and is to be sent again.
    again: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

/// Begins another attempt.
#[derive(Debug)]
pub(crate) struct Replay(Arc<Mutex<Kept>>);

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replay {
    /// The body from its beginning; `None` when too much has been sent to be kept.
    pub(crate) fn again(&self) -> Option<Attempt> {
        let mut kept = locked(&self.0);
        if !kept.complete {
            return None;
        }
        kept.attempt += 1;
        Some(Attempt {
            number: kept.attempt,
            again: kept.data.iter().cloned().collect(),
            trailers: kept.trailers.clone(),
            kept: Arc::clone(&self.0),
        })
    }
}

impl Attempt {
    /// The first attempt to send a body.
    pub(crate) fn first(body: ClientBody) -> Self {
        let kept =
            Kept { body, data: Vec::new(), bytes: 0, trailers: None, complete: true, attempt: 0 };
        let kept = Arc::new(Mutex::new(kept));
        Self { kept, number: 0, again: VecDeque::new(), trailers: None }
    }

    /// What begins the attempts after this one.
    pub(crate) fn replay(&self) -> Replay {
        Replay(Arc::clone(&self.kept))
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
        // Once nothing can begin another attempt, nothing is kept.
        kept.complete &= Arc::strong_count(&self.kept) > 1;
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref() {
                kept.bytes += data.len() as u64;
                kept.complete &= kept.bytes <= MAX_KEPT_BYTES;
                if kept.complete {
                    // A copy, so that the buffer they came in is not kept for a few of them.
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
