//! The spool: a local SQLite file with receipts that are not yet in the store.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::sqlite::Sqlite;
use super::store::{Cursor, Store};
use crate::config::settings::{self, Durability};

/// How long to wait for a lock of another process. A visitor waits meanwhile.
const LOCK_WITHIN: Duration = Duration::from_millis(400);

/// Operations of a spool.
pub(super) trait Spool: Send {
    /// Adds receipts, all or none.
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError>;

    /// The oldest receipts, at most `most`.
    fn oldest(&mut self, most: u32) -> Result<Vec<Receipt>, ReceiptsError>;

    /// Removes the receipts with these ids.
    fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError>;

    /// The number of receipts.
    fn count(&mut self) -> Result<u64, ReceiptsError>;
}

/// A SQLite file that is reopened after an error: it may have been moved, or its disk replaced.
pub(super) struct FileSpool {
    path: PathBuf,
    durability: Durability,
    file: Option<Sqlite>,
}

impl FileSpool {
    /// Opens the file, or creates it.
    pub(super) fn open(settings: &settings::ReceiptSettings) -> Result<Self, ReceiptsError> {
        let path = settings.spool.clone();
        let mut spool = Self { path, durability: settings.durability, file: None };
        spool.with(|_| Ok(()))?;
        Ok(spool)
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Sqlite) -> Result<T, ReceiptsError>,
    ) -> Result<T, ReceiptsError> {
        // Writes to a deleted file would be lost.
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
        self.with(|file| file.page(&Cursor::since(i64::MIN), most))
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError> {
        self.with(|file| file.remove(ids))
    }

    fn count(&mut self) -> Result<u64, ReceiptsError> {
        self.with(|file| file.count())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::settings::ReceiptStore;
    use crate::receipts::{DecisionChannel, Receipt};

    #[test]
    fn a_deleted_or_unusable_spool_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("spool");
        let mut spool = FileSpool::open(&settings::ReceiptSettings {
            store: ReceiptStore::Sqlite(folder.path().join("store")),
            spool: path.clone(),
            spool_max: 10,
            durability: Durability::Batch,
            retention_days: 1,
            ip: false,
            user_agent: false,
        })
        .expect("opens");
        let receipt = |id: &str| Receipt {
            id: id.to_owned(),
            time: 7,
            recorded_at: None,
            site: "shop".to_owned(),
            notice_date: None,
            granted: vec![],
            refused: vec![],
            language: None,
            how: DecisionChannel::Api,
            gpc: false,
            texts: None,
            ip: None,
            user_agent: None,
        };
        spool.insert(&[receipt("a")]).expect("written");
        fs::remove_dir_all(folder.path()).expect("removed");
        spool.insert(&[receipt("b")]).expect_err("there is no folder");
        fs::create_dir(folder.path()).expect("created");
        spool.insert(&[receipt("c")]).expect("written");
        assert_eq!(
            Sqlite::open(&path, Durability::Batch).expect("opens").count().expect("counts"),
            1
        );
    }
}
