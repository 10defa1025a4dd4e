//! Process metrics, under the standard names (Prometheus client libraries, "Process metrics").

use std::fmt;

use procfs::process::Process;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encode::single;

/// Writes the process metrics. Writes nothing if `/proc` cannot be read.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let Ok(process) = Process::myself() else { return Ok(()) };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second();
        let cpu = seconds(stat.utime.saturating_add(stat.stime), ticks);
        let help = "User and system CPU time spent";
        single(encoder, "process_cpu_seconds", help, &ConstCounter::new(cpu))?;
        let resident = stat.rss.saturating_mul(procfs::page_size());
        gauge(encoder, "process_resident_memory_bytes", "Resident memory size", resident)?;
        gauge(encoder, "process_virtual_memory_bytes", "Virtual memory size", stat.vsize)?;
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = seconds(stat.starttime, ticks) + seconds(boot, 1);
            let help = "Start time of the process since the epoch";
            let name = "process_start_time_seconds";
            single(encoder, name, help, &ConstGauge::new(start))?;
        }
    }
    if let Ok(open) = process.fd_count() {
        let open = u64::try_from(open).unwrap_or(u64::MAX);
        gauge(encoder, "process_open_fds", "Open file descriptors", open)?;
    }
    if let Ok(limits) = process.limits()
        && let procfs::process::LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        gauge(encoder, "process_max_fds", "Maximum number of open file descriptors", most)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn seconds(ticks: u64, a_second: u64) -> f64 {
    ticks as f64 / a_second as f64
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    single(encoder, name, help, &ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))
}
