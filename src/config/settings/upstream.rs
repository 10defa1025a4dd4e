//! Where a site's requests go, which of them where, and how many.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Where requests are forwarded to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// A socket of the network.
    Tcp {
        /// What is spoken there.
        scheme: Scheme,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A socket of this machine, where HTTP/1.1 is spoken.
    Unix(PathBuf),
}

/// What is spoken with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS, and in it HTTP/2 where the upstream takes it (ALPN, RFC 7301), else HTTP/1.1.
    Https,
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113 section 3.3).
    H2c,
}

impl Upstream {
    /// Host and port, as in a URL.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { scheme: Scheme::Https, .. })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Tcp { scheme: Scheme::Http, .. } => "http",
            Self::Tcp { scheme: Scheme::Https, .. } => "https",
            Self::Tcp { scheme: Scheme::H2c, .. } => "h2c",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// An upstream, and its share of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedUpstream {
    /// Where it is.
    pub address: Upstream,
    /// Its share, beside those of the others; at least 1.
    pub weight: u32,
}

/// Which upstream gets which request.
#[derive(Debug, Clone)]
pub struct Balance {
    /// The upstreams; at least one.
    pub upstreams: Vec<WeightedUpstream>,
    /// How the next one is chosen.
    pub method: BalanceMethod,
    /// The cookie that keeps a visitor at one upstream, where they are kept.
    pub sticky_cookie: Option<String>,
    /// How upstreams are asked whether they are well, where they are.
    pub health: Option<HealthCheck>,
}

/// How the next upstream is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceMethod {
    /// One after the other, by weight.
    RoundRobin,
    /// The one with the fewest requests under way, by weight.
    LeastConnections,
}

/// How an upstream is asked whether it is well.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    /// The path of the request.
    pub path: String,
    /// From one question to the next.
    pub interval: Duration,
    /// How long to wait for the answer.
    pub timeout: Duration,
    /// Good answers in a row until it gets requests again.
    pub healthy_after: u32,
    /// Bad answers in a row until it gets no more.
    pub unhealthy_after: u32,
}

/// How much a site takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteLimits {
    /// Octets of a request's body; `None` for any number.
    pub body_bytes: Option<u64>,
    /// Requests under way at a time; `None` for any number.
    pub concurrent_requests: Option<usize>,
    /// Requests that may wait for their turn.
    pub queue: usize,
    /// How long they may wait.
    pub queue_timeout: Duration,
    /// Requests a second of one visitor's address (of its /64, with IPv6); `None` for any number.
    pub requests_per_second: Option<NonZeroU32>,
    /// How many may come at once after a pause.
    pub burst: NonZeroU32,
}

/// How often requests may be sent again: an upstream in trouble must not get more requests than there are.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Of a hundred requests.
    pub percent: u32,
    /// In ten seconds, whatever the number of requests.
    pub least: u32,
}
