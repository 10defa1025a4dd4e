//! Receipts in a SQLite file: the store of a single server, and the spool of every server.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::store::{Cursor, PRUNED_AT_ONCE, Store};
use crate::config::settings::Durability;

/// Mode of the files: only their owner can read them.
const PRIVATE: u32 = 0o600;
/// How long [`Sqlite::open`] waits for a lock of another process.
const BUSY: Duration = Duration::from_secs(3);

/// Suffixes of the database file and of the files that SQLite creates beside it.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// A SQLite file with receipts.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

impl Sqlite {
    /// Opens or creates a file.
    ///
    /// # Errors
    /// When the file cannot be written, or is not a receipt database.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, ReceiptsError> {
        Self::open_within(path, durability, BUSY)
    }

    /// Opens or creates a file. `within` limits how long an operation waits for the lock of another process.
    pub(super) fn open_within(
        path: &Path,
        durability: Durability,
        within: Duration,
    ) -> Result<Self, ReceiptsError> {
        let open = || {
            keep_private(path);
            let connection = Connection::open(path)?;
            connection.busy_timeout(within)?;
            // Committed data survives a crash of the process. With FULL it also survives a crash of the machine.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            let synchronous = match durability {
                Durability::Batch => "NORMAL",
                Durability::Strict => "FULL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            // Overwrites the bytes of erased receipts.
            connection.pragma_update(None, "secure_delete", "ON")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS consent_receipts (
                     id TEXT PRIMARY KEY, time INTEGER NOT NULL, site TEXT NOT NULL, receipt TEXT NOT NULL
                 ) WITHOUT ROWID;
                 CREATE INDEX IF NOT EXISTS consent_receipts_time ON consent_receipts (time, id);",
            )?;
            Ok(connection)
        };
        let connection =
            open().map_err(|source| ReceiptsError::Sqlite { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// The number of receipts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count(&self) -> Result<u64, ReceiptsError> {
        let count = self
            .connection
            .query_row("SELECT count(*) FROM consent_receipts", [], |row| row.get::<_, i64>(0));
        count
            .map(|count| u64::try_from(count).unwrap_or_default())
            .map_err(|error| self.error(error))
    }

    /// Removes the receipts with these ids.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError> {
        self.write(&|| true, |transaction| {
            let mut delete =
                transaction.prepare_cached("DELETE FROM consent_receipts WHERE id = ?1")?;
            ids.iter().try_for_each(|id| delete.execute([id]).map(drop))
        })
    }

    /// Runs a transaction. It is rolled back at its end if `commit` returns `false`.
    fn write(
        &mut self,
        commit: &dyn Fn() -> bool,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), ReceiptsError> {
        let run = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            work(&transaction)?;
            if commit() { transaction.commit().map(|()| true) } else { Ok(false) }
        };
        match run(&mut self.connection) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReceiptsError::Cancelled),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Truncates the write-ahead log, as far as readers allow, so that erased receipts are removed from the disk.
    pub fn empty_log(&self) {
        let row = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = row {
            tracing::warn!(%error, "erased receipts stay in the SQLite log until its next checkpoint");
        }
    }

    fn error(&self, source: rusqlite::Error) -> ReceiptsError {
        ReceiptsError::Sqlite { path: self.path.clone(), source }
    }
}

/// Creates a missing file with mode 0600, which SQLite also gives to the files beside it. Existing files get this
/// mode if they belong to this user.
fn keep_private(path: &Path) {
    let new = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
    if new.is_ok() {
        return;
    }
    for beside in BESIDE {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        let Ok(metadata) = fs::metadata(&name) else { continue };
        let mode = metadata.permissions().mode();
        if metadata.is_file() && mode & 0o077 != 0 {
            // `consentry receipts` may run as another user.
            let _ = fs::set_permissions(&name, Permissions::from_mode(PRIVATE));
        }
    }
}

