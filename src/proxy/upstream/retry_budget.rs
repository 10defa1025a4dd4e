//! How often requests may be sent again: a share of all requests, so that an upstream in trouble does not get
//! more of them than there are.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::settings::Retries;

/// How long retries are held against the requests of the same time.
const WINDOW: Duration = Duration::from_secs(10);

/// What a worker has sent again. It is looked at only when something has failed.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: Instant,
    /// The worker's requests when it began.
    requests: u64,
    retries: u64,
}

impl RetryBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Window { began: now, requests: 0, retries: 0 }))
    }

    /// Whether a request may be sent again; if so, it is counted. `requests` is how many there were so far.
    pub(crate) fn take(&self, now: Instant, requests: u64, allowed: &Retries) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.began) >= WINDOW {
            *window = Window { began: now, requests, retries: 0 };
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
        let taken =
            |now, requests| (0..100).filter(|_| budget.take(now, requests, &allowed)).count();
        assert_eq!(taken(start, 1), 2);
        assert_eq!(taken(start, 50), 8, "10 of 50, of which 2 are gone");
        assert_eq!(taken(start + WINDOW, 50), 2, "a new window");
        assert_eq!(taken(start + WINDOW, 150), 18);
        let none = Retries { percent: 0, least: 0 };
        assert!(!budget.take(start + WINDOW * 2, 10_000, &none));
    }
}
