//! The shape of the config: each key with its description, type, range and default. The schema and the reference
//! come from here.

/// Defines tables of the config: each key with its description, type and default. A key without a default has that
/// of its type.
macro_rules! tables {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$about:meta])* $key:ident: $type:ty $(= $default:expr)?,)*
    })*) => {$(
        #[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, default, expecting = "a table")]
        $(#[$meta])*
        pub(in crate::config) struct $name {
            $($(#[$about])* pub(in crate::config) $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: default_of!($($default)?),)* }
            }
        }
    )*};
}

/// The default of a key.
macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default.into()
    };
}

use std::collections::BTreeMap;

mod consent;
mod listen;
mod pages;
mod rules;
mod shapes;
mod site;
mod values;
pub(super) use values::{Day, Time};

use super::settings::{Log, Mode, UrlIdentifiers};
use super::spanned::{Spanned, Text};
use crate::http::ForwardedFor;
use crate::policy::Unclassified;
pub(super) use consent::{
    ASK_AGAIN_DAYS, RawConsent, RawDecode, RawDefault, RawDefaults, RawFormat, RawGeneric,
    RawRegion, RawSignal, RawSource, Revision,
};
pub(super) use listen::{
    RawAcme, RawCertificate, RawClientAuth, RawLimits, RawListen, RawRetries, RawSiteLimits,
    RawTimeouts, RawTls, RawTlsVersion, RawUpstreamTls,
};
pub(super) use pages::{RawBanner, RawCentre, RawPage, RawReceipts};
pub(super) use rules::{
    RawBeacon, RawBeacons, RawCatalogue, RawCategory, RawCookie, RawExpire, RawHost, RawParameter,
    RawPurpose, RawRequires, RawTechnologies, RawWithdrawal,
};
pub(super) use shapes::{OneOrMany, StringOrTable};
pub(super) use site::{RawHealth, RawSite, RawUpstream};
use values::Number;

tables! {
    /// Configuration of consentry.
    Raw {
        /// Listen addresses and trusted proxies. `listen = "0.0.0.0:8080"` is short for `listen.http`.
        listen: Option<Spanned<StringOrTable<RawListen>>>,
        /// Number of worker threads. Default: one per CPU core.
        workers: Option<Number<1, 1024>>,
        /// Operating mode. `enforce` strips, blocks and expires cookies and beacons. `observe` changes nothing and reports what `enforce` would do.
        mode: Mode = Mode::Enforce,
        /// Unclassified cookies (cookies without a rule). `block` passes them only when every category is granted. `presume` also passes cookies presumed strictly necessary from the way the origin sets them (docs/presumption.md). `allow` passes all of them.
        unclassified: Unclassified = Unclassified::Presume,
        /// Client address in `X-Forwarded-For` and `Forwarded` towards the origin: `full`, `network` (the first 24 bits of an IPv4 address, 48 of an IPv6 address), or `none`. With `network` and `none`, other fields with a client address are removed, such as `X-Real-IP`. Addresses of trusted proxies are kept.
        forwarded_for: ForwardedFor = ForwardedFor::Full,
        /// Query parameters without consent that identify a person, a click or a session, in GET and HEAD requests and in `Referer`. `strip` removes them from the request to the upstream. `redirect` also redirects page loads from other sites to the URL without them. `off` forwards them.
        url_identifiers: UrlIdentifiers = UrlIdentifiers::Strip,
        /// Longest lifetime of cookies by category, such as `{ analytics = "13months", targeting = "395d" }`. A longer `Max-Age` or `Expires` in `Set-Cookie` becomes this lifetime. Default: no limit.
        max_cookie_lifetime: BTreeMap<String, Spanned<Time<1000>>>,
        /// Catalogue files with rules for cookies, beacons, hosts and query parameters: `"builtin"`, and your own files. Paths are relative to the folder of the config file. Later files override earlier ones.
        catalogue: Spanned<Vec<Text>> = ["builtin"],
        /// Consent sources, and the default without a decision.
        consent: RawConsent,
        /// Pages served by consentry itself: preference centre, notice, consent API.
        centre: RawCentre,
        /// Timeouts, each a number with a unit, such as `"500ms"`, `"5s"`, `"2m"`.
        timeouts: RawTimeouts,
        /// Limits.
        limits: RawLimits,
        /// Retry budget.
        retries: RawRetries,
        /// Logging.
        log: Log,
        /// Beacons: tracking pixels and pings.
        beacons: RawBeacons,
        /// Deletion of cookies without consent that browsers still send.
        expire: RawExpire,
        /// Categories of tracking technologies that use header fields. `"off"` forwards the fields of a technology unchanged.
        technologies: RawTechnologies,
        /// TLS 1.2 and 1.3 for client connections; used if `listen.https` is set. The first certificate is served if no certificate matches the requested name.
        tls: RawTls,
        /// TLS for upstreams with `https://`.
        upstream_tls: RawUpstreamTls,
        /// Consent banner, inserted into pages for visitors who have not decided.
        banner: RawBanner,
        /// HTML rewriting.
        page: RawPage,
        /// Receipts: proof of each decision made on consentry's own pages. Default: no receipts are stored.
        receipts: Option<RawReceipts>,
        /// Custom categories, in addition to necessary, functional, analytics, targeting and social.
        category: Vec<Spanned<RawCategory>>,
        /// Cookie rules. They override the catalogue. Exact names win over wildcards, longer wildcards over shorter ones, later rules over earlier ones.
        cookie: Vec<Spanned<RawCookie>>,
        /// Beacon rules. They override the catalogue and have the same precedence as cookie rules.
        beacon: Vec<Spanned<RawBeacon>>,
        /// Rules for query parameters that identify a person, a click or a session. They override the catalogue and have the same precedence as cookie rules.
        parameter: Vec<Spanned<RawParameter>>,
        /// Rules for third-party hosts in pages; subdomains match too. Used with `page.guard` only.
        host: Vec<Spanned<RawHost>>,
        /// Sites: hosts, upstreams and settings.
        site: Vec<Spanned<RawSite>>,
    }
}
