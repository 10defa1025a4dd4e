//! What a config means: plain checked values that the other modules are built from.

mod pages;
mod siblings;
mod technologies;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::WatchedFile;
use super::problem::Problem;
use crate::consent::ConsentReader;
use crate::policy::Policy;
use crate::tls::{ClientAuthorities, Identity, TicketKeys, UpstreamTls};
pub use pages::{
    Banner, Centre, Colours, Durability, OnWithdrawal, Page, Position, ReceiptStore, Receipts,
};
pub(in crate::config) use siblings::{Families, Family, Owner, Sites, family_of};
pub use siblings::{SiblingNeeds, SiblingSites};
pub use technologies::{AlternativeServices, Technologies, Technology};
pub use upstream::{
    Balance, BalanceMethod, HealthCheck, Retries, Scheme, SiteLimits, Upstream, WeightedUpstream,
};

/// Everything that a run needs.
#[derive(Debug)]
pub struct Config {
    /// Where to listen, and whom to believe.
    pub listen: Listen,
    /// TLS, where it is listened for.
    pub tls: Option<Tls>,
    /// How many worker threads; `None` for one a core.
    pub workers: Option<usize>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much to take.
    pub limits: Limits,
    /// What to write down.
    pub log: Log,
    /// Where receipts are kept, where they are.
    pub receipts: Option<Receipts>,
    /// The sites, in the order of the config.
    pub sites: Vec<Site>,
    /// The files and folders that it was made of.
    pub files: Vec<WatchedFile>,
    /// What is allowed and hardly meant.
    pub warnings: Vec<Problem>,
}

/// The filters of a config, for a server that uses the tower layer.
#[derive(Debug)]
pub struct FilterConfig {
    /// The sites, in the order of the config; one for a config without `[[site]]`.
    pub sites: Vec<FilterSite>,
    /// The files and folders that the config was read from.
    pub files: Vec<WatchedFile>,
    /// Settings that are valid but probably wrong.
    pub warnings: Vec<Problem>,
}

/// A site's filter, and the requests that it is for.
#[derive(Debug)]
pub struct FilterSite {
    /// The name in logs and metrics.
    pub name: String,
    /// The hosts, in lower case.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes, in whole segments; `/` matches every path.
    pub paths: Vec<String>,
    /// The settings of the filter.
    pub filter: FilterSettings,
}

impl FilterConfig {
    /// The settings of the only site; `None` for a config with several.
    pub fn single(mut self) -> Option<FilterSettings> {
        let site = self.sites.pop()?;
        self.sites.is_empty().then_some(site.filter)
    }
}

impl From<Config> for FilterConfig {
    fn from(config: Config) -> Self {
        let Config { sites, files, warnings, .. } = config;
        let site =
            |Site { name, hosts, paths, filter, .. }| FilterSite { name, hosts, paths, filter };
        Self { sites: sites.into_iter().map(site).collect(), files, warnings }
    }
}

/// Addresses and trust.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where visitors connect without TLS; `None` turns it off.
    pub http: Option<SocketAddr>,
    /// Where they connect with TLS; `None` without it.
    pub https: Option<SocketAddr>,
    /// Where metrics and health are served; `None` turns them off.
    pub admin: Option<AdminAddress>,
    /// Names of the admin listener besides IP addresses and `localhost`, in lower case.
    pub admin_hosts: Vec<String>,
    /// What who asks there has to show, but for health.
    pub admin_token: Option<AdminToken>,
    /// Another process may listen on the same addresses: the next version, before this one ends.
    pub reuse_port: bool,
    /// Visitors' connections begin with the PROXY protocol, of `trusted_proxies` only where there are any.
    pub proxy_protocol: bool,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Where the private listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// A socket of the network.
    Tcp(SocketAddr),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The path in `unix:/path` or `unix:///path`; `None` for anything else.
pub fn unix_path(text: &str) -> Option<PathBuf> {
    let path = text.strip_prefix("unix:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    path.starts_with('/').then(|| path.into())
}

/// A secret; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(pub String);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

/// TLS towards visitors.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificates; the first is shown where no other has the name.
    pub identities: Vec<Identity>,
    /// Whose certificates visitors have to show, if anybody's.
    pub clients: Option<ClientAuthorities>,
    /// The origin gets a visitor's certificate (RFC 9440).
    pub client_cert_fields: bool,
    /// The keys of session tickets; `None` for keys of the process.
    pub ticket_keys: Option<TicketKeys>,
    /// TLS 1.2 is refused.
    pub only_tls_1_3: bool,
    /// The port of https that visitors of http are sent to, where they are.
    pub redirect: Option<u16>,
    /// Certificates that are asked for, where they are.
    pub acme: Option<Acme>,
}

