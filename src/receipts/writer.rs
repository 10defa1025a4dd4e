//! The thread that writes receipts: to the store while it works, else to the spool.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::ReceiptsError;
use super::open::open;
use super::receipt::Receipt;
use super::sqlite::Sqlite;
use super::store::{Place, Store};
use crate::config::settings;
use crate::filter::unix_now;
use crate::telemetry::ReceiptCounters;

/// The most receipts of one transaction.
const BATCH: usize = 256;
/// How long to leave a store alone that is down: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often receipts are removed whose time is over.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// A receipt to be written, and whom to tell.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) receipt: Receipt,
    /// Whether it was written.
    pub(super) done: oneshot::Sender<bool>,
}

/// Writes receipts.
pub(super) struct Writer {
    settings: settings::Receipts,
    counters: Arc<ReceiptCounters>,
    spool: Sqlite,
    /// How many wait in the spool.
    waiting: u64,
    /// The store, while it works.
    store: Option<Box<dyn Store>>,
    retry_at: Instant,
    wait: Duration,
    prune_at: Instant,
}

impl Writer {
    /// Opens the spool. The store is opened when there is something to write.
    pub(super) fn new(
        settings: settings::Receipts,
        counters: Arc<ReceiptCounters>,
    ) -> Result<Self, ReceiptsError> {
        let spool = Sqlite::open(&settings.spool, settings.durability)?;
        let waiting = spool.count()?;
        counters.set_waiting(waiting);
        let now = Instant::now();
        Ok(Self {
            settings,
            counters,
            spool,
            waiting,
            store: None,
            retry_at: now,
            wait: FIRST_WAIT,
            prune_at: now,
        })
    }

    /// Writes what comes until nobody can send any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.connect();
        loop {
            let now = Instant::now();
            let down = self.store.is_none();
            let wake_at = if down || self.waiting > 0 { self.retry_at } else { self.prune_at };
            let wait = wake_at.saturating_duration_since(now);
            match jobs.recv_timeout(wait) {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(jobs.try_iter().take(BATCH - 1));
                    self.write(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.connect();
            self.move_over();
            self.prune();
        }
    }

    fn write(&mut self, batch: Vec<Job>) {
        let (receipts, told): (Vec<Receipt>, Vec<_>) =
            batch.into_iter().map(|job| (job.receipt, job.done)).unzip();
        let count = receipts.len() as u64;
        let stored = match self.store.as_mut().map(|store| store.insert(&receipts)) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                self.failed(&error);
                false
            }
            None => false,
        };
        let written = if stored {
            self.counters.stored(count);
            true
        } else {
            match self.spool(&receipts) {
                Ok(()) => {
                    self.counters.spooled(count);
                    true
                }
                Err(error) => {
                    self.counters.lost(count);
                    tracing::error!(count, %error, "receipts are lost: neither the store nor the spool takes them");
                    false
                }
            }
        };
        for done in told {
            // Who asked may have gone.
            let _ = done.send(written);
        }
    }

    fn spool(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        let after = self.waiting.saturating_add(receipts.len() as u64);
        if after > u64::from(self.settings.spool_max) {
            return Err(ReceiptsError::SpoolFull);
        }
        self.spool.insert(receipts)?;
        self.set_waiting(after);
        Ok(())
    }

    fn set_waiting(&mut self, waiting: u64) {
        self.waiting = waiting;
        self.counters.set_waiting(waiting);
    }

    /// Opens the store when it is time to try.
    fn connect(&mut self) {
        if self.store.is_some() || Instant::now() < self.retry_at {
            return;
        }
        match open(&self.settings) {
            Ok(store) => {
                tracing::info!(waiting = self.waiting, "the store of receipts is open");
                self.store = Some(store);
                self.wait = FIRST_WAIT;
                self.counters.set_down(false);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &ReceiptsError) {
        self.store = None;
        self.counters.set_down(true);
        self.retry_at = Instant::now() + self.wait;
        tracing::warn!(%error, retry_in = ?self.wait, "the store of receipts is down: they wait in the spool");
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Moves a batch from the spool to the store. What is in both stays in the store once.
    fn move_over(&mut self) {
        let Some(store) = self.store.as_mut().filter(|_| self.waiting > 0) else { return };
        let moved = self.spool.page(&Place::since(i64::MIN), BATCH as u32).and_then(|receipts| {
            store.insert(&receipts)?;
            Ok(receipts)
        });
        match moved {
            Ok(receipts) => {
                self.counters.stored(receipts.len() as u64);
                let counted = self.spool.remove(&receipts).and_then(|()| self.spool.count());
                match counted {
                    Ok(waiting) => self.set_waiting(waiting),
                    Err(error) => self.failed(&error),
                }
                self.retry_at = Instant::now();
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Removes what was kept for long enough.
    fn prune(&mut self) {
        if Instant::now() < self.prune_at {
            return;
        }
        let Some(store) = &mut self.store else { return };
        self.prune_at = Instant::now() + PRUNE_EVERY;
        let kept = i64::from(self.settings.retention_days).saturating_mul(24 * 60 * 60);
        match store.prune(unix_now().saturating_sub(kept)) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "receipts were removed whose time was over"),
            Err(error) => self.failed(&error),
        }
    }
}
