//! What a client connection is doing, and what it is told to do.
//!
//! Timeouts cost a request nothing: the connection notes in which phase it is and since which tick
//! of its worker's coarse clock, and the worker looks through its connections now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// A clock as coarse as the timeouts allow: reading it costs a request nothing. Its steps are the sweeper's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Moves the clock on by a step, and returns the new time.
    pub(crate) fn next_tick(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}

/// No request is in flight.
const IDLE: u8 = 0;
/// The first bytes of a request have arrived.
const HEAD: u8 = 1;
/// At least one request is being answered.
const BUSY: u8 = 2;

/// It carries another protocol after a 101.
const TUNNEL: u8 = 3;

/// For how many times the linger time a client that has closed its side is worked for: it may be gone.
const HALF_CLOSED: u64 = 10;

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    GoOn,
    /// End after the request in flight, or the next one, if it arrives soon.
    LastRequest,
    /// End after the requests in flight.
    Finish,
    /// End now.
    Close,
}

/// What a client connection is doing, and what it is told to do.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Clock,
    requests: AtomicU32,
    phase: AtomicU8,
    /// The tick at the last movement.
    since: AtomicU64,
    /// The client does not take what is written.
    blocked: AtomicBool,
    /// The client has closed its side.
    half_closed: AtomicBool,
    http2: AtomicBool,
    order: AtomicU8,
    /// The tick when the drain began.
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
            order: AtomicU8::new(Order::GoOn as u8),
            drained: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Whether nothing has moved on an idle connection since the last tick.
    pub(crate) fn rests(&self) -> bool {
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

    /// The first bytes were the preface of HTTP/2. From here on only requests count as use of the connection: frames such as
    /// PING come without any.
    pub(crate) fn speaks_http2(&self) {
        self.http2.store(true, Relaxed);
        self.phase.store(IDLE, Relaxed);
        self.touch();
    }

    /// Bytes have arrived.
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

    /// A part of a head is there.
    pub(crate) fn head_begun(&self) {
        if self.phase.load(Relaxed) == IDLE {
            self.received();
        }
    }

    /// The client has closed its side, and may still wait for a response.
    pub(crate) fn half_closed(&self) {
        self.half_closed.store(true, Relaxed);
        self.touch();
    }

    /// From here on another protocol is spoken, which has its own timeouts.
    pub(crate) fn tunnels(&self) {
        self.phase.store(TUNNEL, Relaxed);
    }

    /// Whether the connection may go on after the request in flight.
    pub(crate) fn goes_on(&self) -> bool {
        self.order.load(Relaxed) == Order::GoOn as u8
    }

    pub(crate) fn written(&self, took: bool) {
        let was_blocked = self.blocked.swap(!took, Relaxed);
        // What an idle HTTP/2 connection writes acknowledges frames; only the rest of a response has to wait for the client.
        let is_idle = self.http2.load(Relaxed) && self.phase.load(Relaxed) == IDLE;
        if took && (was_blocked || !is_idle) {
            self.touch();
        }
    }

    /// Ends the connection when it has been in its phase for too long. Times are in ticks. An idle one gets a moment for a
    /// request that is on its way already.
    pub(crate) fn check(&self, now: u64, head: u64, idle: u64, linger: u64) {
        let draining = self.order.load(Relaxed) == Order::LastRequest as u8;
        if draining && now.saturating_sub(self.drained.load(Relaxed)) >= linger {
            self.order(Order::Finish);
        }
        let waited = now.saturating_sub(self.since.load(Relaxed));
        let phase = self.phase.load(Relaxed);
        match phase {
            HEAD if waited >= head => self.order(Order::Close),
            IDLE if waited >= idle.saturating_add(linger.min(idle / 4)) => self.order(Order::Close),
            IDLE if waited >= idle => self.order(Order::Finish),
            BUSY if self.half_closed.load(Relaxed)
                && waited >= linger.saturating_mul(HALF_CLOSED) =>
            {
                self.order(Order::Close);
            }
            _ if waited >= idle && self.blocked.load(Relaxed) => self.order(Order::Close),
            _ => {}
        }
    }

    /// Lets the requests in flight end. An HTTP/1.1 client may have sent one that has not arrived yet: closing
    /// the connection at once would lose it.
    pub(crate) fn drain(&self) {
        self.drained.store(self.clock.tick(), Relaxed);
        self.order(Order::LastRequest);
    }

    fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.waker.wake();
        }
    }

    /// What the connection is told to do; wakes the task when that changes.
    pub(crate) fn poll_order(&self, context: &Context<'_>) -> Order {
        self.waker.register(context.waker());
        match self.order.load(Relaxed) {
            0 => Order::GoOn,
            1 => Order::LastRequest,
            2 => Order::Finish,
            _ => Order::Close,
        }
    }
}
