//! Opens the configured receipt store.

use std::time::Duration;

use super::error::ReceiptsError;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::store::Store;
use crate::config::settings::{self, ReceiptStore};

/// Opens the store. No operation waits longer than `within` for a server, or for a lock of a SQLite file.
///
/// # Errors
/// When the store cannot be reached.
pub(crate) fn open(
    settings: &settings::ReceiptSettings,
    within: Duration,
) -> Result<Box<dyn Store>, ReceiptsError> {
    Ok(match &settings.store {
        ReceiptStore::Sqlite(path) => {
            Box::new(Sqlite::open_within(path, settings.durability, within)?)
        }
        ReceiptStore::Postgres { url, ca_file } => {
            Box::new(Postgres::open(url, ca_file.as_deref(), settings.durability, within)?)
        }
    })
}
