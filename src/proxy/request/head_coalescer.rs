//! Coalesces a response head with the first bytes of its body.
//!
//! Many upstreams write head and body separately, and the head arrives first. Sending the head at
//! once costs an extra segment, a system call and a wake-up of the client. The head therefore waits
//! for one turn of the event loop, in which the body usually arrives. The head never waits longer,
//! because a body may begin much later (server-sent events).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;

use crate::http::Response;
use crate::proxy::request::response_body::UpstreamBody;

pin_project_lite::pin_project! {
    /// The future returned by [`together`].
    #[project = HeadCoalescerProjection]
    pub(crate) enum HeadCoalescer<F, T> {
        // Waiting for the head.
        Waiting { #[pin] response_future: F, delay: fn() -> T },
        // The head has arrived; one turn of the event loop must pass.
        HeadReceived { response: Option<Response<UpstreamBody>>, #[pin] delay: T },
    }
}

/// Waits for the response head, then for the first body bytes or the end of `delay`.
pub(crate) fn coalesce_head<F, T>(response_future: F, delay: fn() -> T) -> HeadCoalescer<F, T> {
    HeadCoalescer::Waiting { response_future, delay }
}

impl<F, T, E> Future for HeadCoalescer<F, T>
where
    F: Future<Output = Result<Response<UpstreamBody>, E>>,
    T: Future<Output = ()>,
{
    type Output = Result<Response<UpstreamBody>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                HeadCoalescerProjection::Waiting { response_future, delay } => {
                    let mut response = ready!(response_future.poll(context))?;
                    // The bytes after a protocol switch are not a body.
                    if response.status == StatusCode::SWITCHING_PROTOCOLS
                        || response.body.has_begun(context)
                    {
                        return Poll::Ready(Ok(response));
                    }
                    Self::HeadReceived { response: Some(response), delay: delay() }
                }
                HeadCoalescerProjection::HeadReceived { response, delay } => {
                    ready!(delay.poll(context));
                    let Some(mut response) = response.take() else { return Poll::Pending };
                    response.body.has_begun(context);
                    return Poll::Ready(Ok(response));
                }
            };
            self.set(next);
        }
    }
}
