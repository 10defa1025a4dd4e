//! The writer thread: decides whether a receipt is stored, spooled or refused.
//!
//! | state of the store | a new receipt |
//! |---|---|
//! | idle | is sent to the store, or to the spool if the store fails or takes longer than [`WriterLimits::store`] |
//! | busy | waits for the operation in flight, at most [`WriterLimits::store`], then as above |
//! | failed | goes to the spool immediately; only the background work tries the store, with a backoff |
//!
//! A receipt that the spool rejects too is refused. A tombstone also erases the refused receipt if COMMIT was
//! sent without a reply, or if the visitor stopped waiting. The receipt is then not stored later. Receipt ids
//! are random and stores ignore known ids, so a receipt in both the store and the spool is stored once.
//!
//! The background work moves the spool to the store, retries erasures, and deletes expired receipts. The store and
//! the spool each have a backoff.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::backoff::Backoff;
use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::spool::Spool;
use super::store::PRUNED_AT_ONCE;
use super::store_thread::{Gate, Operation};
use crate::clock::unix_now;
use crate::telemetry::ReceiptCounters;

/// Maximum number of receipts in one transaction.
const BATCH: usize = 256;
/// Maximum number of receipts that wait for the store.
const MOST_PENDING: usize = 4096;
/// Maximum number of ids that wait for removal from the store or the spool.
const MOST_TO_REMOVE: usize = 10_000;

/// Time limits.
#[derive(Debug, Clone)]
pub(super) struct WriterLimits {
    /// How long a visitor waits for the store.
    pub(super) store: Duration,
    /// How long a visitor waits for the answer in total.
    pub(super) reply_timeout: Duration,
    /// The first and the longest wait between two attempts after a failure.
    pub(super) backoff: (Duration, Duration),
    /// Interval between deletions of expired receipts.
    pub(super) prune_every: Duration,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self {
            store: Duration::from_millis(500),
            reply_timeout: Duration::from_secs(2),
            backoff: (Duration::from_millis(500), Duration::from_secs(5)),
            prune_every: Duration::from_secs(60 * 60),
        }
    }
}

/// Settings of the writer.
#[derive(Debug, Clone)]
pub(super) struct WriterSettings {
    pub(super) limits: WriterLimits,
    pub(super) spool_max: u64,
    pub(super) retention_days: u32,
}

/// The outcome of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the store.
    Stored,
    /// It is in the spool, and will be moved to the store.
    Spooled,
    /// It is in neither the store nor the spool.
    Refused,
}

/// A receipt, and the visitor who waits for its outcome.
#[derive(Debug)]
pub(super) struct PendingReceipt {
    pub(super) receipt: Receipt,
    pub(super) visitor: oneshot::Sender<Outcome>,
    /// The end of the visitor's wait for the store.
    pub(super) store_until: Instant,
}

/// Messages to the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// A new receipt.
    Job(Box<PendingReceipt>),
    /// The result of the operation in flight.
    StoreReply(Result<u64, ReceiptsError>),
    /// Finish by this time, then signal completion.
    Close(Instant, oneshot::Sender<()>),
}

/// The operation in flight.
enum InFlight {
    Open,
    /// The receipts and the waiting visitors. Empty once the visitors stopped waiting.
    Insert(Vec<PendingReceipt>, Arc<Gate>),
    /// From the spool.
    Move(Vec<String>),
    Erase(Vec<String>),
    Prune,
}

/// Owns every receipt between the visitor and the store.
pub(super) struct Writer<S> {
    settings: WriterSettings,
    counters: Arc<ReceiptCounters>,
    spool: S,
    spool_backoff: Backoff,
    /// Receipts in the spool that are not in the store.
    waiting: u64,
    /// Ids to remove from the spool: they are already in the store, or refused.
    to_remove: Vec<String>,
    store: Sender<Operation>,
    store_backoff: Backoff,
    /// The last operation failed or timed out. Visitors do not wait for the store.
    store_failed: bool,
    in_flight: Option<InFlight>,
    /// Refused receipts that may be in the store.
    to_erase: Vec<String>,
    erase_backoff: Backoff,
    /// Receipts that wait for the store.
    pending: Vec<PendingReceipt>,
    /// Time of the last logged refusal, for rate-limiting the log.
    refusal_logged_at: Option<Instant>,
    prune_at: Instant,
    closing: Option<(Instant, oneshot::Sender<()>)>,
}

