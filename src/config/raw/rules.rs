//! What cookies, beacons and hosts are, and what happens to them.

use super::consent::RawDefault;
use crate::config::settings::Detect;
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// What happens to cookies that no rule knows.
#[derive(Debug, Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawUnclassified {
    Block,
    Allow,
}

/// Beacons: tracking pixels and pings.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawBeacons {
    /// Answers that look like beacons: left alone, noted in the inventory, or blocked. Default: `"report"`.
    pub(in crate::config) detect: Option<Detect>,
    /// Pixels in e-mails, which come without consent cookies: `deny` answers them here, `allow` forwards them. Default: `"deny"`.
    pub(in crate::config) email_opens: Option<RawDefault>,
    /// Filter lists in EasyList's syntax, from this file's folder. Default: none.
    pub(in crate::config) lists: Vec<Text>,
    /// The category of what the lists know. Default: `"analytics"`.
    pub(in crate::config) list_category: Option<Text>,
}

/// Deletion of cookies without consent that browsers still send.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawExpire {
    /// Whether the answers to page loads delete them. Default: `true`.
    pub(in crate::config) enabled: Option<bool>,
    /// The most deletions in one response. Default: `30`.
    pub(in crate::config) max_per_response: Option<Spanned<u32>>,
    /// What the answer to a withdrawal clears at once. Default: `["cookies"]`.
    pub(in crate::config) on_withdrawal: Option<Vec<RawWithdrawal>>,
}

/// What is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawWithdrawal {
    Cookies,
    Storage,
}

/// The categories of tracking technologies that response headers switch on.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTechnologies {
    /// `NEL` and its `Report-To` groups. Default: `"analytics"`.
    pub(in crate::config) nel: Option<Text>,
    /// `Attribution-Reporting-*`. Default: `"targeting"`.
    pub(in crate::config) attribution_reporting: Option<Text>,
    /// `Observe-Browsing-Topics`. Default: `"targeting"`.
    pub(in crate::config) topics: Option<Text>,
    /// `Accept-CH` and `Critical-CH` beyond the low-entropy hints. Default: `"functional"`.
    pub(in crate::config) client_hints: Option<Text>,
    /// `Set-Login`; browsers' login dialogs depend on it. Default: `"off"`.
    pub(in crate::config) login_status: Option<Text>,
    /// `ETag` and `Last-Modified` of the answers to beacons, which come back as identifiers. Default: `"analytics"`.
    pub(in crate::config) beacon_etag: Option<Text>,
}

/// A category.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCategory {
    /// Its name.
    pub(in crate::config) name: Option<Text>,
}

/// What a cookie is.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCookie {
    /// Name. `*` matches any characters; `{digits}`, `{hex}`, `{upper}`, `{alnum}` and `{word}` match one or more of a class, `{hex:32}` exactly 32, `{hex:8-32}` from 8 to 32.
    pub(in crate::config) name: Option<Text>,
    /// Its category.
    pub(in crate::config) category: Option<Text>,
    /// Whose it is.
    pub(in crate::config) vendor: Option<String>,
    /// The number in the IAB's list of vendors: where a TC string decides, this vendor needs consent too.
    pub(in crate::config) tcf_vendor: Option<u16>,
    /// What it is for, as visitors read it.
    pub(in crate::config) purpose: Option<String>,
    /// How long it is kept, as visitors read it.
    pub(in crate::config) lifetime: Option<String>,
    /// Conditions besides the name, for patterns that other cookies could match too. Default: none.
    pub(in crate::config) requires: Option<RawRequires>,
}

/// Conditions of a cookie rule besides the name.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawRequires {
    /// The `Set-Cookie` must have `HttpOnly`. In requests, where attributes are not visible, the name decides, unless the part that matches `*` speaks of tracking. Default: `false`.
    pub(in crate::config) http_only: bool,
    /// Longest lifetime in days that the `Set-Cookie` may give; with 0 it must give none. Default: no limit.
    pub(in crate::config) max_days: Option<Spanned<u32>>,
    /// Cookies of which one must be in the same request or response; `*` matches the same text as in `name`. Default: none.
    pub(in crate::config) with: Vec<Text>,
}

/// What a beacon is; every condition that is set must hold.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawBeacon {
    /// Its path; `*` stands for any run of characters.
    pub(in crate::config) path: Option<Text>,
    /// The method.
    pub(in crate::config) method: Option<Text>,
    /// A key of the query, or `key=value`.
    pub(in crate::config) query: Option<String>,
    /// `Sec-Fetch-Dest`.
    pub(in crate::config) fetch_dest: Option<String>,
    /// `Content-Type`.
    pub(in crate::config) content_type: Option<String>,
    /// It is a pixel in an e-mail: `beacons.email_opens` decides. Default: `false`.
    pub(in crate::config) email_open: bool,
    /// Its category.
    pub(in crate::config) category: Option<Text>,
    /// Whose it is.
    pub(in crate::config) vendor: Option<String>,
    /// The number in the IAB's list of vendors.
    pub(in crate::config) tcf_vendor: Option<u16>,
    /// What it is for, as visitors read it.
    pub(in crate::config) purpose: Option<String>,
}

/// A host that pages load from.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawHost {
    /// Its name.
    pub(in crate::config) name: Option<Text>,
    /// Its category.
    pub(in crate::config) category: Option<Text>,
    /// Whose it is.
    pub(in crate::config) vendor: Option<String>,
}

/// A catalogue file.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCatalogue {
    /// What cookies are.
    pub(in crate::config) cookie: Vec<Spanned<RawCookie>>,
    /// What beacons are.
    pub(in crate::config) beacon: Vec<Spanned<RawBeacon>>,
    /// What other hosts are.
    pub(in crate::config) host: Vec<Spanned<RawHost>>,
}
