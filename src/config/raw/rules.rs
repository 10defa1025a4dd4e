//! What cookies, beacons and hosts are, and what happens to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::consent::RawDefault;
use super::shapes::OneOrMany;
use crate::catalogue::{Purpose, PurposeKind};
use crate::config::settings::{AlternativeServices, Detect};
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// Handling of unclassified cookies.
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
    /// Detection of responses that look like beacons: `off` disables it, `report` adds them to the inventory, `block` also blocks them. Default: `"report"`.
    pub(in crate::config) detect: Option<Detect>,
    /// Pixels in e-mails, requested without consent cookies: `deny` answers them without the upstream, `allow` forwards them. Default: `"deny"`.
    pub(in crate::config) email_opens: Option<RawDefault>,
    /// Filter lists in EasyList syntax. Paths are relative to the folder of the config file. Default: none.
    pub(in crate::config) lists: Vec<Text>,
    /// Category of the requests that match `lists`. Default: `"analytics"`.
    pub(in crate::config) list_category: Option<Text>,
}

/// Deletion of cookies without consent that browsers still send.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawExpire {
    /// Delete cookies without consent in responses to page loads. Default: `true`.
    pub(in crate::config) enabled: Option<bool>,
    /// Maximum number of deletions in one response; the next page loads delete the rest. Default: `30`.
    pub(in crate::config) max_per_response: Option<Spanned<u32>>,
    /// Data that the response to a withdrawal clears at once: `cookies`, and `storage` for everything stored by scripts. Default: `["cookies"]`.
    pub(in crate::config) on_withdrawal: Option<Vec<RawWithdrawal>>,
}

/// Data to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawWithdrawal {
    Cookies,
    Storage,
}

/// Categories of tracking technologies that use header fields. `"off"` forwards the fields of a technology unchanged.
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
    /// Value of `Service-Worker-Navigation-Preload`; replaced by `true` without consent. Default: `"functional"`.
    pub(in crate::config) navigation_preload: Option<Text>,
    /// `CMCD-*`, sent by media players. Default: `"analytics"`.
    pub(in crate::config) media_metrics: Option<Text>,
    /// Identifiers inserted by mobile networks, such as `X-UIDH`. Default: `"targeting"`.
    pub(in crate::config) subscriber_ids: Option<Text>,
    /// `ETag` and `Last-Modified` in beacon responses; browsers send them back as identifiers. Default: `"analytics"`.
    pub(in crate::config) beacon_etag: Option<Text>,
    /// `Set-Login`; required by the login dialogs of browsers. Default: `"off"`.
    pub(in crate::config) login_status: Option<Text>,
    /// `Secure-Session-*` and token binding; logins may depend on them. Default: `"off"`.
    pub(in crate::config) device_bound_sessions: Option<Text>,
    /// `Alt-Svc` and other fields that direct browsers to another server: `clear` removes them and makes browsers forget earlier ones, `keep` forwards them. Default: `"clear"`.
    pub(in crate::config) alternative_services: Option<AlternativeServices>,
}

/// Custom category.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCategory {
    /// Name of the category, required.
    pub(in crate::config) name: Option<Text>,
}

/// Cookie rule.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCookie {
    /// Cookie name, required. `*` matches any characters; `{digits}`, `{hex}`, `{upper}`, `{alnum}` and `{word}` match one or more characters of a class. `{hex:32}` matches exactly 32, `{hex:8-32}` from 8 to 32.
    pub(in crate::config) name: Option<Text>,
    /// Category, required.
    pub(in crate::config) category: Option<Text>,
    /// Provider, as shown to visitors. `this site` is shown as the website itself, in the visitor's language.
    pub(in crate::config) vendor: Option<String>,
    /// Vendor id in the IAB Global Vendor List. If a TC string is the source of the decision, this vendor needs consent too.
    pub(in crate::config) tcf_vendor: Option<u16>,
    /// Kind of purpose, shown to visitors in their language. Default: none.
    pub(in crate::config) kind: Option<PurposeKind>,
    /// Purpose, shown to visitors instead of the text of `kind`: one text, or a table with a text per language. Default: none.
    pub(in crate::config) purpose: Option<RawPurpose>,
    /// Lifetime, shown to visitors if the cookie was not seen: `session`, `persistent`, or a number and a unit such as `13 months`. Other texts are shown as they are.
    pub(in crate::config) lifetime: Option<String>,
    /// `Path` of the cookie, for deletions. A withdrawal deletes the cookie at this path even if the browser does not send it. Default: `/` if `domain` is set, otherwise the paths seen in the site's own `Set-Cookie`.
    pub(in crate::config) path: Option<Text>,
    /// `Domain` of the cookie, for deletions. Default: none (a host-only cookie) if `path` is set, otherwise the domains seen in the site's own `Set-Cookie`.
    pub(in crate::config) domain: Option<Text>,
    /// Conditions besides the name, for patterns that can match other cookies too. Default: none.
    pub(in crate::config) requires: Option<RawRequires>,
}

