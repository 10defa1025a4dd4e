//! Receipt settings.

use std::path::Path;

use crate::config::document::Ctx;
use crate::config::raw::RawReceipts;
use crate::config::settings::{ReceiptSettings, ReceiptStore};

/// Resolves the receipt settings. Relative paths start from `folder`.
pub(super) fn receipts(document: Ctx, raw: RawReceipts, folder: &Path) -> Option<ReceiptSettings> {
    let url = raw.url.get_ref();
    let store = if let Some(file) = url.strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
        // `sqlite:///var/lib/x.db` is as common as `sqlite:/var/lib/x.db`.
        ReceiptStore::Sqlite(folder.join(file.strip_prefix("//").unwrap_or(file)))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let ca_file = raw.ca_file.map(|file| folder.join(file));
        ReceiptStore::Postgres { url: url.to_owned(), ca_file }
    } else {
        // The message omits the URL, because it may contain a password.
        let hint = "\"sqlite:consentry.db\" or \"postgres://USER:PASSWORD@HOST/DATABASE\"";
        document.wrong(&raw.url, "is neither a SQLite file nor a PostgreSQL server", Some(hint));
        return None;
    };
    Some(ReceiptSettings {
        store,
        spool: folder.join(raw.spool),
        spool_max: raw.spool_max.get(),
        durability: raw.durability,
        retention_days: raw.retention_days.get(),
        ip: raw.ip,
        user_agent: raw.user_agent,
    })
}
