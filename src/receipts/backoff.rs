//! Exponential backoff.

use std::time::{Duration, Instant};

/// When to try again something that failed: later with each failure, until it succeeds.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// Before this time there is no further attempt.
    at: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, at: None }
    }

    /// Notes a failure, and returns how long to wait.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        let wait = self.next;
        self.at = now.checked_add(wait);
        self.next = (wait * 2).min(self.longest);
        wait
    }

    /// Notes a success of the very thing that failed, not of a step before it.
    pub(super) fn succeeded(&mut self) {
        self.next = self.first;
        self.at = None;
    }

    /// When the next attempt is due; `None` for at once.
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
    fn waits_double_up_to_a_limit_and_start_anew_after_a_success() {
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
