//! Activity and shutdown state of a client connection, for the timeouts.
//!
//! Timeouts add no cost to a request. The connection records its phase and the tick of the worker's
//! coarse clock. The worker checks its connections periodically.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// A coarse clock, cheap to read for each request. The sweeper advances it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Advances the clock by one tick and returns the new time.
    pub(crate) fn next_tick(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}

/// No request is in flight.
const IDLE: u8 = 0;
/// The first bytes of a request have arrived.
const HEAD: u8 = 1;
/// At least one request is in flight.
const BUSY: u8 = 2;

/// The connection carries another protocol after a 101 response.
const TUNNEL: u8 = 3;

/// A half-closed client may be gone. Its requests are aborted after this many linger times without
/// activity.
const HALF_CLOSED: u64 = 10;

/// A shutdown command for a client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownCommand {
    Continue,
    /// End after the request in flight, or after the next one if it arrives soon.
    LastRequest,
    /// End after the requests in flight.
    Finish,
    /// End now.
    Close,
}

/// Activity and shutdown state of a client connection.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Clock,
    requests: AtomicU32,
    phase: AtomicU8,
    /// The tick of the last activity.
    since: AtomicU64,
    /// The client does not accept more bytes.
    blocked: AtomicBool,
    /// The client has closed its sending side.
    half_closed: AtomicBool,
    http2: AtomicBool,
    command: AtomicU8,
    /// The tick at the start of the drain.
    drained: AtomicU64,
    waker: AtomicWaker,
}

impl Activity {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            requests: AtomicU32::new(0),
            phase: AtomicU8::new(IDLE),
            since: AtomicU64::new(clock.tick()),
            blocked: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            command: AtomicU8::new(ShutdownCommand::Continue as u8),
            drained: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Whether an idle connection has had no activity since the last tick.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.load(Relaxed) == IDLE && self.since.load(Relaxed) < self.clock.tick()
    }

    pub(crate) fn request_started(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.phase.store(BUSY, Relaxed);
        self.touch();
    }

    pub(crate) fn request_ended(&self) {
        if self.requests.fetch_sub(1, Relaxed) == 1 {
            self.phase.store(IDLE, Relaxed);
        }
        self.touch();
    }

    fn touch(&self) {
        self.since.store(self.clock.tick(), Relaxed);
    }

    /// Marks the connection as HTTP/2 after its preface.
    ///
    /// From now on only requests count as activity, because frames such as PING arrive without
    /// requests.
    pub(crate) fn set_http2(&self) {
        self.http2.store(true, Relaxed);
        self.phase.store(IDLE, Relaxed);
        self.touch();
    }

    /// Records received bytes.
    pub(crate) fn received(&self) {
        if self.http2.load(Relaxed) {
            return;
        }
        match self.phase.load(Relaxed) {
            IDLE => {
                self.phase.store(HEAD, Relaxed);
                self.touch();
            }
            BUSY => self.touch(),
            _ => {}
        }
    }

    /// Records that part of a request head is buffered.
    pub(crate) fn head_started(&self) {
        if self.phase.load(Relaxed) == IDLE {
            self.received();
        }
    }

    /// Records that the client has closed its sending side. The client may still wait for a
    /// response.
    pub(crate) fn half_closed(&self) {
        self.half_closed.store(true, Relaxed);
        self.touch();
    }

    /// Marks the connection as a tunnel. The other protocol has its own timeouts.
    pub(crate) fn set_tunnel(&self) {
        self.phase.store(TUNNEL, Relaxed);
    }

    /// Whether the connection may be reused after the request in flight.
    pub(crate) fn allows_reuse(&self) -> bool {
        self.command.load(Relaxed) == ShutdownCommand::Continue as u8
    }

    pub(crate) fn written(&self, accepted: bool) {
        let was_blocked = self.blocked.swap(!accepted, Relaxed);
        // Writes on an idle HTTP/2 connection only acknowledge frames. Only pending response bytes
        // wait for the client.
        let is_idle = self.http2.load(Relaxed) && self.phase.load(Relaxed) == IDLE;
        if accepted && (was_blocked || !is_idle) {
            self.touch();
        }
    }

    /// Enforces the timeouts of the current phase. Times are in ticks.
    ///
    /// An idle connection gets a grace period for a request that is already on its way.
    pub(crate) fn enforce_timeouts(&self, now: u64, head: u64, idle: u64, linger: u64) {
        let draining = self.command.load(Relaxed) == ShutdownCommand::LastRequest as u8;
        if draining && now.saturating_sub(self.drained.load(Relaxed)) >= linger {
            self.set_command(ShutdownCommand::Finish);
        }
        let waited = now.saturating_sub(self.since.load(Relaxed));
        let phase = self.phase.load(Relaxed);
        match phase {
            HEAD if waited >= head => self.set_command(ShutdownCommand::Close),
            IDLE if waited >= idle.saturating_add(linger.min(idle / 4)) => {
                self.set_command(ShutdownCommand::Close)
            }
            IDLE if waited >= idle => self.set_command(ShutdownCommand::Finish),
            BUSY if self.half_closed.load(Relaxed)
                && waited >= linger.saturating_mul(HALF_CLOSED) =>
            {
                self.set_command(ShutdownCommand::Close);
            }
            _ if waited >= idle && self.blocked.load(Relaxed) => {
                self.set_command(ShutdownCommand::Close)
            }
            _ => {}
        }
    }

    /// Starts to drain: requests in flight may complete.
    ///
    /// An HTTP/1.1 client may have sent a request that has not arrived yet. Closing the connection
    /// at once would lose that request.
    pub(crate) fn drain(&self) {
        self.drained.store(self.clock.tick(), Relaxed);
        self.set_command(ShutdownCommand::LastRequest);
    }

    fn set_command(&self, command: ShutdownCommand) {
        if self.command.fetch_max(command as u8, Relaxed) < command as u8 {
            self.waker.wake();
        }
    }

    /// Returns the current command. The task is woken when the command changes.
    pub(crate) fn poll_command(&self, context: &Context<'_>) -> ShutdownCommand {
        self.waker.register(context.waker());
        match self.command.load(Relaxed) {
            0 => ShutdownCommand::Continue,
            1 => ShutdownCommand::LastRequest,
            2 => ShutdownCommand::Finish,
            _ => ShutdownCommand::Close,
        }
    }
}
