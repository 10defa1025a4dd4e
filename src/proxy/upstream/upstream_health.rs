//! Upstream health: ejection with exponential backoff after refused connections, and the state of
//! active health checks.
//!
//! An unavailable upstream is skipped while another one is available.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Initial and maximum ejection time.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The health of an upstream.
#[derive(Debug, Default)]
pub(crate) struct UpstreamHealth {
    /// Consecutive refused connections.
    failures: AtomicU32,
    /// The end of the ejection, in milliseconds of `now`; 0 if not ejected.
    ejected_until: AtomicU64,
    /// Active health checks have marked the upstream as unhealthy.
    unhealthy: AtomicBool,
    /// Consecutive check results that contradict `unhealthy`.
    contrary_results: AtomicU32,
}

impl UpstreamHealth {
    /// Whether the upstream is ejected or unhealthy.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.is_out_at(now)
    }

    fn is_out_at(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.ejected_until.load(Relaxed);
        (until != 0 && now() < until) || self.unhealthy.load(Relaxed)
    }

    /// Records the result of a health check. Returns whether the state changes, which needs several
    /// consecutive results.
    pub(crate) fn record_probe(
        &self,
        healthy: bool,
        healthy_after: u32,
        unhealthy_after: u32,
    ) -> bool {
        if self.unhealthy.load(Relaxed) != healthy {
            self.contrary_results.store(0, Relaxed);
            return false;
        }
        let needed = if healthy { healthy_after } else { unhealthy_after };
        let changes = self.contrary_results.fetch_add(1, Relaxed) + 1 >= needed;
        if changes {
            self.contrary_results.store(0, Relaxed);
            self.unhealthy.store(!healthy, Relaxed);
        }
        changes
    }

    /// Clears the unhealthy state when health checks are disabled.
    pub(crate) fn clear(&self) {
        self.unhealthy.store(false, Relaxed);
    }

    /// Records a successful connection. Returns whether the previous attempt was refused.
    pub(crate) fn record_success(&self) -> bool {
        if self.failures.load(Relaxed) == 0 {
            return false;
        }
        self.ejected_until.store(0, Relaxed);
        self.failures.swap(0, Relaxed) > 0
    }

    /// Records a refused connection. Returns the ejection time; `None` if the upstream is already
    /// unavailable.
    pub(crate) fn record_failure(&self) -> Option<Duration> {
        self.record_failure_at(now())
    }

    fn record_failure_at(&self, now: u64) -> Option<Duration> {
        // Concurrent requests may fail at the same time.
        if self.is_out_at(|| now) {
            return None;
        }
        let before = self.failures.fetch_add(1, Relaxed);
        let pause = LONGEST.min(FIRST.saturating_mul(1 << before.min(10)));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.ejected_until.store(now.saturating_add(pause_ms), Relaxed);
        Some(pause)
    }

    /// Ejects the upstream without end.
    #[cfg(test)]
    pub(crate) fn eject(&self) {
        self.ejected_until.store(u64::MAX, Relaxed);
    }
}

/// Milliseconds since the first call, plus one, because 0 means "not ejected".
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_changes_after_consecutive_probe_results() {
        let health = UpstreamHealth::default();
        let probe = |healthy| (health.record_probe(healthy, 2, 3), health.is_unavailable());
        for (healthy, expected) in [
            (false, (false, false)),
            (false, (false, false)),
            (true, (false, false)),
            (false, (false, false)),
            (false, (false, false)),
            (false, (true, true)),
            (false, (false, true)),
            (true, (false, true)),
            (false, (false, true)),
            (true, (false, true)),
            (true, (true, false)),
        ] {
            assert_eq!(probe(healthy), expected);
        }
    }

    #[test]
    fn ejection_backs_off_exponentially_until_a_success() {
        let health = UpstreamHealth::default();
        assert!(!health.is_unavailable() && !health.record_success());
        let mut now = 1;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(health.record_failure_at(now), Some(pause));
            assert_eq!(health.record_failure_at(now), None, "another one at the same time");
            let end = now + seconds * 1000;
            assert!(health.is_out_at(|| end - 1) && !health.is_out_at(|| end));
            now = end;
        }
        health.record_failure_at(now);
        assert!(health.record_success() && !health.is_unavailable() && !health.record_success());
        assert_eq!(health.record_failure_at(now), Some(FIRST));
    }
}
