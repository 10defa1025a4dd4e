//! Operations of a receipt store.

use super::error::ReceiptsError;
use super::receipt::Receipt;

/// The most receipts that one call of [`Store::prune`] removes: no statement takes long.
pub const PRUNED_AT_ONCE: u32 = 1000;

/// A place in a store: everything after it is newer, or of the same second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When they were recorded, in Unix seconds.
    pub time: i64,
    /// The id of the last receipt before it; empty for none of that second.
    pub id: String,
}

impl Place {
    /// The place before everything of a second.
    pub fn since(time: i64) -> Self {
        Self { time, id: String::new() }
    }

    /// The place behind a receipt.
    pub fn after(receipt: &Receipt) -> Self {
        Self { time: receipt.stored_at(), id: receipt.id.clone() }
    }
}

/// A store of receipts.
pub trait Store: Send {
    /// Adds receipts in one transaction. A receipt or tombstone with the same id is kept.
    ///
    /// `commit` is called once, right before COMMIT; when it returns `false`, the transaction is rolled back. An
    /// error after that call leaves it unknown whether the receipts are in the store.
    ///
    /// # Errors
    /// When the store is down, or [`ReceiptsError::Cancelled`].
    fn insert_if(
        &mut self,
        receipts: &[Receipt],
        commit: &dyn Fn() -> bool,
    ) -> Result<(), ReceiptsError>;

    /// Adds receipts as [`Store::insert_if`] does.
    ///
    /// # Errors
    /// When the store is down.
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        self.insert_if(receipts, &|| true)
    }

    /// Replaces receipts by tombstones, rows with the id and the time `now` only. A later insert with one of these
    /// ids, from whatever spool, has no effect.
    ///
    /// # Errors
    /// When the store is down.
    fn erase(&mut self, ids: &[String], now: i64) -> Result<(), ReceiptsError>;

    /// At most `most` receipts behind a place, oldest first.
    ///
    /// # Errors
    /// When the store is down.
    fn page(&mut self, after: &Place, most: u32) -> Result<Vec<Receipt>, ReceiptsError>;

    /// The receipt with an id.
    ///
    /// # Errors
    /// When the store is down.
    fn find(&mut self, id: &str) -> Result<Option<Receipt>, ReceiptsError>;

    /// Removes at most [`PRUNED_AT_ONCE`] receipts that were recorded before a time in Unix seconds, and returns
    /// their number.
    ///
    /// # Errors
    /// When the store is down.
    fn prune(&mut self, before: i64) -> Result<u64, ReceiptsError>;
}
