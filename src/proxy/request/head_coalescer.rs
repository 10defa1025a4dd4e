//! A response's head and the first octets of its body leave together.
//!
//! Many origins write the two one after the other, and their head is here first. Sent on at once it costs a
//! segment, a system call and a wake-up of the visitor for itself: it waits for one turn of the event loop, in which
//! what the origin wrote next has come; never for longer, for a body may begin much later (server-sent events).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;

use crate::http::Response;
use crate::proxy::request::response_body::OriginBody;

pin_project_lite::pin_project! {
    /// The future of [`together`].
    #[project = TogetherProjection]
    pub(crate) enum Together<F, T> {
        // The head is awaited.
        Asked { #[pin] answer: F, turn: fn() -> T },
        // The head is here, and a turn of the event loop is waited for.
        Held { response: Option<Response<OriginBody>>, #[pin] turn: T },
    }
}

/// Waits for a head, and then for the first octets of its body until `turn` has ended.
pub(crate) fn together<F, T>(answer: F, turn: fn() -> T) -> Together<F, T> {
    Together::Asked { answer, turn }
}

impl<F, T, E> Future for Together<F, T>
where
    F: Future<Output = Result<Response<OriginBody>, E>>,
    T: Future<Output = ()>,
{
    type Output = Result<Response<OriginBody>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let held = match self.as_mut().project() {
                TogetherProjection::Asked { answer, turn } => {
                    let mut response = ready!(answer.poll(context))?;
                    // What follows a change of protocols is no body.
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
