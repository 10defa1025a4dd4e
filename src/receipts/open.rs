//! From settings to a store.

use super::error::ReceiptsError;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::store::Store;
use crate::config::settings::{self, ReceiptStore};

/// Opens a store, to read what is in it.
///
/// # Errors
/// When it cannot be reached.
pub fn open(settings: &settings::Receipts) -> Result<Box<dyn Store>, ReceiptsError> {
    Ok(match &settings.store {
        ReceiptStore::Sqlite(path) => Box::new(Sqlite::open(path, settings.durability)?),
        ReceiptStore::Postgres { url, ca_file } => {
            Box::new(Postgres::open(url, ca_file.as_deref(), settings.durability)?)
        }
    })
}