impl<S: Spool> Writer<S> {
    /// Creates a writer that continues with the receipts in the spool. Operations are sent to the store thread.
    pub(super) fn new(
        settings: WriterSettings,
        counters: Arc<ReceiptCounters>,
        mut spool: S,
        store: Sender<Operation>,
    ) -> Result<Self, ReceiptsError> {
        let waiting = spool.count()?;
        counters.set_waiting(waiting);
        let (first, longest) = settings.limits.backoff;
        let mut this = Self {
            settings,
            counters,
            spool,
            spool_backoff: Backoff::new(first, longest),
            waiting,
            to_remove: Vec::new(),
            store,
            store_backoff: Backoff::new(first, longest),
            store_failed: false,
            in_flight: None,
            to_erase: Vec::new(),
            erase_backoff: Backoff::new(first, longest),
            pending: Vec::new(),
            refusal_logged_at: None,
            prune_at: Instant::now(),
            closing: None,
        };
        this.start(Operation::Open, InFlight::Open);
        Ok(this)
    }

    /// Runs until all senders are dropped, or until the writer has been closed.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let wait = self.next_wake().saturating_duration_since(Instant::now());
            match messages.recv_timeout(wait) {
                Ok(first) => {
                    self.receive(first);
                    messages.try_iter().take(BATCH).for_each(|message| self.receive(message));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.step(Instant::now()) {
                return;
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Job(job) if self.pending.len() < MOST_PENDING => self.pending.push(*job),
            Message::Job(job) => self.reply(vec![*job], Outcome::Refused, false),
            Message::StoreReply(done) => self.store_replied(done),
            Message::Close(until, closed) => self.closing = Some((until, closed)),
        }
    }

    /// The next time at which the writer must act without a message.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + self.settings.limits.prune_every;
        let mut at = |time: Option<Instant>| wake = wake.min(time.unwrap_or(now));
        let in_flight = match &self.in_flight {
            Some(InFlight::Insert(jobs, _)) => jobs.as_slice(),
            _ => &[],
        };
        for job in in_flight.iter().chain(&self.pending) {
            at(Some(job.store_until));
        }
        if let Some((until, _)) = &self.closing {
            at(Some(*until));
        }
        if !self.to_remove.is_empty() {
            at(self.spool_backoff.due_at());
        }
        if self.in_flight.is_none() {
            if self.store_failed {
                at(self.store_backoff.due_at());
            } else if !self.to_erase.is_empty() {
                at(self.erase_backoff.due_at());
            }
            if !self.store_failed {
                at(Some(self.prune_at));
                if self.waiting > 0 && self.to_remove.is_empty() {
                    at(self.spool_backoff.due_at());
                }
            }
        }
        wake
    }

    /// Performs the work that is due. Returns `true` when the writer has been closed.
    fn step(&mut self, now: Instant) -> bool {
        self.end_waits(now);
        if self.in_flight.is_none() && !self.store_failed && !self.pending.is_empty() {
            let limit = self.pending.len().min(BATCH);
            let jobs: Vec<PendingReceipt> = self.pending.drain(..limit).collect();
            let receipts = jobs.iter().map(|job| job.receipt.clone()).collect();
            let gate = Arc::new(Gate::default());
            self.start(
                Operation::Insert(receipts, Arc::clone(&gate)),
                InFlight::Insert(jobs, gate),
            );
        }
        self.remove_from_spool(now);
        if self.in_flight.is_none() {
            self.start_background_work(now);
        }
        self.is_closed(now)
    }

    /// Moves the receipts of visitors whose wait for the store has ended to the spool.
    fn end_waits(&mut self, now: Instant) {
        let closing = self.closing.as_ref().is_some_and(|(until, _)| *until <= now);
        let ends = |job: &PendingReceipt| closing || job.store_until <= now;
        if let Some(InFlight::Insert(jobs, gate)) = &mut self.in_flight
            && jobs.iter().any(ends)
        {
            let jobs = std::mem::take(jobs);
            let maybe_stored = !gate.cancel();
            self.store_timed_out(now);
            self.spool(jobs, maybe_stored);
        }
        let failed = self.store_failed;
        let late: Vec<PendingReceipt> =
            self.pending.extract_if(.., |job| failed || ends(job)).collect();
        if late.is_empty() {
            return;
        }
        if !self.store_failed && !closing {
            // Later visitors do not wait for the operation in flight either.
            self.store_timed_out(now);
        }
        self.spool(late, false);
    }

    fn start(&mut self, operation: Operation, in_flight: InFlight) {
        // Never fails: the store thread ends after the writer.
        let _ = self.store.send(operation);
        self.in_flight = Some(in_flight);
    }