/// Purpose in words: one text, or a text per language tag.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum RawPurpose {
    /// Text for all languages.
    Text(String),
    /// Texts by language tag, such as `de` or `pt-BR`.
    ByLanguage(BTreeMap<String, String>),
}

impl RawPurpose {
    pub(in crate::config) fn into_purpose(self) -> Purpose {
        match self {
            Self::Text(text) => Purpose::Text(text.into()),
            Self::ByLanguage(texts) => {
                let texts = texts.into_iter().map(|(tag, text)| (tag.to_ascii_lowercase(), text));
                Purpose::ByLanguage(Arc::new(texts.collect()))
            }
        }
    }
}

/// Conditions of a cookie rule besides the name.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawRequires {
    /// The `Set-Cookie` must have `HttpOnly`. Requests show no attributes, so there the name decides, unless the part matched by `*` contains a tracking term. Default: `false`.
    pub(in crate::config) http_only: bool,
    /// Maximum lifetime in the `Set-Cookie`, in days. `0` requires a `Set-Cookie` without a lifetime. Default: unlimited.
    pub(in crate::config) max_days: Option<Spanned<u32>>,
    /// Companion cookies: one of them must be in the same request or response. `*` matches the same text as in `name`. Default: none.
    pub(in crate::config) with: Vec<Text>,
}

/// Beacon rule. A request must meet all conditions that are set.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawBeacon {
    /// Request path without the query, required. `*` matches any characters. Other spellings of the same path match too: see `docs/catalogue.md`.
    pub(in crate::config) path: Option<Text>,
    /// Request method. Default: any.
    pub(in crate::config) method: Option<Text>,
    /// Query parameter, or a list of parameters that must all be present: `key` or `key=value`. The value can contain `*` and the placeholders of cookie names. Default: any.
    pub(in crate::config) query: Option<Spanned<OneOrMany<String>>>,
    /// Value of `Sec-Fetch-Dest`. Default: any.
    pub(in crate::config) fetch_dest: Option<Text>,
    /// Value of `Sec-Fetch-Mode`. Default: any.
    pub(in crate::config) fetch_mode: Option<Text>,
    /// Value of `Accept`, the whole field. Default: any.
    pub(in crate::config) accept: Option<Text>,
    /// Name of a header field that must be present, such as `X-Faro-Session-Id`. Default: none.
    pub(in crate::config) header: Option<Text>,
    /// Media type in `Content-Type`; parameters are ignored. Default: any.
    pub(in crate::config) content_type: Option<Text>,
    /// Pixel in an e-mail: `beacons.email_opens` decides. Default: `false`.
    pub(in crate::config) email_open: bool,
    /// Apply the rule to page loads too. Other rules forward a page load and strip only its cookies without consent. `fetch_dest = "document"`, or the value of a frame, has the same effect. Default: `false`.
    pub(in crate::config) navigation: bool,
    /// Category, required.
    pub(in crate::config) category: Option<Text>,
    /// Provider, as shown to visitors. `this site` is shown as the website itself, in the visitor's language.
    pub(in crate::config) vendor: Option<String>,
    /// Vendor id in the IAB Global Vendor List. If a TC string is the source of the decision, this vendor needs consent too.
    pub(in crate::config) tcf_vendor: Option<u16>,
    /// Kind of purpose, shown to visitors in their language. Default: none.
    pub(in crate::config) kind: Option<PurposeKind>,
    /// Purpose, shown to visitors instead of the text of `kind`: one text, or a table with a text per language. Default: none.
    pub(in crate::config) purpose: Option<RawPurpose>,
}

/// Rule for a third-party host in pages.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawHost {
    /// Host name, required; subdomains match too.
    pub(in crate::config) name: Option<Text>,
    /// Category, required.
    pub(in crate::config) category: Option<Text>,
    /// Vendor.
    pub(in crate::config) vendor: Option<String>,
}

/// Provider of cookies.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawVendor {
    /// Name, as in the `vendor` of rules.
    pub(in crate::config) name: String,
    /// Address of the provider's documentation or source code.
    pub(in crate::config) source: String,
}

/// Catalogue file.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCatalogue {
    /// Date of the last review of the entries in this file.
    #[schemars(with = "Option<String>")]
    pub(in crate::config) reviewed: Option<toml::value::Datetime>,
    /// Providers, with the source of their entries.
    pub(in crate::config) vendor: Vec<RawVendor>,
    /// Cookie rules.
    pub(in crate::config) cookie: Vec<Spanned<RawCookie>>,
    /// Beacon rules.
    pub(in crate::config) beacon: Vec<Spanned<RawBeacon>>,
    /// Rules for third-party hosts in pages.
    pub(in crate::config) host: Vec<Spanned<RawHost>>,
}
