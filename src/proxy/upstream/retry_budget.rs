//! Retry budget: retries are limited to a share of all requests, so that they do not overload a
//! failing upstream.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::settings::Retries;

/// The window in which retries are compared with requests.
const WINDOW: Duration = Duration::from_secs(10);

/// The retries of one worker. The budget is checked only after a failure.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<Window>);

#[derive(Debug)]
struct Window {
    started: Instant,
    /// The worker's request count at the start of the window.
    requests: u64,
    retries: u64,
}

impl RetryBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Window { started: now, requests: 0, retries: 0 }))
    }

    /// Whether a retry is allowed; an allowed retry is counted. `requests` is the worker's request
    /// count so far.
    pub(crate) fn take(&self, now: Instant, requests: u64, allowed: &Retries) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.started) >= WINDOW {
            *window = Window { started: now, requests, retries: 0 };
        }
        let share = requests.saturating_sub(window.requests) * u64::from(allowed.percent) / 100;
        let may = window.retries < share.max(u64::from(allowed.least));
        window.retries += u64::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_requests_and_a_few_are_always_allowed() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let allowed = Retries { percent: 20, least: 2 };
        let allowed_retries =
            |now, requests| (0..100).filter(|_| budget.take(now, requests, &allowed)).count();
        assert_eq!(allowed_retries(start, 1), 2);
        assert_eq!(allowed_retries(start, 50), 8, "10 of 50, of which 2 are gone");
        assert_eq!(allowed_retries(start + WINDOW, 50), 2, "a new window");
        assert_eq!(allowed_retries(start + WINDOW, 150), 18);
        let none = Retries { percent: 0, least: 0 };
        assert!(!budget.take(start + WINDOW * 2, 10_000, &none));
    }
}
