//! Whether an upstream takes connections: one that has refused is left alone for a while, longer each time,
//! where there are others.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long an upstream is left alone after its first refusal, and at most.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Whether an upstream takes connections.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Refusals in a row.
    refusals: AtomicU32,
    /// Until when it is left alone, in milliseconds of our own clock; 0 while it works.
    out_until: AtomicU64,
}

impl Standing {
    /// Whether it is left alone now.
    pub(super) fn is_out(&self) -> bool {
        let until = self.out_until.load(Relaxed);
        until != 0 && now() < until
    }

    /// It has taken a connection. Returns whether it had refused before.
    pub(super) fn works(&self) -> bool {
        if self.refusals.load(Relaxed) == 0 {
            return false;
        }
        self.out_until.store(0, Relaxed);
        self.refusals.swap(0, Relaxed) > 0
    }

    /// It has refused one. Returns for how long it is left alone, the first time that it is.
    pub(super) fn refused(&self) -> Option<Duration> {
        // Several requests may find out at the same time.
        if self.is_out() {
            return None;
        }
        let before = self.refusals.fetch_add(1, Relaxed);
        let pause = LONGEST.min(FIRST.saturating_mul(1 << before.min(10)));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.out_until.store(now().saturating_add(pause_ms), Relaxed);
        Some(pause)
    }
}

/// Milliseconds since the first use of it, and one: 0 is no time.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_leaves_it_alone_for_longer_each_time_until_it_works() {
        let standing = Standing::default();
        assert!(!standing.is_out() && !standing.works());
        assert_eq!(standing.refused(), Some(FIRST));
        assert!(standing.is_out());
        assert_eq!(standing.refused(), None, "who finds out at the same time adds nothing");
        for expected in [2, 4, 8, 16, 30, 30] {
            standing.out_until.store(0, Relaxed);
            assert_eq!(standing.refused(), Some(Duration::from_secs(expected)));
        }
        assert!(standing.works() && !standing.is_out() && !standing.works());
        assert_eq!(standing.refused(), Some(FIRST));
    }
}
