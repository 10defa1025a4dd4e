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
    #[project = TogetherProjection]
    pub(crate) enum HeadCoalescer<F, T> {
        // Waiting for the head.
        Asked { #[pin] answer: F, turn: fn() -> T },
        // The head has arrived; one turn of the event loop must pass.
        Held { response: Option<Response<UpstreamBody>>, #[pin] turn: T },
    }
}

/// Waits for the response head, then for the first body bytes or the end of `turn`.
pub(crate) fn coalesce_head<F, T>(answer: F, turn: fn() -> T) -> HeadCoalescer<F, T> {
    HeadCoalescer::Asked { answer, turn }
}

impl<F, T, E> Future for HeadCoalescer<F, T>
where
    F: Future<Output = Result<Response<UpstreamBody>, E>>,
    T: Future<Output = ()>,
{
    type Output = Result<Response<UpstreamBody>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let held = match self.as_mut().project() {
                TogetherProjection::Asked { answer, turn } => {
                    let mut response = ready!(answer.poll(context))?;
                    // The bytes after a protocol switch are not a body.
                    if response.status == StatusCode::SWITCHING_PROTOCOLS
                        || response.body.has_begun(context)
                    {
                        return Poll::Ready(Ok(response));
                    }
                    Self::Held { response: Some(response), turn: turn() }
                }
                TogetherProjection::Held { response, turn } => {
                    ready!(turn.poll(context));
                    let Some(mut response) = response.take() else { return Poll::Pending };
                    response.body.has_begun(context);
                    return Poll::Ready(Ok(response));
                }
            };
            self.set(held);
        }
    }
}
