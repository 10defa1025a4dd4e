//! Encoding of metric families.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Encoder of the metrics of one name.
pub(super) struct Family<'a>(MetricEncoder<'a>);

impl<'a> Family<'a> {
    pub(super) fn new(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        let metric = ConstCounter::new(0_u64);
        encoder.encode_descriptor(name, help, None, metric.metric_type()).map(Self)
    }

    /// Starts a family of gauges.
    pub(super) fn gauges(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        let metric = ConstGauge::new(0_i64);
        encoder.encode_descriptor(name, help, None, metric.metric_type()).map(Self)
    }

    pub(super) fn gauge(&mut self, labels: &[(&str, &str)], value: i64) -> Result<(), fmt::Error> {
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    pub(super) fn counter(
        &mut self,
        labels: &[(&str, &str)],
        value: u64,
    ) -> Result<(), fmt::Error> {
        self.0.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}

/// Writes a metric without labels.
pub(super) fn single(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// A gauge without labels.
pub(super) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> Result<(), fmt::Error> {
    single(encoder, name, help, &ConstGauge::new(value))
}
