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
    refusals: AtomicU32,
    /// The end of the ejection, in milliseconds of `now`; 0 if not ejected.
    out_until: AtomicU64,
    /// Active health checks have marked the upstream as unhealthy.
    unwell: AtomicBool,
    /// Consecutive check results that contradict `unwell`.
    contrary: AtomicU32,
}

impl UpstreamHealth {
    /// Whether the upstream is ejected or unhealthy.
    pub(crate) fn is_out(&self) -> bool {
        self.is_out_at(now)
    }

    fn is_out_at(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.out_until.load(Relaxed);
        (until != 0 && now() < until) || self.unwell.load(Relaxed)
    }

    /// Records the result of a health check. Returns whether the state changes, which needs several
    /// consecutive results.
    pub(crate) fn record_probe(
        &self,
        well: bool,
        healthy_after: u32,
        unhealthy_after: u32,
    ) -> bool {
        if self.unwell.load(Relaxed) != well {
            self.contrary.store(0, Relaxed);
            return false;
        }
        let needed = if well { healthy_after } else { unhealthy_after };
        let changes = self.contrary.fetch_add(1, Relaxed) + 1 >= needed;
        if changes {
            self.contrary.store(0, Relaxed);
            self.unwell.store(!well, Relaxed);
        }
        changes
    }

    /// Clears the unhealthy state when health checks are disabled.
    pub(crate) fn clear(&self) {
        self.unwell.store(false, Relaxed);
    }

    /// Records a successful connection. Returns whether the previous attempt was refused.
    pub(crate) fn record_success(&self) -> bool {
        if self.refusals.load(Relaxed) == 0 {
            return false;
        }
        self.out_until.store(0, Relaxed);
        self.refusals.swap(0, Relaxed) > 0
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
        let before = self.refusals.fetch_add(1, Relaxed);
        let pause = LONGEST.min(FIRST.saturating_mul(1 << before.min(10)));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.out_until.store(now.saturating_add(pause_ms), Relaxed);
        Some(pause)
    }

    /// Ejects the upstream without end.
    #[cfg(test)]
    pub(crate) fn eject(&self) {
        self.out_until.store(u64::MAX, Relaxed);
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
        let standing = UpstreamHealth::default();
        let ask = |well| (standing.record_probe(well, 2, 3), standing.is_out());
        for (well, expected) in [
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
            assert_eq!(ask(well), expected);
        }
    }

    #[test]
    fn ejection_backs_off_exponentially_until_a_success() {
        let standing = UpstreamHealth::default();
        assert!(!standing.is_out() && !standing.record_success());
        let mut now = 1;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(standing.record_failure_at(now), Some(pause));
            assert_eq!(standing.record_failure_at(now), None, "another one at the same time");
            let end = now + seconds * 1000;
            assert!(standing.is_out_at(|| end - 1) && !standing.is_out_at(|| end));
            now = end;
        }
        standing.record_failure_at(now);
        assert!(standing.record_success() && !standing.is_out() && !standing.record_success());
        assert_eq!(standing.record_failure_at(now), Some(FIRST));
    }
}
