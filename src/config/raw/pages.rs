//! Pages for visitors, and receipts.

use std::collections::BTreeMap;

use super::values::{Day, Number};
use crate::config::settings::{Durability, Position};
use crate::config::spanned::Text;

tables! {
    /// Pages served by consentry itself: preference centre, notice, consent API.
    RawCentre {
        /// Path prefix of consentry's own pages; the same for all sites.
        prefix: Text = "/.consentry/",
        /// Fallback language. Used if no language requested by the browser is available.
        language: Text = "en",
        /// Folder with text files such as `de.toml`, which override the built-in texts. Default: none.
        locales: Option<Text>,
        /// Serve the consent API (`consent`, `consent.js`) for your own dialog. If the browser reports user activation, a choice requires it.
        api: bool,
        /// Serve the bridge for tools that keep consent in local storage. Every script of the page can then grant consent.
        bridge: bool,
        /// Dates of earlier notices, listed in the notice.
        earlier_notices: Vec<Day>,
        /// Name and address of the party responsible for the site, shown in the notice. Default: none.
        controller: Option<Text>,
        /// Contact for questions about privacy, shown in the notice: an e-mail address, a URL, a path of the site, or a text. Default: none.
        contact: Option<Text>,
        /// Privacy policy, linked from the notice, the preference centre and the banner: a URL, or a path of the site. Default: none.
        privacy_policy: Option<Text>,
        /// Imprint (legal notice), linked like `privacy_policy`: a URL, or a path of the site. Default: none.
        imprint: Option<Text>,
        /// Page where visitors change their choice in the site's own consent tool: a URL, or a path of the site. Used if no source reads consentry's cookie. Default: none.
        consent_tool: Option<Text>,
    }

    /// Consent banner, inserted into pages for visitors who have not decided.
    RawBanner {
        /// Insert the banner.
        enabled: bool,
        /// Position of the banner in the window.
        position: Position = Position::Bottom,
        /// Colours `background`, `text`, `button` and `button_text`, such as `"#1a5fb4"`. Default: built-in colours for light and dark mode.
        colours: BTreeMap<String, Text>,
    }

    /// HTML rewriting.
    RawPage {
        /// Restrict script-written storage and third-party tags to consented categories.
        guard: bool,
    }

    /// Receipts: proof of each decision made on consentry's own pages.
    RawReceipts {
        /// Receipt store: `"sqlite:consentry.db"`, or `"postgres://USER:PASSWORD@HOST/DATABASE"`.
        url: Text = "sqlite:consentry.db",
        /// CA bundle to verify the PostgreSQL server. Default: the public root CAs.
        ca_file: Option<String>,
        /// Spool file for receipts while the store is unavailable.
        spool: String = "consentry-receipts.spool",
        /// Maximum number of receipts in the spool.
        spool_max: Number<1, 10_000_000> = Number(100_000),
        /// Durability of a confirmed receipt: `batch` survives a process crash, `strict` a machine crash too.
        durability: Durability = Durability::Batch,
        /// Retention of receipts, in days.
        retention_days: Number<1, 36_500> = Number(1825),
        /// Store the visitor's IP address.
        ip: bool,
        /// Store the browser's `User-Agent`.
        user_agent: bool,
    }
}
