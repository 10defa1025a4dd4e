//! What visitors see of us.

use std::collections::BTreeMap;

use crate::config::settings::{Durability, Position};
use crate::config::spanned::{Day, Spanned};

type Text = Spanned<String>;

/// The pages that consentry answers itself.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCentre {
    /// What their paths begin with; the same for all sites. Default: `"/.consentry/"`.
    pub(in crate::config) prefix: Option<Text>,
    /// The language of visitors whose browser asks for none that there is. Default: `"en"`.
    pub(in crate::config) language: Option<Text>,
    /// A folder of files such as `de.toml`, over the built-in texts. Default: none.
    pub(in crate::config) locales: Option<Text>,
    /// Serve the consent API (`consent`, `consent.js`) for a dialog of your own. A choice needs a user activation where the browser reports it. Default: `false`.
    pub(in crate::config) api: Option<bool>,
    /// Serve the bridge for tools that keep consent in local storage. Every script of the page can then grant consent. Default: `false`.
    pub(in crate::config) bridge: Option<bool>,
    /// The dates of earlier notices. Default: none.
    #[schemars(with = "Option<Vec<Day>>")]
    pub(in crate::config) earlier_notices: Option<Vec<Spanned<toml::value::Datetime>>>,
}

/// A form in the pages of visitors who have not decided.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawBanner {
    /// Whether there is one. Default: `false`.
    pub(in crate::config) enabled: Option<bool>,
    /// Where. Default: `"bottom"`.
    pub(in crate::config) position: Option<Position>,
    /// `background`, `text`, `button`, `button_text`, such as `"#1a5fb4"`. Default: ours, which follow light and dark.
    pub(in crate::config) colours: BTreeMap<String, Text>,
}

/// What the pages of the site are held to besides cookies.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawPage {
    /// What scripts store, and tags of other hosts, follow the consent. Default: `false`.
    pub(in crate::config) guard: Option<bool>,
}

/// A proof of each decision made on consentry's pages.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawReceipts {
    /// Where they are kept: `"sqlite:consentry.db"`, or `"postgres://USER:PASSWORD@HOST/DATABASE"`.
    pub(in crate::config) url: Option<Text>,
    /// Whom to trust as that server. Default: the authorities of the public web.
    pub(in crate::config) ca_file: Option<Text>,
    /// A file where receipts wait while the store is down. Default: `"consentry-receipts.spool"`.
    pub(in crate::config) spool: Option<Text>,
    /// The most that wait. Default: `100000`.
    pub(in crate::config) spool_max: Option<Spanned<u32>>,
    /// What a confirmed receipt survives. `batch`: the end of the process; `strict`: also that of the machine. Default: `"batch"`.
    pub(in crate::config) durability: Option<Durability>,
    /// How long they are kept. Default: `1825`.
    pub(in crate::config) retention_days: Option<Spanned<u32>>,
    /// The visitor's address is kept. Default: `false`.
    pub(in crate::config) ip: Option<bool>,
    /// The browser's name is kept. Default: `false`.
    pub(in crate::config) user_agent: Option<bool>,
}
