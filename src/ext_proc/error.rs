//! Stream errors and their log.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use thiserror::Error;
use tonic::Status;

use super::convert::ConvertError;
use super::mode::UnsupportedMode;
use crate::telemetry::ErrorKind;

/// Minimum interval between two log lines of one kind of error.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why a stream ends with an error.
#[derive(Debug, Error)]
pub(super) enum StreamError {
    #[error("unreadable message: {}", .0.message())]
    Unreadable(Status),
    #[error("message without a known content")]
    Empty,
    #[error("unexpected message: {0}")]
    Order(&'static str),
    #[error("invalid head: {0}")]
    Head(#[from] ConvertError),
    #[error("unsupported processing mode: {0}")]
    Mode(#[from] UnsupportedMode),
    #[error("ended before the response headers")]
    Ended,
}

impl StreamError {
    const KINDS: usize = 6;

    fn index(&self) -> usize {
        match self {
            Self::Unreadable(_) => 0,
            Self::Empty => 1,
            Self::Order(_) => 2,
            Self::Head(_) => 3,
            Self::Mode(_) => 4,
            Self::Ended => 5,
        }
    }

    /// The kind under which the error is counted.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Ended => ErrorKind::Connection,
            Self::Unreadable(_) | Self::Empty | Self::Order(_) | Self::Head(_) | Self::Mode(_) => {
                ErrorKind::ExtProc
            }
        }
    }

    /// The gRPC status that ends the stream. It is never OK, because Envoy would then let the response pass.
    pub(super) fn status(&self) -> Status {
        let text = self.to_string();
        match self {
            Self::Unreadable(status) if status.code() != tonic::Code::Ok => {
                Status::new(status.code(), text)
            }
            Self::Unreadable(_) | Self::Empty | Self::Order(_) | Self::Head(_) => {
                Status::invalid_argument(text)
            }
            Self::Mode(_) => Status::failed_precondition(text),
            Self::Ended => Status::aborted(text),
        }
    }
}

/// The log of failed streams: at most one line per kind of error in [`LOG_INTERVAL`], with the number of streams.
#[derive(Debug)]
pub(super) struct ErrorLog {
    started: Instant,
    kinds: [StreamErrorKind; StreamError::KINDS],
}

#[derive(Debug, Default)]
struct StreamErrorKind {
    /// Streams since the last line.
    streams: AtomicU64,
    /// The earliest time of the next line, in milliseconds after the start.
    next: AtomicU64,
}

impl StreamErrorKind {
    /// Counts a stream. Returns the number of streams if a line is due.
    fn note(&self, now: u64) -> Option<u64> {
        self.streams.fetch_add(1, Relaxed);
        let next = self.next.load(Relaxed);
        let interval = u64::try_from(LOG_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let mine = now >= next
            && self.next.compare_exchange(next, now + interval, Relaxed, Relaxed).is_ok();
        mine.then(|| self.streams.swap(0, Relaxed))
    }
}

impl ErrorLog {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), kinds: Default::default() }
    }

    pub(super) fn note(&self, error: &StreamError) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(streams) = self.kinds.get(error.index()).and_then(|kind| kind.note(now)) else {
            return;
        };
        match error {
            StreamError::Ended => tracing::info!(
                streams,
                "ext_proc stream ended before the response headers: client closed the request, \
                 request timeout, or response_header_mode SKIP"
            ),
            _ => {
                tracing::warn!(streams, %error, "ext_proc stream failed, Envoy rejects its request")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_has_the_status_ok() {
        let errors = [
            StreamError::Unreadable(Status::new(tonic::Code::Ok, "")),
            StreamError::Unreadable(Status::out_of_range("too large")),
            StreamError::Empty,
            StreamError::Order("request headers"),
            StreamError::Head(ConvertError::NoStatus),
            StreamError::Mode(UnsupportedMode::Observability),
            StreamError::Ended,
        ];
        for error in errors {
            assert_ne!(error.status().code(), tonic::Code::Ok, "{error}");
        }
    }

    #[test]
    fn an_error_kind_is_logged_once_per_interval_with_the_number_of_streams() {
        let kind = StreamErrorKind::default();
        assert_eq!([0, 1, 9_999].map(|now| kind.note(now)), [Some(1), None, None]);
        assert_eq!([10_000, 10_001].map(|now| kind.note(now)), [Some(3), None]);
    }
}
