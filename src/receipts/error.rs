//! What can go wrong with receipts.

use std::path::PathBuf;

use thiserror::Error;

/// An error and what led to it, in one sentence.
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

/// The receipt was not written, and the site demands that it is.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("the receipt was not written")]
pub struct NotRecorded;

/// What can go wrong with a store of receipts.
#[derive(Debug, Error)]
pub enum ReceiptsError {
    /// A SQLite file cannot be opened, read or written.
    #[error("the file {path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The URL of the server is none. It is not repeated: it has a password.
    #[error("receipts.url is not a URL of PostgreSQL")]
    Url,
    /// The server cannot be reached, or refuses.
    #[error("PostgreSQL: {}", with_causes(.0))]
    Postgres(#[from] ::postgres::Error),
    /// The certificates to trust cannot be used.
    #[error("the certificates to trust in {path}: {reason}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The writer cannot be started.
    #[error("the thread that writes receipts cannot be started: {0}")]
    Thread(std::io::Error),
    /// A row is not a receipt of ours.
    #[error("a row of the store is no receipt: {0}")]
    NotAReceipt(#[from] serde_json::Error),
    /// As many wait in the spool as may.
    #[error("the spool is full")]
    SpoolFull,
}
