//! Sites and their upstreams.

use super::consent::RawConsent;
use super::listen::{RawSiteLimits, RawUpstreamTls};
use super::pages::{RawBanner, RawCentre, RawPage};
use super::rules::{RawBeacon, RawCookie, RawHost, RawUnclassified};
use super::shapes::{OneOrMore, Short};
use crate::config::settings::{BalanceMethod, Mode};
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// An upstream.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawUpstream {
    /// Where it is.
    pub(in crate::config) url: Option<Text>,
    /// Its share, beside those of the others. Default: `1`.
    pub(in crate::config) weight: Option<Spanned<u32>>,
}

/// How upstreams are asked whether they are well: answers of 200 to 399 are good.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawHealth {
    /// The path. Default: `"/"`.
    pub(in crate::config) path: Option<Text>,
    /// From one question to the next. Default: `"5s"`.
    pub(in crate::config) interval: Option<Text>,
    /// How long to wait for the answer. Default: `"2s"`.
    pub(in crate::config) timeout: Option<Text>,
    /// Good answers in a row until it gets requests again. Default: `2`.
    pub(in crate::config) healthy_after: Option<Spanned<u32>>,
    /// Bad answers in a row until it gets no more. Default: `3`.
    pub(in crate::config) unhealthy_after: Option<Spanned<u32>>,
}

/// Hosts, where they are served, and what holds for them.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawSite {
    /// The name in logs and metrics; no other site has it. Default: the first host, with the first path where that is not `/`.
    pub(in crate::config) name: Option<Text>,
    /// `"shop.example.com"`, `"*.example.com"`, `"*"`; exact names win over wildcards. Without a port; case and a dot at the end do not matter. Default: `["*"]`.
    pub(in crate::config) hosts: Option<Spanned<Vec<Text>>>,
    /// What the paths begin with that it serves of these hosts, whole segments; the longest wins. Default: `["/"]`.
    pub(in crate::config) paths: Option<Spanned<Vec<Text>>>,
    /// Where requests go: `"http://…"`, `"https://…"` (HTTP/2 by ALPN), `"h2c://…"` (HTTP/2 without TLS), `"unix:/…"`, or a list of them, which may give weights: `{ url = "…", weight = 3 }`.
    pub(in crate::config) upstream: Option<Spanned<OneOrMore<Short<RawUpstream>>>>,
    /// How the next upstream is chosen: in turn by weight, or the one with the fewest requests under way. Default: `"round_robin"`.
    pub(in crate::config) balance: Option<BalanceMethod>,
    /// The name, without wildcards, of a necessary cookie that keeps a visitor at one upstream, over restarts and on every replica if `consent.key_file` is set. Default: visitors are not kept.
    pub(in crate::config) sticky_cookie: Option<Text>,
    /// How upstreams are asked whether they are well. Default: they are not.
    pub(in crate::config) health: Option<RawHealth>,
    /// How much the site takes.
    pub(in crate::config) limits: RawSiteLimits,
    /// As at the top.
    pub(in crate::config) mode: Option<Mode>,
    /// As at the top.
    pub(in crate::config) unclassified: Option<RawUnclassified>,
    /// As at the top, merged key by key: a key that is missing here is read from the table at the top.
    pub(in crate::config) consent: RawConsent,
    /// As at the top, but for `prefix`; merged key by key.
    pub(in crate::config) centre: RawCentre,
    /// As at the top, merged key by key.
    pub(in crate::config) banner: RawBanner,
    /// As at the top, merged key by key.
    pub(in crate::config) page: RawPage,
    /// As at the top, merged key by key.
    pub(in crate::config) upstream_tls: RawUpstreamTls,
    /// What cookies are on this site; these win over those at the top.
    pub(in crate::config) cookie: Vec<Spanned<RawCookie>>,
    /// What beacons are on this site.
    pub(in crate::config) beacon: Vec<Spanned<RawBeacon>>,
    /// What other hosts are on this site.
    pub(in crate::config) host: Vec<Spanned<RawHost>>,
}
