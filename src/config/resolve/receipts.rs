//! Receipt settings.

use std::path::Path;

use super::defaults::Ctx;
use crate::config::document::span;
use crate::config::raw::RawReceipts;
use crate::config::settings::{Durability, ReceiptSettings, ReceiptStore};
use crate::config::spanned::Spanned;

/// Resolves the receipt settings. Relative paths start from `folder`.
pub(super) fn receipts(
    document: Ctx,
    raw: Spanned<RawReceipts>,
    folder: &Path,
) -> Option<ReceiptSettings> {
    let raw = raw.into_inner();
    let url = raw.url.as_ref().map_or("sqlite:consentry.db", |url| url.get_ref());
    let spool_default = "consentry-receipts.spool".to_owned();
    let spool = raw.spool.map_or(spool_default, Spanned::into_inner);
    let store = if let Some(file) = url.strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
        // `sqlite:///var/lib/x.db` is as common as `sqlite:/var/lib/x.db`.
        let file = file.strip_prefix("//").unwrap_or(file);
        ReceiptStore::Sqlite(folder.join(file))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let ca_file = raw.ca_file.map(|file| folder.join(file.into_inner()));
        ReceiptStore::Postgres { url: url.to_owned(), ca_file }
    } else {
        // The message omits the URL, because it may contain a password.
        let message = "is neither a SQLite file nor a PostgreSQL server".to_owned();
        let hint = "\"sqlite:consentry.db\" or \"postgres://USER:PASSWORD@HOST/DATABASE\"";
        let at = raw.url.as_ref().map(span);
        document.problem(at, "receipts.url".to_owned(), message, Some(hint.to_owned()));
        return None;
    };
    Some(ReceiptSettings {
        store,
        spool: folder.join(spool),
        spool_max: document.bounded("receipts.spool_max", raw.spool_max, 1, 10_000_000, 100_000),
        durability: raw.durability.unwrap_or(Durability::Batch),
        retention_days: document.bounded(
            "receipts.retention_days",
            raw.retention_days,
            1,
            36_500,
            1825,
        ),
        ip: raw.ip.unwrap_or(false),
        user_agent: raw.user_agent.unwrap_or(false),
    })
}
