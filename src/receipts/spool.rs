//! The spool: a local SQLite file with receipts that are not yet in the store.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::sqlite::Sqlite;
use super::store::{Place, Store};
use crate::config::settings::{self, Durability};

/// How long to wait for a lock of another process: a visitor waits meanwhile.
const LOCK_WITHIN: Duration = Duration::from_millis(400);

/// Operations of a spool.
pub(super) trait Spool: Send {
    /// Adds receipts, all or none.
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError>;

    /// The oldest receipts.
    fn oldest(&mut self, most: u32) -> Result<Vec<Receipt>, ReceiptsError>;

    /// Removes the receipts with these ids.
    fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError>;

    /// The number of receipts.
    fn count(&mut self) -> Result<u64, ReceiptsError>;
}

/// A SQLite file, opened again after an error: it may have been moved, or its disk replaced.
pub(super) struct FileSpool {
    path: PathBuf,
    durability: Durability,
    file: Option<Sqlite>,
}

impl FileSpool {
    /// Opens the file, or creates it.
    pub(super) fn open(settings: &settings::Receipts) -> Result<Self, ReceiptsError> {
        let path = settings.spool.clone();
        let mut spool = Self { path, durability: settings.durability, file: None };
        spool.with(|_| Ok(()))?;
        Ok(spool)
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Sqlite) -> Result<T, ReceiptsError>,
    ) -> Result<T, ReceiptsError> {
        // What is written to a deleted file would be lost.
        let mut file = match self.file.take().filter(|_| self.path.exists()) {
            Some(file) => file,
            None => Sqlite::open_within(&self.path, self.durability, LOCK_WITHIN)?,
        };
        let done = work(&mut file)?;
        self.file = Some(file);
        Ok(done)
    }
}

impl Spool for FileSpool {
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        self.with(|file| file.insert(receipts))
    }

    fn oldest(&mut self, most: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        self.with(|file| file.page(&Place::since(i64::MIN), most))
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError> {
        self.with(|file| file.remove(ids))
    }

    fn count(&mut self) -> Result<u64, ReceiptsError> {
        self.with(|file| file.count())
    }
}
