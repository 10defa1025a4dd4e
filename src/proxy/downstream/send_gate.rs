//! Backpressure for an HTTP/2 connection: while its socket is blocked, response bodies are not
//! read.
//!
//! h2 polls each response body while the client's flow-control windows are open, even if the socket
//! is blocked.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Whether the socket of a connection accepts more bytes.
#[derive(Debug, Default)]
pub(crate) struct SendGate {
    shut: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl SendGate {
    /// Sets whether bytes are waiting for the socket.
    pub(crate) fn set(&self, shut: bool) {
        if self.shut.swap(shut, Relaxed) && !shut {
            let waiting = std::mem::take(&mut *self.waiting());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.shut.load(Relaxed) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response body that waits while the gate of its connection is shut.
pub(crate) struct GatedBody<B> {
    body: B,
    gate: Arc<SendGate>,
}

impl<B> GatedBody<B> {
    pub(crate) fn new(body: B, gate: Arc<SendGate>) -> Self {
        Self { body, gate }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for GatedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, gate } = self.get_mut();
        ready!(gate.poll_open(context));
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::{BodyExt, Full};
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn no_part_is_read_while_the_gate_is_closed_and_all_wake_when_it_opens() {
        let gate = Arc::new(SendGate::default());
        let body = || GatedBody::new(Full::new(Bytes::from("x")), Arc::clone(&gate));
        gate.set(true);
        let (mut first, mut second) = (body(), body());
        assert!(first.frame().now_or_never().is_none());
        let waiting = tokio::spawn(async move {
            let frame = timeout(Duration::from_secs(20), second.frame()).await;
            frame.is_ok_and(|frame| frame.is_some())
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.waiting().len(), 2);
        let shut = Instant::now();
        gate.set(false);
        assert!(waiting.await.expect("it ends"));
        assert_eq!(shut.elapsed(), Duration::ZERO, "it was not the timeout that woke it");
        assert!(first.frame().now_or_never().is_some());
    }
}
