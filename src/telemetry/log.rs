//! The log on standard error, and its level. The level can be changed at runtime.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt as lines, reload};

use crate::config::settings::LogLevel;

/// Changes the log level at runtime.
#[derive(Clone)]
pub struct LogLevelControl {
    handle: reload::Handle<Targets, Registry>,
    level: Arc<AtomicU8>,
}

impl fmt::Debug for LogLevelControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevelControl").field(&self.level()).finish()
    }
}

/// Starts logging: JSON if `json`, else text, in colour on a terminal.
///
/// A thread writes the lines. When its queue is full, lines are dropped, so that a stalled reader of the log never
/// blocks a request. Dropping the guard writes the remaining lines.
pub(crate) fn start_log(
    level: LogLevel,
    json: bool,
    terminal: bool,
) -> (LogLevelControl, WorkerGuard) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(io::stderr());
    let plain = lines::layer().with_writer(writer).with_ansi(terminal);
    let layer = match json {
        true => {
            plain.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        false => plain.with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(layer).init();
    (LogLevelControl { handle, level: Arc::new(AtomicU8::new(level as u8)) }, guard)
}

/// Omits h2's log lines about PING frames: h2 warns about the answer to each PING that `http2_ping` sends.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level).with_target("h2::proto::ping_pong", LevelFilter::ERROR)
}

impl LogLevelControl {
    /// The current level.
    pub fn level(&self) -> LogLevel {
        let level = self.level.load(Relaxed);
        LogLevel::ALL.into_iter().find(|known| *known as u8 == level).unwrap_or(LogLevel::Info)
    }

    /// Sets the level until the process ends.
    pub fn set(&self, level: LogLevel) {
        // Fails only when the log no longer exists.
        if self.handle.reload(filter(level)).is_ok() {
            self.level.store(level as u8, Relaxed);
        }
    }
}
