//! Exponential backoff.

use std::time::{Duration, Instant};

/// The time of the next attempt: the wait doubles with each failure, up to a maximum, until a success.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// No attempt before this time.
    at: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, at: None }
    }

    /// Records a failure and returns the time to wait.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        let wait = self.next;
        self.at = now.checked_add(wait);
        self.next = (wait * 2).min(self.longest);
        wait
    }

    /// Records a success of the operation that failed, not of a step before it.
    pub(super) fn succeeded(&mut self) {
        self.next = self.first;
        self.at = None;
    }

    /// When the next attempt is due. `None` means immediately.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.at
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_reset_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let now = Instant::now();
        assert!(backoff.is_due(now));
        let waits: Vec<u64> = (0..4).map(|_| backoff.failed(now).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5]);
        assert!(!backoff.is_due(now) && backoff.is_due(now + Duration::from_secs(5)));
        backoff.succeeded();
        assert!(backoff.is_due(now));
        assert_eq!(backoff.failed(now).as_secs(), 1);
    }
}
