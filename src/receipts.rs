//! Consent receipts: the proof of each decision made on consentry's own pages.
//!
//! The previous step, `consent_ui`, records a receipt before it answers. A writer thread chooses one of three outcomes.
//! The receipt is stored, in a SQLite file or on a PostgreSQL server. Or it is spooled in a local SQLite file, and
//! moved to the store later. Or it is refused together with the decision. A second thread owns the store
//! connection, so that a store that hangs blocks nothing else.
//!
//! The visitor is answered once the outcome is known. No confirmed receipt is in memory only, and no refused
//! receipt is stored later.

mod backoff;
mod error;
mod open;
mod postgres;
mod receipt;
mod spool;
mod sqlite;
mod store;
mod store_thread;
mod writer;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::settings;
use crate::telemetry::ReceiptCounters;

pub(crate) use error::{NotRecorded, ReceiptsError};
pub(crate) use open::open;
pub use receipt::{DecisionChannel, Receipt};
pub(crate) use receipt::{ShownTexts, hex, new_id};
use spool::{FileSpool, Spool};
pub use sqlite::Sqlite;
pub(crate) use store::Cursor;
pub use store::Store;
use store_thread::Opener;
use writer::{Message, Outcome, PendingReceipt, Writer, WriterLimits, WriterSettings};

/// Maximum number of messages queued for the writer.
const QUEUE: usize = 4096;

/// Time limit of one operation on the store. Visitors wait for a shorter time.
const STORE_WITHIN: Duration = Duration::from_secs(3);

/// Records receipts. Clones write to the same store.
#[derive(Debug, Clone)]
pub struct Receipts {
    queue: SyncSender<Message>,
    counters: Arc<ReceiptCounters>,
    limits: WriterLimits,
    ip: bool,
    user_agent: bool,
}

impl Receipts {
    /// Opens the spool and starts the threads. The store may be unavailable.
    ///
    /// # Errors
    /// When the spool cannot be opened, or a thread cannot be started.
    pub fn start(
        settings: &settings::ReceiptSettings,
        counters: Arc<ReceiptCounters>,
    ) -> Result<Self, ReceiptsError> {
        let writer = WriterSettings {
            limits: WriterLimits::default(),
            spool_max: u64::from(settings.spool_max),
            retention_days: settings.retention_days,
        };
        let spool = FileSpool::open(settings)?;
        let settings::ReceiptSettings { ip, user_agent, .. } = *settings;
        let settings = settings.clone();
        let opener = Box::new(move || open(&settings, STORE_WITHIN));
        let started = Self::start_with(writer, counters, spool, opener)?;
        Ok(Self { ip, user_agent, ..started })
    }

    fn start_with(
        settings: WriterSettings,
        counters: Arc<ReceiptCounters>,
        spool: impl Spool + 'static,
        opener: Opener,
    ) -> Result<Self, ReceiptsError> {
        let (queue, messages) = sync_channel(QUEUE);
        let (operations, requested) = channel();
        let limits = settings.limits.clone();
        let writer = Writer::new(settings, Arc::clone(&counters), spool, operations)?;
        let replies = queue.clone();
        let report = move |done| replies.send(Message::StoreReply(done)).is_ok();
        thread("receipt store", move || store_thread::run(opener, &requested, report))?;
        thread("receipts", move || writer.run(&messages))?;
        Ok(Self { queue, counters, limits, ip: false, user_agent: false })
    }

    /// Whether a receipt contains the visitor's address.
    pub fn keeps_ip(&self) -> bool {
        self.ip
    }

    /// Whether a receipt contains the visitor's `User-Agent`.
    pub fn keeps_user_agent(&self) -> bool {
        self.user_agent
    }

    /// Records a receipt. `Ok` once it is in the store or the spool.
    ///
    /// # Errors
    /// When it is in neither, and never will be. The decision must then be rejected.
    pub async fn record(&self, receipt: Receipt) -> Result<(), NotRecorded> {
        let (visitor, mut outcome) = oneshot::channel();
        let store_until = Instant::now() + self.limits.store;
        let job = PendingReceipt { receipt, visitor, store_until };
        if self.queue.try_send(Message::Job(Box::new(job))).is_err() {
            self.counters.refused(1);
            return Err(NotRecorded);
        }
        let outcome = match tokio::time::timeout(self.limits.reply_timeout, &mut outcome).await {
            Ok(outcome) => outcome.ok(),
            Err(_) => {
                // The writer undoes an outcome that is sent from now on.
                outcome.close();
                outcome.try_recv().ok()
            }
        };
        match outcome {
            Some(Outcome::Stored | Outcome::Spooled) => Ok(()),
            Some(Outcome::Refused) | None => Err(NotRecorded),
        }
    }

    /// Ends the writer within a time limit. Each receipt in memory gets its outcome, and the spool is moved to the
    /// store if the store works. Later receipts are refused.
    pub async fn close(&self, within: Duration) {
        let (closed, end) = oneshot::channel();
        if self.queue.try_send(Message::Close(Instant::now() + within, closed)).is_ok() {
            // Additional time for the spool.
            let _ = tokio::time::timeout(within + self.limits.reply_timeout, end).await;
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), ReceiptsError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(ReceiptsError::Thread)
}

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod testing;