impl Store for Sqlite {
    fn insert_if(
        &mut self,
        receipts: &[Receipt],
        commit: &dyn Fn() -> bool,
    ) -> Result<(), ReceiptsError> {
        let rows = receipts
            .iter()
            .map(|receipt| Ok((receipt, serde_json::to_string(receipt)?)))
            .collect::<Result<Vec<_>, ReceiptsError>>()?;
        self.write(commit, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO consent_receipts (id, time, site, receipt) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO NOTHING",
            )?;
            rows.iter().try_for_each(|(receipt, text)| {
                let row = params![receipt.id, receipt.stored_at(), receipt.site, text];
                insert.execute(row).map(drop)
            })
        })
    }

    fn erase(&mut self, ids: &[String], now: i64) -> Result<(), ReceiptsError> {
        self.write(&|| true, |transaction| {
            let mut erase = transaction.prepare_cached(
                "INSERT INTO consent_receipts (id, time, site, receipt) VALUES (?1, ?2, '', 'null')
                 ON CONFLICT (id) DO UPDATE
                     SET time = excluded.time, site = excluded.site, receipt = excluded.receipt",
            )?;
            ids.iter().try_for_each(|id| erase.execute(params![id, now]).map(drop))
        })?;
        self.empty_log();
        Ok(())
    }

    fn page(&mut self, after: &Cursor, most: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        let read = |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT receipt FROM consent_receipts
                 WHERE (time, id) > (?1, ?2) AND receipt <> 'null'
                 ORDER BY time, id LIMIT ?3",
            )?;
            let rows = select.query_map(params![after.time, after.id, most], |row| row.get(0))?;
            rows.collect::<Result<Vec<String>, _>>()
        };
        let rows = read(&self.connection).map_err(|error| self.error(error))?;
        rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
    }

    fn find(&mut self, id: &str) -> Result<Option<Receipt>, ReceiptsError> {
        let select = "SELECT receipt FROM consent_receipts WHERE id = ?1 AND receipt <> 'null'";
        let found = self
            .connection
            .query_row(select, [id], |row| row.get::<_, String>(0))
            .optional()
            .map_err(|error| self.error(error))?;
        Ok(found.map(|row| serde_json::from_str(&row)).transpose()?)
    }

    fn prune(&mut self, before: i64) -> Result<u64, ReceiptsError> {
        let removed = self
            .connection
            .execute(
                "DELETE FROM consent_receipts WHERE id IN (
                     SELECT id FROM consent_receipts WHERE time < ?1 ORDER BY time, id LIMIT ?2
                 )",
                params![before, PRUNED_AT_ONCE],
            )
            .map_err(|error| self.error(error))?;
        Ok(removed as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipts::DecisionChannel;

    pub(crate) fn receipt(id: &str, time: i64) -> Receipt {
        Receipt {
            id: id.to_owned(),
            time,
            recorded_at: None,
            site: "shop".to_owned(),
            notice_date: Some("2018-05-25".to_owned()),
            granted: vec!["necessary".to_owned()],
            refused: vec!["analytics".to_owned()],
            language: Some("de".to_owned()),
            how: DecisionChannel::Banner,
            gpc: false,
            ip: None,
            user_agent: None,
            texts: None,
        }
    }

    #[test]
    fn receipts_are_read_once_in_insertion_order_and_survive_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("receipts.db");
        let mut store = Sqlite::open(&path, Durability::Strict).expect("opens");
        store.insert(&[receipt("b", 7), receipt("a", 7), receipt("c", 5)]).expect("inserts");
        let changed = Receipt { site: "other".to_owned(), ..receipt("a", 7) };
        store.insert(&[changed, receipt("d", 9)]).expect("inserts");
        drop(store);
        let mut store = Sqlite::open(&path, Durability::Batch).expect("opens again");
        let ids = |page: &[Receipt]| page.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        let first = store.page(&Cursor::since(0), 2).expect("reads");
        assert_eq!(ids(&first), ["c", "a"]);
        let rest = store.page(&Cursor::after(&first[1]), 10).expect("reads");
        assert_eq!(ids(&rest), ["b", "d"]);
        assert_eq!(store.find("a").expect("reads"), Some(receipt("a", 7)));
        assert_eq!(store.find("x").expect("reads"), None);
        assert_eq!(store.prune(7).expect("prunes"), 1);
        store.remove(&["b".to_owned(), "d".to_owned()]).expect("removes");
        assert_eq!(store.count().expect("counts"), 1);
    }

    #[test]
    fn a_file_that_is_not_a_database_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "x".repeat(4096)).expect("written");
        let error = Sqlite::open(&path, Durability::Batch).expect_err("no database");
        assert!(error.to_string().contains("notes.txt"), "{error}");
    }
}