    fn start_background_work(&mut self, now: Instant) {
        if self.store_failed && !self.store_backoff.is_due(now) {
            return;
        }
        if !self.to_erase.is_empty() && self.erase_backoff.is_due(now) {
            let ids = self.to_erase.clone();
            self.start(Operation::Erase(ids.clone()), InFlight::Erase(ids));
        } else if self.waiting > 0 && self.to_remove.is_empty() && self.spool_backoff.is_due(now) {
            self.start_move(now);
        } else if self.store_failed {
            self.start(Operation::Open, InFlight::Open);
        } else if self.prune_at <= now {
            let retention = i64::from(self.settings.retention_days).saturating_mul(24 * 60 * 60);
            let before = unix_now().saturating_sub(retention);
            self.start(Operation::Prune(before), InFlight::Prune);
        }
    }

    fn start_move(&mut self, now: Instant) {
        match self.spool.oldest(BATCH as u32) {
            Ok(receipts) if receipts.is_empty() => self.set_waiting(0),
            Ok(receipts) => {
                let ids = receipts.iter().map(|receipt| receipt.id.clone()).collect();
                let gate = Arc::new(Gate::default());
                self.start(Operation::Insert(receipts, gate), InFlight::Move(ids));
            }
            Err(error) => self.spool_failed(&error, now),
        }
    }

    /// Handles the result of the operation in flight.
    fn store_replied(&mut self, done: Result<u64, ReceiptsError>) {
        let now = Instant::now();
        let Some(in_flight) = self.in_flight.take() else { return };
        match (in_flight, done) {
            // The backoff continues until a receipt is stored.
            (InFlight::Open, Ok(_)) => self.store_works(),
            (InFlight::Insert(jobs, _), Ok(_)) => {
                self.store_backoff.succeeded();
                self.store_works();
                self.reply(jobs, Outcome::Stored, true);
            }
            (InFlight::Move(ids), Ok(_)) => {
                self.store_backoff.succeeded();
                self.store_works();
                let count = ids.len() as u64;
                self.counters.stored(count);
                self.set_waiting(self.waiting.saturating_sub(count));
                self.to_remove.extend(ids);
            }
            (InFlight::Erase(ids), Ok(_)) => {
                self.erase_backoff.succeeded();
                self.to_erase.retain(|id| !ids.contains(id));
            }
            (InFlight::Erase(ids), Err(error)) => {
                let retry_in = self.erase_backoff.failed(now);
                tracing::warn!(count = ids.len(), %error, ?retry_in, "cannot erase receipts of rejected choices");
            }
            (InFlight::Prune, Ok(removed)) => {
                if removed > 0 {
                    tracing::info!(removed, "expired receipts deleted");
                }
                let more = removed >= u64::from(PRUNED_AT_ONCE);
                self.prune_at = if more { now } else { now + self.settings.limits.prune_every };
            }
            (InFlight::Prune, Err(error)) => {
                tracing::warn!(%error, "cannot delete expired receipts");
                self.prune_at = now + self.settings.limits.prune_every / 12;
            }
            (InFlight::Insert(jobs, gate), Err(error)) => {
                // The failure was already recorded if the visitors stopped waiting.
                if !jobs.is_empty() {
                    self.store_failed(&error.to_string(), now);
                    self.spool(jobs, gate.is_committing());
                }
            }
            (InFlight::Open | InFlight::Move(_), Err(error)) => {
                self.store_failed(&error.to_string(), now);
            }
        }
    }

    fn store_works(&mut self) {
        if self.counters.set_down(false) {
            tracing::info!(waiting = self.waiting, "receipt store available");
        }
        self.store_failed = false;
    }

    fn store_timed_out(&mut self, now: Instant) {
        self.store_failed(&format!("no response within {:?}", self.settings.limits.store), now);
    }

    fn store_failed(&mut self, error: &str, now: Instant) {
        self.counters.set_down(true);
        self.store_failed = true;
        let retry_in = self.store_backoff.failed(now);
        tracing::warn!(error, ?retry_in, "receipt store unavailable, spooling");
    }

