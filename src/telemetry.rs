//! Telemetry: metrics, access log, log and spans. None of them contains a cookie value.
//!
//! `filter` reports counts, `proxy` records them here, and `admin` serves them.

mod access_log;
mod line_buffer;
mod log;
mod metrics;
mod receipts;
mod reloads;
#[cfg(not(feature = "otel"))]
#[path = "telemetry/spans_disabled.rs"]
mod spans;
#[cfg(feature = "otel")]
mod spans;

pub(crate) use access_log::{AccessLog, AccessLogEntry, ClientFields, LineFormat};
pub(crate) use line_buffer::{
    Batches as LogBatches, MAX_WAITING as MAX_WAITING_BUFFERS, flush as flush_access_log,
    wait_for_flush,
};
pub(crate) use log::{LogLevelControl, start_log};
pub(crate) use metrics::{
    ConfigCounters, ErrorKind, Metrics, Shard, SiteLabels, Totals, UpstreamGauge,
};
pub(crate) use receipts::ReceiptCounters;
pub(crate) use spans::{RequestSpan, Spans};
