//! Sites and their upstreams.

use super::consent::RawConsent;
use super::listen::{RawSiteLimits, RawUpstreamTls};
use super::pages::{RawBanner, RawCentre, RawPage};
use super::rules::{RawBeacon, RawCookie, RawHost, RawUnclassified};
use super::shapes::{OneOrMany, StringOrTable};
use crate::config::settings::{BalanceMethod, Mode};
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// Upstream.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawUpstream {
    /// URL, required.
    pub(in crate::config) url: Option<Text>,
    /// Weight relative to the other upstreams. Default: `1`.
    pub(in crate::config) weight: Option<Spanned<u32>>,
}

/// Active health checks. A check succeeds with a status from 200 to 399.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawHealth {
    /// Request path. Default: `"/"`.
    pub(in crate::config) path: Option<Text>,
    /// Interval between checks. Default: `"5s"`.
    pub(in crate::config) interval: Option<Text>,
    /// Time limit for the response. Default: `"2s"`.
    pub(in crate::config) timeout: Option<Text>,
    /// Consecutive successful checks before an unhealthy upstream gets requests again. Default: `2`.
    pub(in crate::config) healthy_after: Option<Spanned<u32>>,
    /// Consecutive failed checks before an upstream is unhealthy and gets no more requests. Default: `3`.
    pub(in crate::config) unhealthy_after: Option<Spanned<u32>>,
}

/// Site: hosts, upstreams and settings.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawSite {
    /// Unique name of the site in logs and metrics. Default: the first host (`default` for `*`), followed by the first path unless that is `/`.
    pub(in crate::config) name: Option<Text>,
    /// Host names without port: `"shop.example.com"`, `"*.example.com"`, `"*"`. Exact names win over wildcards. Case and a trailing dot are ignored. Default: `["*"]`.
    pub(in crate::config) hosts: Option<Spanned<Vec<Text>>>,
    /// Path prefixes (whole segments); the longest match wins. Default: `["/"]`.
    pub(in crate::config) paths: Option<Spanned<Vec<Text>>>,
    /// Upstream URL: `"http://…"`, `"https://…"` (HTTP/2 by ALPN), `"h2c://…"` (HTTP/2 without TLS), `"unix:/…"`, or a list of them. List entries can have a weight: `{ url = "…", weight = 3 }`.
    pub(in crate::config) upstream: Option<Spanned<OneOrMany<StringOrTable<RawUpstream>>>>,
    /// Load balancing: `round_robin` (by weight), or `least_connections` (fewest requests in flight, by weight). Default: `"round_robin"`.
    pub(in crate::config) balance: Option<BalanceMethod>,
    /// Name of the session affinity cookie, without wildcards; the cookie is strictly necessary. With `consent.key_file`, affinity survives restarts and is shared by all replicas. Default: no session affinity.
    pub(in crate::config) sticky_cookie: Option<Text>,
    /// Active health checks. Default: disabled.
    pub(in crate::config) health: Option<RawHealth>,
    /// Limits of the site.
    pub(in crate::config) limits: RawSiteLimits,
    /// Overrides the top-level `mode`.
    pub(in crate::config) mode: Option<Mode>,
    /// Overrides the top-level `unclassified`.
    pub(in crate::config) unclassified: Option<RawUnclassified>,
    /// Overrides the top-level `[consent]`, merged key by key: missing keys are read from the top-level table.
    pub(in crate::config) consent: RawConsent,
    /// Overrides the top-level `[centre]`, merged key by key. `prefix` is not allowed here.
    pub(in crate::config) centre: RawCentre,
    /// Overrides the top-level `[banner]`, merged key by key.
    pub(in crate::config) banner: RawBanner,
    /// Overrides the top-level `[page]`, merged key by key.
    pub(in crate::config) page: RawPage,
    /// Overrides the top-level `[upstream_tls]`, merged key by key.
    pub(in crate::config) upstream_tls: RawUpstreamTls,
    /// Cookie rules of the site; they override the top-level rules.
    pub(in crate::config) cookie: Vec<Spanned<RawCookie>>,
    /// Beacon rules of the site; they override the top-level rules.
    pub(in crate::config) beacon: Vec<Spanned<RawBeacon>>,
    /// Rules of the site for third-party hosts in pages; they override the top-level rules.
    pub(in crate::config) host: Vec<Spanned<RawHost>>,
}
