//! Sites and their upstreams.

use std::collections::BTreeMap;

use super::consent::RawConsent;
use super::listen::{RawSiteLimits, RawUpstreamTls};
use super::pages::{RawBanner, RawCentre, RawPage};
use super::rules::{RawBeacon, RawCookie, RawHost, RawParameter};
use super::shapes::{OneOrMany, StringOrTable};
use super::values::{CookieName, Number, Time, seconds};
use crate::config::settings::{BalanceMethod, Mode, UrlIdentifiers};
use crate::config::spanned::{Spanned, Text};
use crate::http::ForwardedFor;
use crate::policy::Unclassified;

tables! {
    /// Upstream.
    #[schemars(extend("required" = ["url"]))]
    RawUpstream {
        /// URL.
        url: Option<Text>,
        /// Weight relative to the other upstreams.
        weight: Number<1, 1000> = Number(1),
    }

    /// Active health checks. A check succeeds with a status from 200 to 399.
    RawHealth {
        /// Request path.
        path: Text = "/",
        /// Interval between checks.
        interval: Time<10> = seconds(5),
        /// Time limit for the response.
        timeout: Time<10> = seconds(2),
        /// Consecutive successful checks before an unhealthy upstream gets requests again.
        healthy_after: Number<1, 100> = Number(2),
        /// Consecutive failed checks before an upstream is unhealthy and gets no more requests.
        unhealthy_after: Number<1, 100> = Number(3),
    }

    /// Site: hosts, upstreams and settings.
    RawSite {
        /// Unique name of the site in logs and metrics. Default: the first host (`default` for `*`), followed by the first path unless that is `/`.
        name: Option<Text>,
        /// Host names without port: `"shop.example.com"`, `"*.example.com"`, `"*"`. Exact names win over wildcards. Case and a trailing dot are ignored.
        hosts: Spanned<Vec<Text>> = ["*"],
        /// Path prefixes (whole segments); the longest match wins.
        paths: Spanned<Vec<Text>> = ["/"],
        /// Upstream URL: `"http://…"`, `"https://…"` (HTTP/2 by ALPN), `"h2c://…"` (HTTP/2 without TLS), `"unix:/…"`, or a list of them. List entries can have a weight: `{ url = "…", weight = 3 }`.
        upstream: Option<Spanned<OneOrMany<StringOrTable<RawUpstream>>>>,
        /// Load balancing: `round_robin` (by weight), or `least_connections` (fewest requests in flight, by weight).
        balance: BalanceMethod = BalanceMethod::RoundRobin,
        /// Name of the session affinity cookie, without wildcards; the cookie is strictly necessary. With `consent.key_file`, affinity survives restarts and is shared by all replicas. Default: no session affinity.
        sticky_cookie: Option<CookieName>,
        /// Active health checks. Default: disabled.
        health: Option<RawHealth>,
        /// Limits of the site.
        limits: RawSiteLimits,
        /// Overrides the top-level `mode`.
        mode: Option<Mode>,
        /// Overrides the top-level `unclassified`.
        unclassified: Option<Unclassified>,
        /// Overrides the top-level `forwarded_for`.
        forwarded_for: Option<ForwardedFor>,
        /// Overrides the top-level `url_identifiers`.
        url_identifiers: Option<UrlIdentifiers>,
        /// Overrides the top-level `max_cookie_lifetime`, merged by category.
        max_cookie_lifetime: BTreeMap<String, Spanned<Time<1000>>>,
        /// Overrides the top-level `[consent]`, merged key by key: missing keys are read from the top-level table.
        consent: RawConsent,
        /// Overrides the top-level `[centre]`, merged key by key. `prefix` is not allowed here.
        centre: RawCentre,
        /// Overrides the top-level `[banner]`, merged key by key.
        banner: RawBanner,
        /// Overrides the top-level `[page]`, merged key by key.
        page: RawPage,
        /// Overrides the top-level `[upstream_tls]`, merged key by key.
        upstream_tls: RawUpstreamTls,
        /// Cookie rules of the site; they override the top-level rules.
        cookie: Vec<Spanned<RawCookie>>,
        /// Beacon rules of the site; they override the top-level rules.
        beacon: Vec<Spanned<RawBeacon>>,
        /// Rules of the site for query parameters; they override the top-level rules.
        parameter: Vec<Spanned<RawParameter>>,
        /// Rules of the site for third-party hosts in pages; they override the top-level rules.
        host: Vec<Spanned<RawHost>>,
    }
}