    /// Writes receipts to the spool, or refuses them. `maybe_stored` is whether the store may have committed them.
    fn spool(&mut self, jobs: Vec<PendingReceipt>, maybe_stored: bool) {
        let receipts: Vec<Receipt> = jobs.iter().map(|job| job.receipt.clone()).collect();
        let ids = || receipts.iter().map(|receipt| receipt.id.clone());
        let in_file = self.waiting.saturating_add(self.to_remove.len() as u64);
        let full = in_file.saturating_add(receipts.len() as u64) > self.settings.spool_max;
        let written =
            if full { Err(ReceiptsError::SpoolFull) } else { self.spool.insert(&receipts) };
        match written {
            Ok(()) => {
                self.counters.set_spool_down(false);
                self.set_waiting(self.waiting.saturating_add(receipts.len() as u64));
                self.reply(jobs, Outcome::Spooled, maybe_stored);
            }
            Err(error) => {
                self.counters.set_spool_down(true);
                self.log_refusal(receipts.len(), &error);
                if !full {
                    // The receipts may have been written before the error.
                    let _ = self.spool_backoff.failed(Instant::now());
                    remember(&mut self.to_remove, ids());
                }
                if maybe_stored {
                    remember(&mut self.to_erase, ids());
                }
                self.reply(jobs, Outcome::Refused, maybe_stored);
            }
        }
    }

    fn log_refusal(&mut self, count: usize, error: &ReceiptsError) {
        let now = Instant::now();
        let (_, every) = self.settings.limits.backoff;
        if self.refusal_logged_at.is_none_or(|at| now.saturating_duration_since(at) >= every) {
            self.refusal_logged_at = Some(now);
            tracing::error!(count, %error, "choices are rejected: neither the receipt store nor the spool accepts receipts");
        }
    }

    /// Answers visitors, and counts the outcomes of their receipts. If a visitor no longer waits, the receipt is
    /// refused, because the decision was not confirmed.
    fn reply(&mut self, jobs: Vec<PendingReceipt>, outcome: Outcome, maybe_stored: bool) {
        let mut count = 0;
        let mut refused = 0;
        for PendingReceipt { receipt, visitor, .. } in jobs {
            let is_connected = visitor.send(outcome).is_ok();
            match outcome {
                Outcome::Refused => refused += 1,
                _ if is_connected => count += 1,
                Outcome::Stored => {
                    refused += 1;
                    remember(&mut self.to_erase, [receipt.id]);
                }
                Outcome::Spooled => {
                    refused += 1;
                    self.set_waiting(self.waiting.saturating_sub(1));
                    if maybe_stored {
                        remember(&mut self.to_erase, [receipt.id.clone()]);
                    }
                    remember(&mut self.to_remove, [receipt.id]);
                }
            }
        }
        match outcome {
            Outcome::Stored => self.counters.stored(count),
            Outcome::Spooled => self.counters.spooled(count),
            Outcome::Refused => {}
        }
        self.counters.refused(refused);
    }

    fn set_waiting(&mut self, waiting: u64) {
        self.waiting = waiting;
        self.counters.set_waiting(waiting);
    }

    fn remove_from_spool(&mut self, now: Instant) {
        if self.to_remove.is_empty() || !self.spool_backoff.is_due(now) {
            return;
        }
        let counted = self.spool.remove(&self.to_remove).and_then(|()| self.spool.count());
        match counted {
            Ok(waiting) => {
                self.to_remove.clear();
                self.spool_backoff.succeeded();
                self.counters.set_spool_down(false);
                self.set_waiting(waiting);
            }
            Err(error) => self.spool_failed(&error, now),
        }
    }

    fn spool_failed(&mut self, error: &ReceiptsError, now: Instant) {
        self.counters.set_spool_down(true);
        let retry_in = self.spool_backoff.failed(now);
        tracing::warn!(%error, ?retry_in, "cannot read or write the receipt spool");
    }

    /// Whether the writer may end: visitors have answers, refused receipts are erased, the spool is empty if the
    /// store works.
    fn is_closed(&mut self, now: Instant) -> bool {
        let Some((until, closed)) = self.closing.take() else { return false };
        let answered = self.pending.is_empty()
            && !matches!(&self.in_flight, Some(InFlight::Insert(jobs, _)) if !jobs.is_empty());
        let empty = self.waiting == 0 && self.to_remove.is_empty();
        let moved = self.store_failed || (self.in_flight.is_none() && empty);
        // No refused receipt may stay in the store.
        let idle = moved && self.to_erase.is_empty();
        if answered && (idle || until <= now) {
            let _ = closed.send(());
            return true;
        }
        self.closing = Some((until, closed));
        false
    }
}

/// Adds ids to a bounded list.
fn remember(list: &mut Vec<String>, ids: impl IntoIterator<Item = String>) {
    list.extend(ids);
    if list.len() > MOST_TO_REMOVE {
        tracing::error!("too many receipts wait for deletion: some may remain");
        list.truncate(MOST_TO_REMOVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_10000_ids_queue_for_deletion() {
        let mut list = Vec::new();
        for _ in 0..5 {
            remember(&mut list, (0..3000).map(|number| number.to_string()));
        }
        assert_eq!(list.len(), 10_000);
    }
}
