//! What a store of receipts can do.

use super::error::ReceiptsError;
use super::receipt::Receipt;

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
    /// Adds receipts, all or none; one that is there already stays as it is.
    ///
    /// # Errors
    /// When the store is down.
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError>;

    /// At most so many receipts behind a place, oldest first.
    ///
    /// # Errors
    /// When the store is down.
    fn page(&mut self, after: &Place, most: u32) -> Result<Vec<Receipt>, ReceiptsError>;

    /// The receipt with an id.
    ///
    /// # Errors
    /// When the store is down.
    fn find(&mut self, id: &str) -> Result<Option<Receipt>, ReceiptsError>;

    /// Removes receipts that were recorded before a time in Unix seconds, and returns how many.
    ///
    /// # Errors
    /// When the store is down.
    fn prune(&mut self, before: i64) -> Result<u64, ReceiptsError>;
}