/// Certificates from an authority that speaks ACME (RFC 8555), which looks here whether the names are ours
/// (TLS-ALPN-01, RFC 8737).
#[derive(Debug, Clone)]
pub struct Acme {
    /// The names, for one certificate.
    pub domains: Vec<String>,
    /// Whom the authority writes to, as `mailto:`.
    pub contact: Option<String>,
    /// The URL of the authority's directory.
    pub directory: String,
    /// The folder where account and certificate are kept.
    pub cache: PathBuf,
    /// How hands are shaken with the authority.
    pub tls: UpstreamTls,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// A connection to an upstream.
    pub connect: Duration,
    /// The whole head of a request, from its first octet.
    pub request_head: Duration,
    /// The next request on a visitor's connection; also progress in either direction of one under way.
    pub idle: Duration,
    /// The first octet of a response, from the last octet of the request.
    pub first_byte: Duration,
    /// The next use of an idle connection to an upstream.
    pub upstream_idle: Duration,
    /// Requests under way after SIGTERM.
    pub drain: Duration,
    /// From SIGTERM, and from when `/readyz` says so, until no more connections are taken: balancers notice late.
    pub drain_delay: Duration,
}

/// How much to take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of a header section.
    pub header_bytes: usize,
    /// Fields of a header section.
    pub header_fields: usize,
    /// Idle connections kept to one upstream by one worker.
    pub idle_upstream_connections: usize,
    /// Visitors' connections open at a time; further ones wait to be accepted. `None` for any number.
    pub connections: Option<usize>,
    /// How often requests may be sent again.
    pub retries: Retries,
}

/// What to write down.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// A line for each request.
    pub access: bool,
    /// The form of the lines.
    pub format: LogFormat,
    /// The form of the lines for requests, where it is another one.
    pub access_format: AccessFormat,
    /// What is said of visitors' addresses.
    pub visitor_address: VisitorAddress,
    /// The least important level that is written.
    pub level: LogLevel,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The form of a line for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// As the other lines.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
    /// The Combined Log Format of Apache httpd, for tools that know that.
    Combined,
}

/// What is said of visitors' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VisitorAddress {
    /// Nothing.
    None,
    /// The network: the first 24 bits, of IPv6 the first 48.
    Network,
    /// Everything.
    Full,
}

/// The importance of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// An operator must act.
    Error,
    /// Degraded.
    Warn,
    /// Start, stop, reload.
    Info,
    /// Each request; names of cookies.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word in config and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// Hosts, where they are served, and what may pass.
#[derive(Debug)]
pub struct Site {
    /// The name in logs and metrics.
    pub name: String,
    /// The hosts, lower-case.
    pub hosts: Vec<HostPattern>,
    /// What the paths begin with that it serves of these hosts, whole segments; `/` for all.
    pub paths: Vec<String>,
    /// The upstreams, and which request goes to which.
    pub balance: Balance,
    /// How much to take.
    pub limits: SiteLimits,
    /// How hands are shaken with those that speak TLS.
    pub upstream_tls: Option<UpstreamTls>,
    /// What may pass.
    pub filter: FilterSettings,
    /// Its own pages.
    pub centre: Centre,
    /// What is changed in the origin's pages.
    pub page: Page,
}

/// Which hosts a site serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: every host that no other site serves.
    Any,
    /// `*.example.com`: every name below it; held as `.example.com`.
    Below(String),
    /// One name or address.
    Exact(String),
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Exact(host) => f.write_str(host),
        }
    }
}

/// What may pass, for one site.
#[derive(Debug, Clone)]
pub struct FilterSettings {
    /// Change the traffic, or only say what would be changed.
    pub mode: Mode,
    /// What cookies and beacons are.
    pub policy: Arc<Policy>,
    /// What visitors allowed.
    pub reader: Arc<ConsentReader>,
    /// Deletion of cookies without consent.
    pub expire: Expire,
    /// What happens to responses that look like beacons no rule knows.
    pub detect: Detect,
    /// Whether pixels in e-mails are forwarded, whatever the consent.
    pub email_opens: bool,
    /// The categories of tracking technologies other than cookies.
    pub technologies: Technologies,
    /// The request field that tells the origin what was granted; the visitor's own is removed.
    pub forward_header: Option<HeaderName>,
    /// The other sites that share its visitors' cookies, if there are any.
    pub siblings: Option<SiblingSites>,
    /// Cookies of a request; with more it is rejected unread.
    pub max_cookies: usize,
}

/// Change the traffic, or only say what would be changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Strip, block and expire.
    Enforce,
    /// Change nothing, and report what `enforce` would do.
    Observe,
}

impl Mode {
    /// The word in config, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// Deletion of cookies without consent that a visitor's browser still sends.
#[derive(Debug, Clone, Copy)]
pub struct Expire {
    /// Whether to do it.
    pub enabled: bool,
    /// The most deleting `Set-Cookie` lines in one response.
    pub max_per_response: usize,
}

/// What happens to responses that look like beacons no rule knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detect {
    /// Nothing.
    Off,
    /// They are noted in the inventory.
    Report,
    /// They are noted, and answered in the origin's stead.
    Block,
}
