//! What visitors see of us: our own pages, the banner in the origin's pages, receipts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use time::Date;

use crate::locale::Locales;

/// A site's own pages.
#[derive(Debug, Clone)]
pub struct Centre {
    /// What the paths of all pages begin with; it begins and ends with `/`.
    pub prefix: String,
    /// Whether `/.well-known/gpc.json` says that Global Privacy Control is heeded, while it is.
    pub gpc_json: bool,
    /// Whether the consent API is served.
    pub api: bool,
    /// Whether the bridge is served.
    pub bridge: bool,
    /// The languages.
    pub locales: Arc<Locales>,
    /// The dates of earlier notices, newest first.
    pub earlier_notices: Vec<Date>,
    /// What is cleared when a visitor withdraws consent.
    pub on_withdrawal: OnWithdrawal,
}

/// What is cleared when a visitor withdraws consent, in the answer to the withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnWithdrawal {
    /// Cookies that are known to live somewhere and are no longer allowed.
    pub cookies: bool,
    /// Everything that scripts stored (`Clear-Site-Data: "storage"`, W3C Clear Site Data section 3.1).
    pub storage: bool,
}

/// What is changed in the origin's pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The banner for visitors without a decision, where there is one.
    pub banner: Option<Banner>,
    /// Whether what scripts store is held against the visitor's consent, and foreign tags too.
    pub guard: bool,
}

/// The banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner {
    /// Where it stands.
    pub position: Position,
    /// Colours other than ours.
    pub colours: Colours,
}

/// Where the banner stands in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// Along the lower edge.
    Bottom,
    /// Along the upper edge.
    Top,
    /// In the lower corner, where lines end.
    Corner,
}

/// The banner's colours, as CSS has them (`#rrggbb`); `None` for ours, which follow light and dark.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Colours {
    /// Behind the text.
    pub background: Option<String>,
    /// Of the text.
    pub text: Option<String>,
    /// Of the buttons.
    pub button: Option<String>,
    /// Of the text on them.
    pub button_text: Option<String>,
}

/// Where receipts are kept, and how.
#[derive(Debug, Clone)]
pub struct Receipts {
    /// The store.
    pub store: ReceiptStore,
    /// The file that receipts wait in while the store is down.
    pub spool: PathBuf,
    /// The most receipts that wait there.
    pub spool_max: u32,
    /// What has to have happened before the answer is sent.
    pub durability: Durability,
    /// How long a receipt is kept, in days.
    pub retention_days: u32,
    /// Whether a receipt has the visitor's address.
    pub ip: bool,
    /// Whether a receipt has the visitor's `User-Agent`.
    pub user_agent: bool,
}

/// Where receipts are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum ReceiptStore {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres {
        /// `postgres://USER:PASSWORD@HOST/DATABASE`.
        url: String,
        /// The certificates to trust, in PEM, where those of the public web are not meant.
        ca_file: Option<PathBuf>,
    },
}

impl fmt::Debug for ReceiptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            // The URL has a password.
            Self::Postgres { .. } => f.debug_struct("Postgres").finish_non_exhaustive(),
        }
    }
}

/// What has to have happened before the answer to a choice is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The receipt is written: it survives the end of the process.
    Batch,
    /// The receipt is on the disk: it survives the end of the machine. Where that fails, so does the choice.
    Strict,
}
