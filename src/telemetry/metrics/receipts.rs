//! Receipt metrics.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::family::{Family, gauge};
use crate::telemetry::receipts::ReceiptCounters;

/// Writes the receipt metrics.
pub(super) fn encode(
    counters: &ReceiptCounters,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let (counts, waiting) = counters.counts();
    let help =
        "Receipts by outcome; a spooled receipt counts as stored too after its move to the store";
    let mut family = Family::new(encoder, "consentry_receipts", help)?;
    for (result, count) in counts {
        family.counter(&[("result", result)], count)?;
    }
    let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
    gauge(encoder, "consentry_receipts_waiting", "Receipts in the spool", waiting)
}
