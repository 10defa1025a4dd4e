//! How long an upstream is waited for. The timer goes with its connection and is set again only when it has run out:
//! a request that is answered in time costs nothing but a glance at it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A timer that is set seldom.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    /// Waits until the time has come.
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
