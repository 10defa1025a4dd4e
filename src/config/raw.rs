//! Raw form of the TOML: every key is optional, and values are not validated. The doc comments are the descriptions
//! in the JSON Schema and the config reference.

mod consent;
mod listen;
mod pages;
mod rules;
mod shapes;
mod site;

use super::settings::Mode;
use super::spanned::Spanned;
pub(super) use consent::{
    RawConsent, RawDecode, RawDefault, RawFormat, RawGeneric, RawImplied, RawSignal, RawSource,
    Revision,
};
pub(super) use listen::{
    RawAcme, RawCertificate, RawClientAuth, RawLimits, RawListen, RawLog, RawRetries,
    RawSiteLimits, RawTimeouts, RawTls, RawTlsVersion, RawUpstreamTls,
};
pub(super) use pages::{RawBanner, RawCentre, RawPage, RawReceipts};
pub(super) use rules::{
    RawBeacon, RawBeacons, RawCatalogue, RawCategory, RawCookie, RawExpire, RawHost, RawRequires,
    RawTechnologies, RawUnclassified, RawWithdrawal,
};
pub(super) use shapes::{OneOrMany, StringOrTable};
pub(super) use site::{RawHealth, RawSite, RawUpstream};

type Text = Spanned<String>;

/// Configuration of consentry.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Raw {
    /// Listen addresses and trusted proxies. `listen = "0.0.0.0:8080"` is short for `listen.http`.
    pub(in crate::config) listen: Option<StringOrTable<RawListen>>,
    /// Number of worker threads. Default: one per CPU core.
    pub(in crate::config) workers: Option<Spanned<u32>>,
    /// Operating mode. `enforce` strips, blocks and expires cookies and beacons. `observe` changes nothing and reports what `enforce` would do. Default: `"enforce"`.
    pub(in crate::config) mode: Option<Mode>,
    /// Unclassified cookies (cookies without a rule). `block` passes them only when every category is granted. `presume` also passes cookies presumed strictly necessary from the way the origin sets them (docs/presumption.md). `allow` passes all of them. Default: `"presume"`.
    pub(in crate::config) unclassified: Option<RawUnclassified>,
    /// Catalogue files with rules for cookies, beacons and hosts: `"builtin"`, and your own files. Paths are relative to the folder of the config file. Later files override earlier ones. Default: `["builtin"]`.
    pub(in crate::config) catalogue: Option<Vec<Text>>,
    /// Consent sources, and the default without a decision.
    pub(in crate::config) consent: RawConsent,
    /// Pages served by consentry itself: preference centre, notice, consent API.
    pub(in crate::config) centre: RawCentre,
    /// Timeouts, each a number with a unit, such as `"500ms"`, `"5s"`, `"2m"`.
    pub(in crate::config) timeouts: RawTimeouts,
    /// Limits.
    pub(in crate::config) limits: RawLimits,
    /// Retry budget.
    pub(in crate::config) retries: RawRetries,
    /// Logging.
    pub(in crate::config) log: RawLog,
    /// Beacons: tracking pixels and pings.
    pub(in crate::config) beacons: RawBeacons,
    /// Deletion of cookies without consent that browsers still send.
    pub(in crate::config) expire: RawExpire,
    /// Categories of tracking technologies that use header fields. `"off"` forwards the fields of a technology unchanged.
    pub(in crate::config) technologies: RawTechnologies,
    /// TLS 1.2 and 1.3 for client connections; used if `listen.https` is set. The first certificate is served if no certificate matches the requested name.
    pub(in crate::config) tls: RawTls,
    /// TLS for upstreams with `https://`.
    pub(in crate::config) upstream_tls: RawUpstreamTls,
    /// Consent banner, inserted into pages for visitors who have not decided.
    pub(in crate::config) banner: RawBanner,
    /// HTML rewriting.
    pub(in crate::config) page: RawPage,
    /// Receipts: proof of each decision made on consentry's own pages. Default: no receipts are stored.
    pub(in crate::config) receipts: Option<Spanned<RawReceipts>>,
    /// Custom categories, in addition to necessary, functional, analytics, targeting and social.
    pub(in crate::config) category: Vec<Spanned<RawCategory>>,
    /// Cookie rules. They override the catalogue. Exact names win over wildcards, longer wildcards over shorter ones, later rules over earlier ones.
    pub(in crate::config) cookie: Vec<Spanned<RawCookie>>,
    /// Beacon rules. They override the catalogue and have the same precedence as cookie rules.
    pub(in crate::config) beacon: Vec<Spanned<RawBeacon>>,
    /// Rules for third-party hosts in pages; subdomains match too. Used with `page.guard` only.
    pub(in crate::config) host: Vec<Spanned<RawHost>>,
    /// Sites: hosts, upstreams and settings.
    pub(in crate::config) site: Vec<Spanned<RawSite>>,
}
