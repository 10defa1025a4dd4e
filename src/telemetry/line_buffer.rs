//! Per-worker batching of access log lines.
//!
//! A worker collects the lines of one turn of its event loop and passes them to the log thread together. Passing
//! each line alone would wake that thread, and cost a system call, for each request.

use std::cell::RefCell;
use std::io::{self, Write};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing_appender::non_blocking::NonBlocking;

/// A buffer of this many bytes is flushed immediately.
const FULL: usize = 16 * 1024;
/// Maximum number of buffers queued for a slow reader. Further lines are dropped.
pub(crate) const MAX_WAITING: usize = 4096;
/// Pause of the log thread after each write. Waking the thread costs more than the lines written meanwhile.
const REST: Duration = Duration::from_millis(2);

/// Writer for the log thread: writes the queued buffers in one system call, then pauses.
#[derive(Debug)]
pub(crate) struct Batches<W> {
    writer: W,
    batch: Vec<u8>,
}

impl<W> Batches<W> {
    /// Wraps a writer.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, batch: Vec::new() }
    }
}

impl<W: Write> Batches<W> {
    /// Writes the batch. If that fails, the batch is dropped.
    fn write_batch(&mut self) -> io::Result<()> {
        let written = self.writer.write_all(&self.batch);
        self.batch.clear();
        written
    }
}

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= FULL {
            self.write_batch()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_batch()?;
        self.writer.flush()?;
        std::thread::sleep(REST);
        Ok(())
    }
}

thread_local! {
    static BUFFER: RefCell<LineBuffer> = RefCell::default();
    static CLOCK: RefCell<(i64, String)> = RefCell::default();
}

#[derive(Default)]
struct LineBuffer {
    /// Whether lines are buffered until [`flush`] is called.
    waits: bool,
    lines: Vec<u8>,
    writer: Option<NonBlocking>,
}

impl LineBuffer {
    fn flush(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            // A full queue drops the lines. A request must not fail because of its log line.
            let _ = writer.write_all(&self.lines);
            self.lines.clear();
            self.lines.shrink_to(FULL);
        }
    }
}

/// From now on, buffers the lines of this thread until the thread calls [`flush`].
pub(crate) fn wait_for_flush() {
    BUFFER.with_borrow_mut(|buffer| buffer.waits = true);
}

/// Passes this thread's lines to the log thread.
pub(crate) fn flush() {
    BUFFER.with_borrow_mut(LineBuffer::flush);
}

/// Appends the line that `write` produces, and a line feed.
pub(super) fn add(writer: &NonBlocking, write: impl FnOnce(&mut Vec<u8>)) {
    BUFFER.with_borrow_mut(|buffer| {
        write(&mut buffer.lines);
        buffer.lines.push(b'\n');
        if buffer.writer.is_none() {
            buffer.writer = Some(writer.clone());
        }
        if !buffer.waits || buffer.lines.len() >= FULL {
            buffer.flush();
        }
    });
}

/// Formats a time by RFC 3339 with milliseconds and passes it to `take`. The text of a millisecond is reused.
pub(super) fn with_millis<T>(time: OffsetDateTime, take: impl FnOnce(&str) -> T) -> T {
    let nanos = time.nanosecond() / 1_000_000 * 1_000_000;
    let millis = time.unix_timestamp().saturating_mul(1000) + i64::from(nanos / 1_000_000);
    CLOCK.with_borrow_mut(|(of, text)| {
        if *of != millis || text.is_empty() {
            let time = time.replace_nanosecond(nanos).unwrap_or(time);
            *text = time.format(&Rfc3339).unwrap_or_default();
            *of = millis;
        }
        take(text)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use time::Duration;
    use time::macros::datetime;
    use tracing_appender::non_blocking::NonBlockingBuilder;

    /// Records each write.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_a_batch_are_written_together_without_loss() {
        let written = Written::default();
        let (writer, guard) = NonBlockingBuilder::default().finish(written.clone());
        let long = vec![b'x'; FULL];
        let line = long.clone();
        let turns = std::thread::spawn(move || {
            add(&writer, |out| out.extend_from_slice(b"alone"));
            wait_for_flush();
            for line in [b"a", b"b", b"c"] {
                add(&writer, |out| out.extend_from_slice(line));
            }
            flush();
            flush();
            add(&writer, |out| out.extend_from_slice(&line));
            add(&writer, |out| out.extend_from_slice(b"last"));
            flush();
        });
        turns.join().expect("it ends");
        drop(guard);
        let expected = [&b"alone\n"[..], b"a\nb\nc\n", &[&long[..], b"\n"].concat(), b"last\n"];
        assert_eq!(*written.0.lock().expect("a lock"), expected);
    }

    #[test]
    fn lines_before_a_flush_are_written_together_and_a_long_batch_at_once() {
        let written = Written::default();
        let mut batches = Batches::new(written.clone());
        for bytes in [b"a\n", b"b\n"] {
            batches.write_all(bytes).expect("it is kept");
        }
        batches.flush().expect("it is written");
        let long = vec![b'x'; FULL];
        batches.write_all(&long).expect("it is written");
        batches.flush().expect("it is written");
        let written = written.0.lock().expect("a lock");
        let parts: Vec<_> = written.iter().filter(|part| !part.is_empty()).collect();
        assert_eq!(parts, [&b"a\nb\n"[..], &long[..]]);
    }

    #[test]
    fn cached_timestamps_are_formatted_in_milliseconds() {
        let start = datetime!(2026-11-28 23:59:59.998_999 UTC);
        for (micros, expected) in [
            (0, "2026-11-28T23:59:59.998Z"),
            (1, "2026-11-28T23:59:59.999Z"),
            (1001, "2026-11-29T00:00:00Z"),
            (0, "2026-11-28T23:59:59.998Z"),
        ] {
            let time = start + Duration::microseconds(micros);
            assert_eq!(with_millis(time, str::to_owned), expected, "{micros}");
        }
    }
}
