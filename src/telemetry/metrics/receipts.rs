//! Receipt metrics.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::{family, single};
use crate::telemetry::receipts::ReceiptCounters;

/// Writes the receipt metrics.
pub(super) fn encode(
    counters: &ReceiptCounters,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let (counts, waiting) = counters.counts();
    let help =
        "Receipts by outcome; a spooled receipt counts as stored too after its move to the store";
    let counts = counts.map(|(result, count)| ([("result", result)], ConstCounter::new(count)));
    family(encoder, "consentry_receipts", help, counts)?;
    let waiting = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
    single(encoder, "consentry_receipts_waiting", "Receipts in the spool", &waiting)
}
