//! What cookies, beacons and hosts are, and what happens to them.

use super::consent::RawDefault;
use crate::config::settings::{AlternativeServices, Detect};
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// What happens to cookies that no rule knows.
#[derive(Debug, Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawUnclassified {
    Presume,
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
    /// Maximum number of deletions in one response; the next page loads carry the others. Default: `30`.
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

/// The categories of tracking technologies that header fields carry; `"off"` lets a technology pass.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTechnologies {
    /// `NEL` and its `Report-To` groups. Default: `"analytics"`.
    pub(in crate::config) nel: Option<Text>,
    /// Reports to other sites: `Reporting-Endpoints` and `Report-To`. Default: `"analytics"`.
    pub(in crate::config) reporting: Option<Text>,
    /// `Attribution-Reporting-*`. Default: `"targeting"`.
    pub(in crate::config) attribution_reporting: Option<Text>,
    /// `Observe-Browsing-Topics` and `Sec-Browsing-Topics`. Default: `"targeting"`.
    pub(in crate::config) topics: Option<Text>,
    /// `Ad-Auction-*`, `Sec-Ad-Auction-*` and the fields of fenced frames. Default: `"targeting"`.
    pub(in crate::config) ad_auctions: Option<Text>,
    /// `Shared-Storage-*` and `Sec-Shared-Storage-*`. Default: `"targeting"`.
    pub(in crate::config) shared_storage: Option<Text>,
    /// `Private-State-Token*`, `Sec-Private-State-Token*` and their earlier names. Default: `"targeting"`.
    pub(in crate::config) private_state_tokens: Option<Text>,
    /// Client hints beyond the low-entropy ones: `Accept-CH`, `Critical-CH`, `Sec-CH-*`. Default: `"functional"`.
    pub(in crate::config) client_hints: Option<Text>,
    /// Compression dictionaries: `Use-As-Dictionary`, `Available-Dictionary`, `Dictionary-ID`. Default: `"functional"`.
    pub(in crate::config) dictionaries: Option<Text>,
    /// The value of `Service-Worker-Navigation-Preload`; without consent it is `true`. Default: `"functional"`.
    pub(in crate::config) navigation_preload: Option<Text>,
    /// `CMCD-*`, which media players send. Default: `"analytics"`.
    pub(in crate::config) media_metrics: Option<Text>,
    /// Identifiers that mobile networks insert, such as `X-UIDH`. Default: `"targeting"`.
    pub(in crate::config) subscriber_ids: Option<Text>,
    /// `ETag` and `Last-Modified` of the answers to beacons, which come back as identifiers. Default: `"analytics"`.
    pub(in crate::config) beacon_etag: Option<Text>,
    /// `Set-Login`; browsers' login dialogs depend on it. Default: `"off"`.
    pub(in crate::config) login_status: Option<Text>,
    /// `Secure-Session-*` and token binding; logins may depend on them. Default: `"off"`.
    pub(in crate::config) device_bound_sessions: Option<Text>,
    /// `Alt-Svc` and other fields that lead browsers to another server: `clear` removes them and makes browsers forget earlier ones, `keep` lets them pass. Default: `"clear"`.
    pub(in crate::config) alternative_services: Option<AlternativeServices>,
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
    /// `Path` of the cookie, for deletions. A withdrawal also deletes it there when the browser does not send it. Default: `/` if `domain` is set; else paths seen in the site's own `Set-Cookie`.
    pub(in crate::config) path: Option<Text>,
    /// `Domain` of the cookie, for deletions. Default: none (a host-only cookie) if `path` is set; else domains seen in the site's own `Set-Cookie`.
    pub(in crate::config) domain: Option<Text>,
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
    /// Its path, without query; `*` stands for any run of characters. Compared as origins compare paths: see `docs/catalogue.md`.
    pub(in crate::config) path: Option<Text>,
    /// The method.
    pub(in crate::config) method: Option<Text>,
    /// A key of the query, or `key=value`.
    pub(in crate::config) query: Option<Text>,
    /// `Sec-Fetch-Dest`.
    pub(in crate::config) fetch_dest: Option<Text>,
    /// The media type in `Content-Type`; parameters are ignored.
    pub(in crate::config) content_type: Option<Text>,
    /// It is a pixel in an e-mail: `beacons.email_opens` decides. Default: `false`.
    pub(in crate::config) email_open: bool,
    /// Page loads are answered here too. Without it a page load passes, whatever its path, and loses its cookies without consent; `fetch_dest = "document"` or a frame's says the same. Default: `false`.
    pub(in crate::config) navigation: bool,
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
