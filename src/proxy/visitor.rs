//! What is known of a visitor's connection: who it is, what it is doing, what it is told to do.
//!
//! Timeouts cost a request nothing: the connection notes in which phase it is and since which tick
//! of its worker's coarse clock, and the worker looks through its connections now and then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Context;

use futures_util::task::AtomicWaker;

use super::worker::Worker;
use crate::filter::Recall;
use crate::http::Peer;

/// Nothing is under way.
const IDLE: u8 = 0;
/// The first octets of a request have come.
const HEAD: u8 = 1;
/// At least one request is being answered.
const BUSY: u8 = 2;

/// How much of a request line has arrived. hyper drops the fragment of a target; that of a URL makes the request invalid.
const LINE_ENDED: u8 = 0;
const LINE_AWAITED: u8 = 1;
const LINE_BEGUN: u8 = 2;
const LINE_HAS_FRAGMENT: u8 = 3;

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    GoOn,
    /// End after the request under way, or the next one, if it comes soon.
    LastRequest,
    /// End after the requests under way.
    Finish,
    /// End now.
    Close,
}

/// What is known of a visitor's connection.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) peer: Peer,
    pub(super) worker: Arc<Worker>,
    /// Its last request.
    pub(super) recall: Arc<Recall>,
    requests: AtomicU32,
    /// Request bodies that have not been read to their end; each counts itself off. One that is dropped before that never
    /// does, so its connection never becomes idle: it ends.
    pub(super) unread_bodies: Arc<AtomicU32>,
    phase: AtomicU8,
    /// How much of the request line has arrived.
    line: AtomicU8,
    /// The worker's tick at the last movement.
    since: AtomicU64,
    /// The visitor does not take what is written.
    blocked: AtomicBool,
    /// All that was written has been handed over.
    flushed: AtomicBool,
    /// All that has come was read.
    waits: AtomicBool,
    http2: AtomicBool,
    order: AtomicU8,
    /// The worker's tick when the drain began.
    drained: AtomicU64,
    waker: AtomicWaker,
}

