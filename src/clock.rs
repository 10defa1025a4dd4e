//! The clock for ages, dates and deletions.

use std::time::{SystemTime, UNIX_EPOCH};

/// The current time, in Unix seconds.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
