//! Reusable deadline timer for an upstream connection.
//!
//! The timer belongs to its connection. It is re-armed only after it has fired, or for an earlier
//! deadline. A request that is answered in time costs only a poll of the timer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A timer that is rarely re-armed.
#[derive(Debug, Default)]
pub(crate) struct ReusableTimer(Option<Pin<Box<Sleep>>>);

impl ReusableTimer {
    /// Completes once `time` has passed.
    pub(crate) fn poll_until(&mut self, time: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(time)));
        loop {
            if timer.deadline() > time {
                timer.as_mut().reset(time);
            }
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= time {
                return Poll::Ready(());
            }
            timer.as_mut().reset(time);
        }
    }
}
