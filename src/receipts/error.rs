//! Receipt errors.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Formats an error and its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}

/// The receipt is neither in the store nor in the spool, and never will be. The decision is rejected.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("receipt not written")]
pub struct NotRecorded;

/// An error of a receipt store or of the spool.
#[derive(Debug, Error)]
pub enum ReceiptsError {
    /// A SQLite file cannot be opened, read or written.
    #[error("the file {path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The URL of the server is invalid. The message omits the URL, because it contains a password.
    #[error("receipts.url is not a PostgreSQL URL")]
    Url,
    /// The server cannot be reached, or rejects a statement.
    #[error("PostgreSQL: {}", with_causes(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The server did not answer in time.
    #[error("PostgreSQL: no response within {0:?}")]
    Timeout(Duration),
    /// The visitor's wait ended before the transaction, which was rolled back.
    #[error("receipt store timed out")]
    Cancelled,
    /// The CA certificates are invalid or cannot be read.
    #[error("invalid CA certificates in {path}: {reason}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A thread or its runtime cannot be started.
    #[error("cannot start the receipt writer thread: {0}")]
    Thread(std::io::Error),
    /// A row is not a valid receipt.
    #[error("invalid receipt in the store: {0}")]
    NotAReceipt(#[from] serde_json::Error),
    /// The spool already contains `spool_max` receipts.
    #[error("the spool is full")]
    SpoolFull,
}
