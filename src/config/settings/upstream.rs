//! Upstream addresses, load balancing, health checks and limits.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// A TCP address.
    Tcp {
        /// The protocol.
        scheme: Scheme,
        /// Host name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket path. The protocol is HTTP/1.1.
    Unix(PathBuf),
}

/// The protocol of an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS with HTTP/2 if the upstream supports it (ALPN, RFC 7301), else HTTP/1.1.
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

    /// Whether the upstream uses TLS.
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

/// An upstream and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedUpstream {
    /// The address.
    pub address: Upstream,
    /// Share of the requests relative to the other upstreams. At least 1.
    pub weight: u32,
}

/// Load balancing of a site.
#[derive(Debug, Clone)]
pub struct Balance {
    /// The upstreams. At least one.
    pub upstreams: Vec<WeightedUpstream>,
    /// The load balancing method.
    pub method: BalanceMethod,
    /// The session affinity cookie, if session affinity is enabled.
    pub sticky_cookie: Option<String>,
    /// Active health checks, if enabled.
    pub health: Option<HealthCheck>,
}

/// How the next upstream is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceMethod {
    /// One after the other, by weight.
    RoundRobin,
    /// The upstream with the fewest requests in flight, by weight.
    LeastConnections,
}

/// Settings of the active health checks.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    /// Path of the check request.
    pub path: String,
    /// Interval between two checks.
    pub interval: Duration,
    /// Time limit of a check.
    pub timeout: Duration,
    /// Consecutive successes until an unhealthy upstream is healthy again.
    pub healthy_after: u32,
    /// Consecutive failures until an upstream is unhealthy.
    pub unhealthy_after: u32,
}

/// Limits of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteLimits {
    /// Maximum bytes in a request body. `None` for no limit.
    pub body_bytes: Option<u64>,
    /// Maximum number of concurrent requests. `None` for no limit.
    pub concurrent_requests: Option<usize>,
    /// Maximum number of queued requests.
    pub queue: usize,
    /// Time limit in the queue.
    pub queue_timeout: Duration,
    /// Requests per second from one client address (from one /64 for IPv6). `None` for no limit.
    pub requests_per_second: Option<NonZeroU32>,
    /// Number of requests accepted at once after a pause.
    pub burst: NonZeroU32,
}

/// The retry budget, which keeps retries from overloading a failing upstream.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Retries per hundred requests.
    pub percent: u32,
    /// Retries per ten seconds, independent of the number of requests.
    pub least: u32,
}
