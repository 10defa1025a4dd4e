//! The receipt store interface.

use super::error::ReceiptsError;
use super::receipt::Receipt;

/// Maximum number of receipts that one call of [`Store::prune`] deletes, to keep statements short.
pub(crate) const PRUNED_AT_ONCE: u32 = 1000;

/// A position in a store. Receipts after it are newer, or of the same second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The time of recording, in Unix seconds.
    pub time: i64,
    /// The id of the last receipt before the position. Empty at the start of the second.
    pub id: String,
}

impl Cursor {
    /// The position before all receipts of a second.
    pub fn since(time: i64) -> Self {
        Self { time, id: String::new() }
    }

    /// The position after a receipt.
    pub fn after(receipt: &Receipt) -> Self {
        Self { time: receipt.stored_at(), id: receipt.id.clone() }
    }
}

/// A store of receipts.
pub trait Store: Send {
    /// Adds receipts in one transaction. An existing receipt or tombstone with the same id is kept.
    ///
    /// `commit` is called once, right before COMMIT. If it returns `false`, the transaction is rolled back. After
    /// an error that follows the call, it is unknown whether the receipts are in the store.
    ///
    /// # Errors
    /// When the store is unavailable, or `ReceiptsError::Cancelled`.
    fn insert_if(
        &mut self,
        receipts: &[Receipt],
        commit: &dyn Fn() -> bool,
    ) -> Result<(), ReceiptsError>;

    /// Adds receipts like [`Store::insert_if`], without a condition.
    ///
    /// # Errors
    /// When the store is unavailable.
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        self.insert_if(receipts, &|| true)
    }

    /// Replaces receipts with tombstones: rows that contain only the id and the time `now`. A later insert with one
    /// of these ids, from any spool, has no effect.
    ///
    /// # Errors
    /// When the store is unavailable.
    fn erase(&mut self, ids: &[String], now: i64) -> Result<(), ReceiptsError>;

    /// At most `limit` receipts after a position, oldest first.
    ///
    /// # Errors
    /// When the store is unavailable.
    fn page(&mut self, after: &Cursor, limit: u32) -> Result<Vec<Receipt>, ReceiptsError>;

    /// The receipt with an id.
    ///
    /// # Errors
    /// When the store is unavailable.
    fn find(&mut self, id: &str) -> Result<Option<Receipt>, ReceiptsError>;

    /// Deletes at most `PRUNED_AT_ONCE` receipts that were recorded before a time in Unix seconds. Returns their
    /// number.
    ///
    /// # Errors
    /// When the store is unavailable.
    fn prune(&mut self, before: i64) -> Result<u64, ReceiptsError>;
}
