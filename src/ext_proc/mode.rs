//! Detection of unsupported Envoy processing modes, in which a response would pass unfiltered.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use thiserror::Error;

/// If Envoy ends a stream this soon after the answer to the request headers, it sends no response headers.
const AT_ONCE: Duration = Duration::from_secs(1);
/// This many such streams in a row show that the mode skips response headers.
const SKIPPED: u32 = 2;
/// Interval at which one stream is served nevertheless: clients that disconnect early look the same.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// A rejected processing mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum UnsupportedMode {
    #[error("observability_mode is set, and Envoy ignores every answer: remove it")]
    Observability,
    #[error(
        "body mode FULL_DUPLEX_STREAMED or GRPC: set request_body_mode and response_body_mode to NONE"
    )]
    Body,
    #[error("response_header_mode is SKIP: set it to SEND")]
    SkippedResponse,
}

/// Checks the processing mode in the first message of a stream.
pub(super) fn check(first: &ProcessingRequest) -> Result<(), UnsupportedMode> {
    if first.observability_mode {
        return Err(UnsupportedMode::Observability);
    }
    let supported = |mode: i32| {
        use BodySendMode::{Buffered, BufferedPartial, None, Streamed};
        let mode = BodySendMode::try_from(mode);
        matches!(mode, Ok(None | Streamed | Buffered | BufferedPartial))
    };
    let config = first.protocol_config.as_ref();
    let bodies = config.map(|config| [config.request_body_mode, config.response_body_mode]);
    match bodies.is_none_or(|modes| modes.into_iter().all(supported)) {
        true => Ok(()),
        false => Err(UnsupportedMode::Body),
    }
}

/// Whether Envoy sends response headers on a connection. No message contains the header modes. With
/// `response_header_mode: SKIP`, Envoy ends each stream as soon as the request headers are answered.
#[derive(Debug)]
pub(super) struct ResponseWatch {
    started: Instant,
    seen: AtomicBool,
    /// Number of streams in a row that ended immediately.
    ended: AtomicU32,
    /// The time of the next probe, in milliseconds after the start.
    probe: AtomicU64,
}

impl ResponseWatch {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            seen: AtomicBool::new(false),
            ended: AtomicU32::new(0),
            probe: AtomicU64::new(0),
        }
    }

    /// Records that response headers were received.
    pub(super) fn seen(&self) {
        if !self.seen.load(Relaxed) {
            self.seen.store(true, Relaxed);
        }
    }

    /// Records a stream without response headers. `after` is the time between the answer to its request and its
    /// end.
    pub(super) fn ended(&self, after: Duration) {
        if after < AT_ONCE {
            self.ended.fetch_add(1, Relaxed);
        } else {
            self.ended.store(0, Relaxed);
        }
    }

    /// Checks whether a new stream may start.
    pub(super) fn check(&self) -> Result<(), UnsupportedMode> {
        if self.seen.load(Relaxed) || self.ended.load(Relaxed) < SKIPPED {
            return Ok(());
        }
        self.check_at(self.started.elapsed())
    }

    fn check_at(&self, now: Duration) -> Result<(), UnsupportedMode> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let probe = self.probe.load(Relaxed);
        let next = millis(now + PROBE_INTERVAL);
        // The first rejection starts the interval.
        let due = probe > 0 && millis(now) >= probe;
        let first = probe == 0 || due;
        let mine = first && self.probe.compare_exchange(probe, next, Relaxed, Relaxed).is_ok();
        if due && mine { Ok(()) } else { Err(UnsupportedMode::SkippedResponse) }
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::ext_proc::v3::ProtocolConfiguration;

    use super::*;

    #[test]
    fn processing_modes_that_pass_responses_unfiltered_are_rejected() {
        let with = |request_body_mode, response_body_mode, observability_mode| {
            let config = ProtocolConfiguration {
                request_body_mode,
                response_body_mode,
                ..ProtocolConfiguration::default()
            };
            let protocol_config = Some(config);
            let default = ProcessingRequest::default();
            check(&ProcessingRequest { observability_mode, protocol_config, ..default })
        };
        assert_eq!(check(&ProcessingRequest::default()), Ok(()), "Envoy before 1.33");
        for mode in 0..4 {
            assert_eq!(with(mode, mode, false), Ok(()), "{mode}");
        }
        for mode in [4, 5, 99, -1] {
            assert_eq!(with(mode, 0, false), Err(UnsupportedMode::Body), "{mode}");
            assert_eq!(with(0, mode, false), Err(UnsupportedMode::Body), "{mode}");
        }
        assert_eq!(with(0, 0, true), Err(UnsupportedMode::Observability));
    }

    #[test]
    fn streams_without_a_response_cause_rejections_until_a_response_arrives() {
        let skipped = Err(UnsupportedMode::SkippedResponse);
        let watch = ResponseWatch::new();
        watch.ended(Duration::ZERO);
        assert_eq!(watch.check(), Ok(()), "one visitor may leave");
        watch.ended(Duration::ZERO);
        assert_eq!(watch.check(), skipped);
        let later = watch.started.elapsed() + PROBE_INTERVAL;
        assert_eq!([watch.check_at(later), watch.check_at(later)], [Ok(()), skipped]);
        let next = later + PROBE_INTERVAL;
        let just_before = next - Duration::from_millis(1);
        assert_eq!([watch.check_at(just_before), watch.check_at(next)], [skipped, Ok(())]);
        watch.seen();
        assert_eq!(watch.check(), Ok(()));

        let watch = ResponseWatch::new();
        for _ in 0..5 {
            watch.ended(AT_ONCE);
        }
        assert_eq!(watch.check(), Ok(()), "slow origins");
    }
}
