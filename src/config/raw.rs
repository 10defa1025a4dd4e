//! What the user typed: the shape of the TOML, every key optional, meanings unchecked. What is said of the keys
//! here is what the schema and the reference say of them.

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
pub(super) use shapes::{OneOrMore, Short};
pub(super) use site::{RawHealth, RawSite, RawUpstream};

type Text = Spanned<String>;

/// The config of consentry.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Raw {
    /// Where to listen, and whom to believe; `listen = "0.0.0.0:8080"` is short for `listen.http`.
    pub(in crate::config) listen: Option<Short<RawListen>>,
    /// Worker threads. Default: one a core.
    pub(in crate::config) workers: Option<Spanned<u32>>,
    /// `enforce` strips, blocks and expires; `observe` changes nothing and reports what it would do. Default: `"enforce"`.
    pub(in crate::config) mode: Option<Mode>,
    /// Cookies that no rule knows. `presume` lets those pass that are presumed strictly necessary by how the origin sets them (docs/presumption.md), and others only for visitors who have allowed every category; `block` does the latter with all of them; `allow` lets all pass. Default: `"presume"`.
    pub(in crate::config) unclassified: Option<RawUnclassified>,
    /// Where cookies and beacons are described: the built-in catalogue, and files of your own, from this file's folder. Later files win over earlier ones. Default: `["builtin"]`.
    pub(in crate::config) catalogue: Option<Vec<Text>>,
    /// What visitors allowed, and what holds without their decision.
    pub(in crate::config) consent: RawConsent,
    /// The pages that consentry answers itself.
    pub(in crate::config) centre: RawCentre,
    /// How long to wait for what: a number with a unit, such as `"500ms"`, `"5s"`, `"2m"`.
    pub(in crate::config) timeouts: RawTimeouts,
    /// How much to take.
    pub(in crate::config) limits: RawLimits,
    /// How often requests may be sent again.
    pub(in crate::config) retries: RawRetries,
    /// What to write down.
    pub(in crate::config) log: RawLog,
    /// Beacons: tracking pixels and pings.
    pub(in crate::config) beacons: RawBeacons,
    /// Deletion of cookies without consent that browsers still send.
    pub(in crate::config) expire: RawExpire,
    /// The categories of tracking technologies that header fields carry; `"off"` lets a technology pass.
    pub(in crate::config) technologies: RawTechnologies,
    /// TLS towards visitors, 1.2 and 1.3, where `listen.https` is set. The first certificate is shown where no other has the name that is asked for.
    pub(in crate::config) tls: RawTls,
    /// How upstreams with `https://` are spoken to.
    pub(in crate::config) upstream_tls: RawUpstreamTls,
    /// A form in the pages of visitors who have not decided.
    pub(in crate::config) banner: RawBanner,
    /// What the pages of the site are held to besides cookies.
    pub(in crate::config) page: RawPage,
    /// A proof of each decision made on consentry's pages; none is kept without this table.
    pub(in crate::config) receipts: Option<Spanned<RawReceipts>>,
    /// Categories besides necessary, functional, analytics, targeting and social.
    pub(in crate::config) category: Vec<Spanned<RawCategory>>,
    /// What cookies are. These win over the catalogue; exact names over wildcards, longer wildcards over shorter, later rules over earlier.
    pub(in crate::config) cookie: Vec<Spanned<RawCookie>>,
    /// What beacons are. These win over the catalogue, in the same order as cookies.
    pub(in crate::config) beacon: Vec<Spanned<RawBeacon>>,
    /// What pages load from other hosts, and from all below them; with `page.guard`.
    pub(in crate::config) host: Vec<Spanned<RawHost>>,
    /// A site: hosts, where they are served, and what holds for them.
    pub(in crate::config) site: Vec<Spanned<RawSite>>,
}
