//! Settings of the pages for visitors, of the banner and of receipts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::Date;

use crate::locale::Locales;

/// A site's own pages.
#[derive(Debug, Clone)]
pub struct CentreSettings {
    /// Path prefix of all pages. It starts and ends with `/`.
    pub prefix: String,
    /// Whether to serve `/.well-known/gpc.json` while Global Privacy Control is honoured.
    pub gpc_json: bool,
    /// Whether the consent API is served.
    pub api: bool,
    /// Whether the bridge is served.
    pub bridge: bool,
    /// The languages.
    pub locales: Arc<Locales>,
    /// The date of the notice, if the config has one.
    pub notice_date: Option<Date>,
    /// The dates of earlier notices, newest first.
    pub earlier_notices: Vec<Date>,
    /// The party responsible for the site, and its own pages.
    pub operator: SiteOperator,
    /// Data to clear when a visitor withdraws consent.
    pub on_withdrawal: OnWithdrawal,
}

/// The party responsible for a site, and its own pages. Each link is an `http` or `https` URL, or a path of the site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SiteOperator {
    /// The name and address of the controller.
    pub controller: Option<String>,
    /// The contact.
    pub contact: Option<Contact>,
    /// The link to the privacy policy.
    pub privacy_policy: Option<String>,
    /// The link to the imprint.
    pub imprint: Option<String>,
    /// The link to the page where visitors change their choice in another consent tool.
    pub consent_tool: Option<String>,
}

/// A contact, as text and as a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// The text.
    pub text: String,
    /// The link: `mailto:` for an e-mail address. `None` for any other text.
    pub link: Option<String>,
}

/// Data to clear when a visitor withdraws consent, in the response to the withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnWithdrawal {
    /// Cookies with a known scope that are no longer granted.
    pub cookies: bool,
    /// Everything that scripts stored (`Clear-Site-Data: "storage"`, W3C Clear Site Data section 3.1).
    pub storage: bool,
}

/// HTML rewriting of the origin's pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageSettings {
    /// The banner for visitors without a decision, if enabled.
    pub banner: Option<BannerSettings>,
    /// Whether script-written storage and third-party tags are restricted to the granted categories.
    pub guard: bool,
}

/// The banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BannerSettings {
    /// The position in the window.
    pub position: Position,
    /// Custom colours.
    pub colours: Colours,
}

/// Position of the banner in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// Along the lower edge.
    Bottom,
    /// Along the upper edge.
    Top,
    /// In the lower corner, where lines end.
    Corner,
}

/// The banner's colours in CSS (`#rrggbb`). `None` for the default, which follows the light or dark mode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Colours {
    /// Background.
    pub background: Option<String>,
    /// Text.
    pub text: Option<String>,
    /// Buttons.
    pub button: Option<String>,
    /// Text on the buttons.
    pub button_text: Option<String>,
}

/// Receipt settings.
#[derive(Debug, Clone)]
pub struct ReceiptSettings {
    /// The store.
    pub store: ReceiptStore,
    /// The spool file, for receipts while the store is unavailable.
    pub spool: PathBuf,
    /// Maximum number of receipts in the spool.
    pub spool_max: u32,
    /// The durability required before the response is sent.
    pub durability: Durability,
    /// Retention of receipts in days.
    pub retention_days: u32,
    /// Whether a receipt contains the visitor's address.
    pub ip: bool,
    /// Whether a receipt contains the visitor's `User-Agent`.
    pub user_agent: bool,
}

/// The receipt store.
#[derive(Clone, PartialEq, Eq)]
pub enum ReceiptStore {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://USER:PASSWORD@HOST/DATABASE`.
        url: String,
        /// CA certificates to trust, in PEM, instead of those of the public web.
        ca_file: Option<PathBuf>,
    },
}

impl fmt::Debug for ReceiptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            // The URL contains a password.
            Self::Postgres { .. } => f.debug_struct("Postgres").finish_non_exhaustive(),
        }
    }
}

/// What has to have happened before the answer to a choice is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The receipt is written: it survives the end of the process.
    Batch,
    /// The receipt is on the disk: it survives the end of the machine. Where that fails, so does the choice.
    Strict,
}