impl Visitor {
    pub(super) fn new(worker: Arc<Worker>, address: SocketAddr, secure: bool) -> Self {
        Self {
            peer: Peer::new(address.ip(), secure),
            since: AtomicU64::new(worker.tick()),
            worker,
            recall: Arc::default(),
            requests: AtomicU32::new(0),
            unread_bodies: Arc::default(),
            phase: AtomicU8::new(IDLE),
            line: AtomicU8::new(LINE_ENDED),
            blocked: AtomicBool::new(false),
            flushed: AtomicBool::new(true),
            waits: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            order: AtomicU8::new(Order::GoOn as u8),
            drained: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    pub(super) fn request_started(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.phase.store(BUSY, Relaxed);
        self.touch();
    }

    pub(super) fn request_ended(&self) {
        if self.requests.fetch_sub(1, Relaxed) == 1 {
            self.phase.store(IDLE, Relaxed);
        }
        self.touch();
    }

    /// A request with a body has begun. While the body has unread bytes, the next bytes are not a request.
    pub(super) fn body_started(&self) {
        self.unread_bodies.fetch_add(1, Relaxed);
    }

    fn touch(&self) {
        self.since.store(self.worker.tick(), Relaxed);
    }

    /// The first bytes were the preface of HTTP/2. From here on only requests count as use of the connection: frames such as
    /// PING come without any.
    pub(super) fn speaks_http2(&self) {
        self.http2.store(true, Relaxed);
        self.phase.store(IDLE, Relaxed);
        self.touch();
    }

    /// Bytes have arrived.
    pub(super) fn received(&self, bytes: &[u8]) {
        if self.http2.load(Relaxed) {
            return;
        }
        match self.phase.load(Relaxed) {
            IDLE => {
                self.phase.store(HEAD, Relaxed);
                self.touch();
                // The rest of a body is no request line.
                if self.unread_bodies.load(Relaxed) == 0 {
                    self.line.store(LINE_AWAITED, Relaxed);
                    self.read_line(bytes);
                }
            }
            BUSY => self.touch(),
            _ => self.read_line(bytes),
        }
    }

    /// Looks for a fragment in what has arrived of a request line. A pipelined request is not seen here: its fragment is
    /// dropped.
    fn read_line(&self, bytes: &[u8]) {
        let line = self.line.load(Relaxed);
        if !matches!(line, LINE_AWAITED | LINE_BEGUN) {
            return;
        }
        // An empty line before it is ignored (RFC 9112 section 2.2).
        let skipped =
            bytes.iter().take_while(|byte| line == LINE_AWAITED && b"\r\n".contains(byte)).count();
        let bytes = bytes.get(skipped..).unwrap_or_default();
        let found = bytes.iter().find(|byte| matches!(byte, b'#' | b'\n'));
        let line = match found {
            Some(b'#') => LINE_HAS_FRAGMENT,
            Some(_) => LINE_ENDED,
            None if bytes.is_empty() => line,
            None => LINE_BEGUN,
        };
        self.line.store(line, Relaxed);
    }

    /// Whether the request that has just begun has a fragment in its target.
    pub(super) fn take_fragment(&self) -> bool {
        self.line.swap(LINE_ENDED, Relaxed) == LINE_HAS_FRAGMENT
    }

    /// More octets are waited for, or not.
    pub(super) fn waits(&self, waits: bool) {
        self.waits.store(waits, Relaxed);
    }

    pub(super) fn flushed(&self) {
        self.flushed.store(true, Relaxed);
    }

    pub(super) fn written(&self, took: bool) {
        self.flushed.store(false, Relaxed);
        let was_blocked = self.blocked.swap(!took, Relaxed);
        // What an idle HTTP/2 connection writes acknowledges frames; only the rest of a response has to wait for the client.
        let is_idle = self.http2.load(Relaxed) && self.phase.load(Relaxed) == IDLE;
        if took && (was_blocked || !is_idle) {
            self.touch();
        }
    }

    /// Ends the connection when it has been in its phase for too long. Times are in ticks. An idle one gets a moment for a
    /// request that is on its way already.
    pub(super) fn check(&self, now: u64, head: u64, idle: u64, linger: u64) {
        let draining = self.order.load(Relaxed) == Order::LastRequest as u8;
        if draining && now.saturating_sub(self.drained.load(Relaxed)) >= linger {
            self.order(Order::Finish);
        }
        let waited = now.saturating_sub(self.since.load(Relaxed));
        match self.phase.load(Relaxed) {
            HEAD if waited >= head => self.order(Order::Close),
            IDLE if waited >= idle.saturating_add(linger.min(idle / 4)) => self.order(Order::Close),
            IDLE if waited >= idle => self.order(Order::Finish),
            _ if waited >= idle && self.blocked.load(Relaxed) => self.order(Order::Close),
            _ => {}
        }
    }

    /// Lets the requests under way end. A visitor of HTTP/1.1 may have sent one that has not come yet: closing
    /// the connection at once would lose it.
    pub(super) fn drain(&self) {
        self.drained.store(self.worker.tick(), Relaxed);
        self.order(Order::LastRequest);
    }

    /// Whether a drain has nothing to wait for: what is under way is the last.
    pub(super) fn may_finish(&self) -> bool {
        self.phase.load(Relaxed) != IDLE
    }

    /// Whether both messages of the last exchange have ended: the request was read to the end of its body, the response
    /// was written, and nothing of a next request has arrived.
    pub(super) fn is_settled(&self) -> bool {
        self.phase.load(Relaxed) == IDLE
            && self.waits.load(Relaxed)
            && self.flushed.load(Relaxed)
            && self.unread_bodies.load(Relaxed) == 0
    }

    fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.waker.wake();
        }
    }

    /// What the connection is told to do; wakes the task when that changes.
    pub(super) fn poll_order(&self, context: &Context<'_>) -> Order {
        self.waker.register(context.waker());
        match self.order.load(Relaxed) {
            0 => Order::GoOn,
            1 => Order::LastRequest,
            2 => Order::Finish,
            _ => Order::Close,
        }
    }
}
