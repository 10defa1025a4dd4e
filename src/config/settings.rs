//! Settings: the plain, validated values from which the other modules are built.

mod lifetime_caps;
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
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WatchedFile;
use super::diagnostic::Diagnostic;
use crate::catalogue::ListLines;
use crate::consent::ConsentReader;
pub use crate::http::ForwardedFor;
use crate::locale::Locales;
use crate::policy::Policy;
use crate::tls::{ClientAuthorities, Identity, TicketKeys, UpstreamTls};
pub use lifetime_caps::LifetimeCaps;
pub use pages::{
    BannerSettings, CentreSettings, Colours, Contact, Durability, OnWithdrawal, PageSettings,
    Position, ReceiptSettings, ReceiptStore, SiteOperator,
};
pub(in crate::config) use siblings::{Families, Family, Owner, Sites, family_of};
pub use siblings::{SiblingNeeds, SiblingSites};
pub use technologies::{AlternativeServices, Technologies, Technology};
pub use upstream::{
    Balance, BalanceMethod, HealthCheck, Retries, Scheme, SiteLimits, Upstream, WeightedUpstream,
};

/// The settings of a process.
#[derive(Debug)]
pub struct Config {
    /// Listen addresses and trusted proxies.
    pub listen: Listen,
    /// TLS for clients, if HTTPS is enabled.
    pub tls: Option<Tls>,
    /// Number of worker threads. `None` for one per core.
    pub workers: Option<usize>,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits.
    pub limits: Limits,
    /// Logging.
    pub log: Log,
    /// Receipts, if enabled.
    pub receipts: Option<ReceiptSettings>,
    /// The languages of error pages for requests without a site.
    pub locales: Arc<Locales>,
    /// The filter lists and the number of their lines.
    pub filter_lists: Vec<FilterListSummary>,
    /// The sites, in the order of the config.
    pub sites: Vec<SiteConfig>,
    /// The files and directories that the config was read from.
    pub files: Vec<WatchedFile>,
    /// Settings that are valid but probably wrong.
    pub warnings: Vec<Diagnostic>,
}

/// A filter list and the number of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterListSummary {
    /// The file, as written in the config.
    pub file: String,
    /// The number of its lines, by effect.
    pub lines: ListLines,
}

/// The filters of a config, for a server that uses the tower layer.
#[derive(Debug)]
pub struct FilterConfig {
    /// The sites, in the order of the config; one for a config without `[[site]]`.
    pub sites: Vec<FilterSite>,
    /// The files and folders that the config was read from.
    pub files: Vec<WatchedFile>,
    /// Settings that are valid but probably wrong.
    pub warnings: Vec<Diagnostic>,
}

/// A site's filter, and the hosts and paths that it applies to.
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
    /// The settings of the only site. `None` if there are several.
    pub fn single(mut self) -> Option<FilterSettings> {
        let site = self.sites.pop()?;
        self.sites.is_empty().then_some(site.filter)
    }
}

impl From<Config> for FilterConfig {
    fn from(config: Config) -> Self {
        let Config { sites, files, warnings, .. } = config;
        let site = |SiteConfig { name, hosts, paths, filter, .. }| FilterSite {
            name,
            hosts,
            paths,
            filter,
        };
        Self { sites: sites.into_iter().map(site).collect(), files, warnings }
    }
}

/// Listen addresses and trusted proxies.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address for HTTP without TLS. `None` to disable.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS. `None` to disable.
    pub https: Option<SocketAddr>,
    /// Address for metrics and health. `None` to disable.
    pub admin: Option<AdminAddress>,
    /// Names of the admin listener besides IP addresses and `localhost`, in lower case.
    pub admin_hosts: Vec<String>,
    /// Token required by the admin listener, except for health checks.
    pub admin_token: Option<AdminToken>,
    /// Whether to set `SO_REUSEPORT`, so that the next version can listen on the same addresses before this one
    /// ends.
    pub reuse_port: bool,
    /// Whether client connections start with the PROXY protocol. If `trusted_proxies` is set, only theirs do.
    pub proxy_protocol: bool,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are trusted.
    pub trusted_proxies: Vec<IpNet>,
}

/// The address of the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket path.
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

/// A secret. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(pub String);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

/// TLS for clients.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificates. The first one is the default if no other has the requested name.
    pub identities: Vec<Identity>,
    /// The CA certificates for client certificates, if these are required or optional.
    pub clients: Option<ClientAuthorities>,
    /// Whether the upstream receives the client certificate (RFC 9440).
    pub client_cert_fields: bool,
    /// Session ticket keys. `None` for random keys of the process.
    pub ticket_keys: Option<TicketKeys>,
    /// Whether TLS 1.2 is rejected.
    pub only_tls_1_3: bool,
    /// The HTTPS port to redirect HTTP requests to, if the redirect is enabled.
    pub redirect: Option<u16>,
    /// ACME certificates, if enabled.
    pub acme: Option<Acme>,
}

/// ACME settings (RFC 8555). The authority validates the names over TLS (TLS-ALPN-01, RFC 8737).
#[derive(Debug, Clone)]
pub struct Acme {
    /// The names of the certificate.
    pub domains: Vec<String>,
    /// The contact address for the authority, as `mailto:`.
    pub contact: Option<String>,
    /// The directory URL of the authority.
    pub directory: String,
    /// The directory for the account and the certificate.
    pub cache: PathBuf,
    /// TLS settings for connections to the authority.
    pub tls: UpstreamTls,
}

