//! The body of a page as it is changed: streamed, with bounded work and bounded memory at a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::codec::{Codec, Coding, Permit};
use super::insertion::Insertion;
use super::outcome::Outcome;

/// How many octets of a page are worked on before something else has its turn.
const TURN: usize = 64 * 1024;

/// Why a changed page ends early.
#[derive(Debug, Error)]
pub enum PageError<E> {
    /// The body itself does.
    #[error(transparent)]
    Inner(E),
    /// It is coded, and the coding is broken in the middle or cut off.
    #[error("the page's coding is broken")]
    Coding,
}

/// The body of a page.
pub enum PageBody<B> {
    /// As it came.
    Unchanged(B),
    /// With changes.
    Rewritten(Box<Rewriting<B>>),
}

/// A body that is being changed.
pub struct Rewriting<B> {
    inner: B,
    insertion: Insertion,
    codec: Option<Codec>,
    /// What has come and is not worked on yet.
    input: Bytes,
    /// What came, for as long as nothing was made of it: it can still pass as it is.
    untouched: Option<Vec<Bytes>>,
    /// What goes out as it is before anything else.
    ahead: VecDeque<Bytes>,
    state: State,
    trailers: Option<HeaderMap>,
    plain: Vec<u8>,
    changed: Vec<u8>,
    failed: bool,
    _permit: Option<Permit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Changing,
    /// The rest passes as it is.
    Passing,
    /// There is no more; an error ends it.
    Ended,
    Broken,
}

impl<B> PageBody<B> {
    pub(super) fn rewritten(
        inner: B,
        insertion: Insertion,
        coding: Coding,
        permit: Option<Permit>,
    ) -> Self {
        let codec = Codec::of(coding);
        Self::Rewritten(Box::new(Rewriting {
            inner,
            insertion,
            untouched: codec.is_some().then(Vec::new),
            codec,
            input: Bytes::new(),
            ahead: VecDeque::new(),
            state: State::Changing,
            trailers: None,
            plain: Vec::new(),
            changed: Vec::new(),
            failed: false,
            _permit: permit,
        }))
    }

    /// The body that it was made from.
    pub fn inner(&self) -> &B {
        match self {
            Self::Unchanged(inner) => inner,
            Self::Rewritten(body) => &body.inner,
        }
    }

    /// What became of the page, as far as it has come; `None` when nothing was to be changed.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Unchanged(_) => None,
            Self::Rewritten(body) if body.failed || body.insertion.has_failed() => {
                Some(Outcome::Failed)
            }
            Self::Rewritten(body) if body.insertion.has_banner() => Some(Outcome::Banner),
            Self::Rewritten(_) => Some(Outcome::Guarded),
        }
    }
}

impl<B: Body<Data = Bytes>> Rewriting<B> {
    /// Works on a part of the input. Returns what goes out.
    fn work(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(codec) = &mut self.codec else {
            let part = self.input.len().min(TURN);
            let part = self.input.get(..part).unwrap_or_default();
            let taken = self.insertion.push(part, &mut out);
            self.input.advance(taken.min(self.input.len()));
            if self.insertion.is_over() {
                self.state = State::Passing;
                let rest = std::mem::take(&mut self.input);
                self.ahead.extend((!rest.is_empty()).then_some(rest));
            }
            return out;
        };
        let mut worked = 0;
        while worked < TURN {
            let decoded = codec.decode(&self.input, &mut self.plain);
            let Ok(taken) = decoded else {
                self.break_off();
                return out;
            };
            self.input.advance(taken.min(self.input.len()));
            worked += self.plain.len();
            if !self.plain.is_empty() {
                self.untouched = None;
            }
            self.changed.clear();
            let pushed = self.insertion.push(&self.plain, &mut self.changed);
            self.changed.extend_from_slice(self.plain.get(pushed..).unwrap_or_default());
            if codec.encode(&self.changed, &mut out).is_err() {
                self.break_off();
                return out;
            }
            if taken == 0 && self.plain.is_empty() || self.input.is_empty() && !codec.has_more() {
                break;
            }
        }
        out
    }

    /// The coding is broken: what came passes as it is while that is possible.
    fn break_off(&mut self) {
        self.failed = true;
        self.input = Bytes::new();
        match self.untouched.take() {
            Some(untouched) => {
                self.ahead.extend(untouched);
                self.state = State::Passing;
            }
            None => self.state = State::Broken,
        }
    }

    /// The body has ended.
    fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.state = State::Ended;
        let Some(codec) = &mut self.codec else {
            self.insertion.end(&mut out);
            return out;
        };
        if !codec.ended {
            let nothing = self.untouched.as_ref().is_some_and(Vec::is_empty);
            self.break_off();
            self.failed = !nothing;
            if self.state == State::Passing {
                self.state = State::Ended;
            }
            if let Some(codec) = self.codec.as_mut().filter(|_| self.state == State::Broken) {
                // What there is of it, as from the origin.
                let _ = codec.flush(&mut out);
            }
            return out;
        }
        self.changed.clear();
        self.insertion.end(&mut self.changed);
        let finished = codec.encode(&self.changed, &mut out).and_then(|()| codec.finish(&mut out));
        if finished.is_err() {
            self.failed = true;
            self.state = State::Broken;
        }
        out
    }

    fn has_work(&self) -> bool {
        !self.input.is_empty() || self.codec.as_ref().is_some_and(Codec::has_more)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Rewriting<B> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError<B::Error>>>> {
        loop {
            if let Some(ahead) = self.ahead.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(ahead))));
            }
            let out = match self.state {
                State::Passing => {
                    let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
                    return Poll::Ready(frame.map(|frame| frame.map_err(PageError::Inner)));
                }
                State::Ended => {
                    return Poll::Ready(self.trailers.take().map(|t| Ok(Frame::trailers(t))));
                }
                State::Broken => {
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(PageError::Coding)));
                }
                State::Changing if self.has_work() => self.work(),
                State::Changing => match Pin::new(&mut self.inner).poll_frame(context) {
                    Poll::Pending => {
                        let mut out = Vec::new();
                        let flushed = self.codec.as_mut().map(|codec| codec.flush(&mut out));
                        if flushed.is_some_and(|flushed| flushed.is_err()) {
                            self.break_off();
                        }
                        if out.is_empty() && self.state == State::Changing {
                            return Poll::Pending;
                        }
                        out
                    }
                    Poll::Ready(None) => self.finish(),
                    Poll::Ready(Some(Err(error))) => {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(PageError::Inner(error))));
                    }
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => {
                            if let Some(untouched) = &mut self.untouched {
                                untouched.push(data.clone());
                            }
                            self.input = data;
                            continue;
                        }
                        Err(frame) => {
                            self.trailers = frame.into_trailers().ok();
                            self.finish()
                        }
                    },
                },
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))));
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for PageBody<B> {
    type Data = Bytes;
    type Error = PageError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError<B::Error>>>> {
        match self.get_mut() {
            Self::Unchanged(inner) => {
                let frame = ready!(Pin::new(inner).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(PageError::Inner)))
            }
            Self::Rewritten(body) => body.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Unchanged(inner) => inner.is_end_stream(),
            Self::Rewritten(body) => match body.state {
                State::Passing => body.ahead.is_empty() && body.inner.is_end_stream(),
                State::Ended => body.ahead.is_empty() && body.trailers.is_none(),
                State::Changing | State::Broken => false,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Unchanged(inner) => inner.size_hint(),
            Self::Rewritten(_) => SizeHint::default(),
        }
    }
}
