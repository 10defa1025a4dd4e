//! Receipts: the proof of each consent that was given, refused or withdrawn on our own pages.
//!
//! The previous step, `centre`, records a receipt before it answers. A thread of its own writes them in
//! batches to the store (a SQLite file or a PostgreSQL server); while the store is down they wait in the
//! spool, a SQLite file beside it, and are moved over when it is back. Nothing that was answered is only in
//! memory.

mod error;
mod open;
mod postgres;
mod receipt;
mod sqlite;
mod store;
mod writer;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::settings::{self, Durability};
use crate::telemetry::ReceiptCounters;

pub use error::{NotRecorded, ReceiptsError};
pub use open::open;
pub use receipt::{How, Receipt, new_id};
pub use sqlite::Sqlite;
pub use store::{Place, Store};
use writer::{Job, Writer};

/// The most receipts that wait for the writer.
const QUEUE: usize = 4096;

/// How long an answer waits for its receipt to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes receipts. A clone writes to the same store.
#[derive(Debug, Clone)]
pub struct Receipts {
    queue: SyncSender<Job>,
    counters: Arc<ReceiptCounters>,
    durability: Durability,
    ip: bool,
    user_agent: bool,
}

impl Receipts {
    /// Opens the spool and starts the writer. The store may be down.
    ///
    /// # Errors
    /// When the spool cannot be opened, or the thread cannot be started.
    pub fn start(
        settings: &settings::Receipts,
        counters: Arc<ReceiptCounters>,
    ) -> Result<Self, ReceiptsError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let writer = Writer::new(settings.clone(), Arc::clone(&counters))?;
        std::thread::Builder::new()
            .name("receipts".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(ReceiptsError::Thread)?;
        let settings::Receipts { durability, ip, user_agent, .. } = *settings;
        Ok(Self { queue, counters, durability, ip, user_agent })
    }

    /// Whether a receipt has the visitor's address.
    pub fn keeps_ip(&self) -> bool {
        self.ip
    }

    /// Whether a receipt has the visitor's `User-Agent`.
    pub fn keeps_user_agent(&self) -> bool {
        self.user_agent
    }

    /// Writes a receipt and waits until that is done.
    ///
    /// # Errors
    /// When it was not written and the site demands that it is (`durability = "strict"`). Else the loss is
    /// counted and logged.
    pub async fn record(&self, receipt: Receipt) -> Result<(), NotRecorded> {
        let (done, written) = oneshot::channel();
        let queued = self.queue.try_send(Job { receipt, done }).is_ok();
        let written =
            queued && matches!(tokio::time::timeout(PATIENCE, written).await, Ok(Ok(true)));
        if !queued {
            self.counters.lost(1);
            tracing::error!("a receipt is lost: too many wait to be written");
        }
        if written || self.durability == Durability::Batch { Ok(()) } else { Err(NotRecorded) }
    }
}