/// Timeouts.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Connecting to an upstream.
    pub connect: Duration,
    /// Receiving the whole request head, from its first byte.
    pub request_head: Duration,
    /// Waiting for the next request on a client connection. Also waiting for progress of an in-flight request in
    /// either direction.
    pub idle: Duration,
    /// Waiting for the first byte of a response, from the last byte of the request.
    pub first_byte: Duration,
    /// Keeping an idle upstream connection.
    pub upstream_idle: Duration,
    /// Finishing in-flight requests after SIGTERM.
    pub drain: Duration,
    /// Accepting connections after SIGTERM while `/readyz` already fails, since load balancers notice with a delay.
    pub drain_delay: Duration,
}

/// Limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes in a header section.
    pub header_bytes: usize,
    /// Fields in a header section.
    pub header_fields: usize,
    /// Idle connections per upstream and worker.
    pub idle_upstream_connections: usize,
    /// Open client connections. Further ones wait to be accepted. `None` for no limit.
    pub connections: Option<usize>,
    /// The retry budget.
    pub retries: Retries,
}

/// Logging.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Log {
    /// Access log: one line per request on standard output.
    pub access: bool,
    /// Log format. `auto` is `text` on a terminal, otherwise `json`.
    pub format: LogFormat,
    /// Access log format. `auto` is the value of `format`; `combined` is the Combined Log Format of Apache httpd.
    pub access_format: AccessFormat,
    /// Client address in the access log: `none`, `network` (the first 24 bits, for IPv6 48), or `full`.
    pub visitor_address: LoggedAddress,
    /// Minimum level of the log on standard error. Does not apply to the access log.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: true,
            format: LogFormat::Auto,
            access_format: AccessFormat::Auto,
            visitor_address: LoggedAddress::None,
            level: LogLevel::Info,
        }
    }
}

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Access log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// The same format as other log lines.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
    /// The Combined Log Format of Apache httpd, for tools that know that.
    Combined,
}

/// How much of a client address is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoggedAddress {
    /// Nothing.
    None,
    /// The network: the first 24 bits, of IPv6 the first 48.
    Network,
    /// Everything.
    Full,
}

/// Log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Errors that need an operator.
    Error,
    /// Degraded operation.
    Warn,
    /// Start, shutdown, reload.
    Info,
    /// Each request, with cookie names.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Every level, from the most severe.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The name in config and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level of a name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// A site: hosts, paths, upstreams and filter.
#[derive(Debug)]
pub struct SiteConfig {
    /// The name in logs and metrics.
    pub name: String,
    /// The hosts, in lower case.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes, in whole segments. `/` matches every path.
    pub paths: Vec<String>,
    /// The upstreams and their load balancing.
    pub balance: Balance,
    /// Limits.
    pub limits: SiteLimits,
    /// TLS settings for the upstreams that use TLS.
    pub upstream_tls: Option<UpstreamTls>,
    /// The client address in the forwarding fields for upstreams.
    pub forwarded_for: ForwardedFor,
    /// The filter settings.
    pub filter: FilterSettings,
    /// consentry's own pages on the site.
    pub centre: CentreSettings,
    /// HTML rewriting of the origin's pages.
    pub page: PageSettings,
}

/// A host pattern of a site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: every host without another site.
    Any,
    /// `*.example.com`: every name below it. Stored as `.example.com`.
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

/// The filter settings of a site.
#[derive(Debug, Clone)]
pub struct FilterSettings {
    /// Whether to change requests and responses, or only to report.
    pub mode: Mode,
    /// The handling of query parameters that identify a visitor without consent.
    pub url_identifiers: UrlIdentifiers,
    /// The classification of cookies and beacons.
    pub policy: Arc<Policy>,
    /// Reads the visitor's consent.
    pub reader: Arc<ConsentReader>,
    /// The longest lifetimes of cookies.
    pub max_cookie_lifetime: LifetimeCaps,
    /// Deletion of cookies without consent.
    pub expire: Expire,
    /// The handling of responses that look like beacons without a rule.
    pub detect: Detect,
    /// Whether e-mail open pixels are forwarded without consent.
    pub email_opens: bool,
    /// The categories of tracking technologies other than cookies.
    pub technologies: Technologies,
    /// The request field that forwards the granted categories to the origin. The same field sent by the client is
    /// removed.
    pub forward_header: Option<HeaderName>,
    /// The other sites that share the site's cookies, if any.
    pub siblings: Option<SiblingSites>,
    /// Maximum number of cookies in a request. A request with more is rejected unparsed.
    pub max_cookies: usize,
}

/// Change the traffic, or only report what would change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Strip, block and expire.
    Enforce,
    /// Change nothing, and report what `enforce` would do.
    Observe,
}

impl Mode {
    /// The name in config, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// Handling of query parameters that identify a person, a click or a session, without consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UrlIdentifiers {
    /// Remove them from the request to the upstream.
    Strip,
    /// Redirect page loads to the URL without them. Remove them from other requests.
    Redirect,
    /// Nothing.
    Off,
}

impl UrlIdentifiers {
    /// The name in config and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strip => "strip",
            Self::Redirect => "redirect",
            Self::Off => "off",
        }
    }
}

/// Deletion of cookies without consent that browsers still send.
#[derive(Debug, Clone, Copy)]
pub struct Expire {
    /// Whether deletion is enabled.
    pub enabled: bool,
    /// Maximum number of deleting `Set-Cookie` lines per response.
    pub max_per_response: usize,
}

/// Handling of responses that look like unclassified beacons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detect {
    /// Nothing.
    Off,
    /// List them in the inventory.
    Report,
    /// List them in the inventory, and block them.
    Block,
}
