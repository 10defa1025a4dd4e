//! What visitors see of us.

use std::collections::BTreeMap;

use crate::config::settings::{Durability, Position};
use crate::config::spanned::{Day, Spanned};

type Text = Spanned<String>;

/// Pages served by consentry itself: preference centre, notice, consent API.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCentre {
    /// Path prefix of consentry's own pages; the same for all sites. Default: `"/.consentry/"`.
    pub(in crate::config) prefix: Option<Text>,
    /// Fallback language. Used if no language requested by the browser is available. Default: `"en"`.
    pub(in crate::config) language: Option<Text>,
    /// Folder with text files such as `de.toml`, which override the built-in texts. Default: none.
    pub(in crate::config) locales: Option<Text>,
    /// Serve the consent API (`consent`, `consent.js`) for your own dialog. If the browser reports user activation, a choice requires it. Default: `false`.
    pub(in crate::config) api: Option<bool>,
    /// Serve the bridge for tools that keep consent in local storage. Every script of the page can then grant consent. Default: `false`.
    pub(in crate::config) bridge: Option<bool>,
    /// Dates of earlier notices, listed in the notice. Default: none.
    #[schemars(with = "Option<Vec<Day>>")]
    pub(in crate::config) earlier_notices: Option<Vec<Spanned<toml::value::Datetime>>>,
}

/// Consent banner, inserted into pages for visitors who have not decided.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawBanner {
    /// Insert the banner. Default: `false`.
    pub(in crate::config) enabled: Option<bool>,
    /// Position of the banner in the window. Default: `"bottom"`.
    pub(in crate::config) position: Option<Position>,
    /// Colours `background`, `text`, `button` and `button_text`, such as `"#1a5fb4"`. Default: built-in colours for light and dark mode.
    pub(in crate::config) colours: BTreeMap<String, Text>,
}

/// HTML rewriting.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawPage {
    /// Restrict script-written storage and third-party tags to consented categories. Default: `false`.
    pub(in crate::config) guard: Option<bool>,
}

/// Receipts: proof of each decision made on consentry's own pages.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawReceipts {
    /// Receipt store: `"sqlite:consentry.db"`, or `"postgres://USER:PASSWORD@HOST/DATABASE"`. Default: `"sqlite:consentry.db"`.
    pub(in crate::config) url: Option<Text>,
    /// CA bundle to verify the PostgreSQL server. Default: the public root CAs.
    pub(in crate::config) ca_file: Option<Text>,
    /// Spool file for receipts while the store is unavailable. Default: `"consentry-receipts.spool"`.
    pub(in crate::config) spool: Option<Text>,
    /// Maximum number of receipts in the spool. Default: `100000`.
    pub(in crate::config) spool_max: Option<Spanned<u32>>,
    /// Durability of a confirmed receipt: `batch` survives a process crash, `strict` a machine crash too. Default: `"batch"`.
    pub(in crate::config) durability: Option<Durability>,
    /// Retention of receipts, in days. Default: `1825`.
    pub(in crate::config) retention_days: Option<Spanned<u32>>,
    /// Store the visitor's IP address. Default: `false`.
    pub(in crate::config) ip: Option<bool>,
    /// Store the browser's `User-Agent`. Default: `false`.
    pub(in crate::config) user_agent: Option<bool>,
}
