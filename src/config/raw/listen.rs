//! Sockets, TLS, timeouts, limits, the log.

use crate::config::settings::{AccessFormat, LogFormat, LogLevel, VisitorAddress};
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// Where to listen, and whom to believe.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawListen {
    /// Where visitors connect without TLS; `"off"` where there is https. Default: `"0.0.0.0:8080"`.
    pub(in crate::config) http: Option<Text>,
    /// Where visitors connect with TLS; it needs a certificate in `tls.certificates`. Default: nowhere.
    pub(in crate::config) https: Option<Text>,
    /// Where metrics and health are served: an address, `unix:/path`, or `"off"`. Default: `"127.0.0.1:9090"`.
    pub(in crate::config) admin: Option<Text>,
    /// A file whose first line is what who asks there has to show, as a bearer token or as a password. `/livez` and `/readyz` stay open. Default: none.
    pub(in crate::config) admin_token_file: Option<Text>,
    /// Names under which the admin listener is reached, such as `"consentry.monitoring.svc"`, besides IP addresses and `localhost`. Requests for other names get 403, unless there is a token. Default: none.
    pub(in crate::config) admin_hosts: Vec<Text>,
    /// Other processes may listen on the same addresses: the next version, before this one ends. Default: `false`.
    pub(in crate::config) reuse_port: Option<bool>,
    /// Connections begin with the PROXY protocol (1 or 2); of `trusted_proxies` only, where there are any. Default: `false`.
    pub(in crate::config) proxy_protocol: Option<bool>,
    /// Addresses and networks whose `Forwarded` and `X-Forwarded-*` are believed, such as `"10.0.0.0/8"`. Default: none.
    pub(in crate::config) trusted_proxies: Vec<Text>,
}

/// TLS towards visitors.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTls {
    /// Certificates with their keys, such as `[{ cert = "site.pem", key = "site.key" }]`. Default: none.
    pub(in crate::config) certificates: Vec<Spanned<RawCertificate>>,
    /// The oldest version of TLS. Default: `"1.2"`.
    pub(in crate::config) min_version: Option<RawTlsVersion>,
    /// A file of authorities: visitors have to show a certificate of theirs. Default: nobody has to.
    pub(in crate::config) client_ca: Option<Text>,
    /// Whether visitors without a certificate are refused. Default: `"required"`.
    pub(in crate::config) client_auth: Option<RawClientAuth>,
    /// The origin gets a visitor's certificate and its chain in `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Default: `false`.
    pub(in crate::config) client_cert_fields: Option<bool>,
    /// A file with the keys that encrypt session tickets, the same on every replica, so that sessions are resumed on any of them: 1 to 8 lines of at least 32 printable ASCII characters, as in `consent.key_file`. The first encrypts, all of them decrypt. Default: keys of this process, which rotate.
    pub(in crate::config) ticket_key_file: Option<Text>,
    /// Visitors of http are sent to https. Default: `false`.
    pub(in crate::config) redirect: Option<bool>,
    /// The port of https as visitors see it. Default: `443`.
    pub(in crate::config) redirect_port: Option<Spanned<u32>>,
    /// Certificates from an authority such as Let's Encrypt. Default: none are asked for.
    pub(in crate::config) acme: Option<Spanned<RawAcme>>,
}

/// Certificates from an authority that speaks ACME. It looks at port 443 of each name (TLS-ALPN-01), so
/// `listen.https` has to be reached there.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawAcme {
    /// The names, such as `["shop.example", "www.shop.example"]`; no wildcards.
    pub(in crate::config) domains: Option<Spanned<Vec<Text>>>,
    /// Whom the authority writes to, such as `"ops@shop.example"`. Default: nobody.
    pub(in crate::config) contact: Option<Text>,
    /// The URL of its directory; asking there agrees to its terms. Default: Let's Encrypt's.
    pub(in crate::config) directory: Option<Text>,
    /// The folder where account, keys and certificates are kept. Default: `"acme"`.
    pub(in crate::config) cache: Option<Text>,
    /// Whom to trust as the authority's server. Default: the authorities of the public web.
    pub(in crate::config) ca_file: Option<Text>,
}

/// How upstreams with `https://` are spoken to.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawUpstreamTls {
    /// A file of authorities to trust. Default: those of the public web.
    pub(in crate::config) ca_file: Option<Text>,
    /// What is shown to upstreams that ask for a certificate. Default: nothing.
    pub(in crate::config) client_cert: Option<Text>,
    /// The key of `client_cert`.
    pub(in crate::config) client_key: Option<Text>,
    /// The name that is asked for, and that the certificate has to have. Default: the URL's host.
    pub(in crate::config) server_name: Option<Text>,
    /// Any certificate is taken: whoever is between reads and changes everything. Default: `false`.
    pub(in crate::config) insecure_skip_verify: Option<bool>,
    /// HTTP/2 is spoken with upstreams that take it. Default: `true`.
    pub(in crate::config) http2: Option<bool>,
}

/// A certificate.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCertificate {
    /// A PEM file: the certificate, and those between it and the authority.
    pub(in crate::config) cert: Option<Text>,
    /// A PEM file: its private key.
    pub(in crate::config) key: Option<Text>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
pub(in crate::config) enum RawTlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Whether visitors have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawClientAuth {
    Required,
    Optional,
}

/// How long to wait for what.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTimeouts {
    /// A connection to an upstream. Default: `"5s"`.
    pub(in crate::config) connect: Option<Text>,
    /// The whole head of a request. Default: `"10s"`.
    pub(in crate::config) request_head: Option<Text>,
    /// The next request; a visitor who neither sends nor takes. Default: `"75s"`.
    pub(in crate::config) idle: Option<Text>,
    /// The head of the upstream's response. Default: `"60s"`.
    pub(in crate::config) first_byte: Option<Text>,
    /// An unused connection to an upstream; keep it below the upstream's own. Default: `"30s"`.
    pub(in crate::config) upstream_idle: Option<Text>,
    /// Requests under way after SIGTERM. Default: `"30s"`.
    pub(in crate::config) drain: Option<Text>,
    /// From SIGTERM until no more connections are taken: readiness fails first. Default: `"0s"`.
    pub(in crate::config) drain_delay: Option<Text>,
}

/// How much to take.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawLimits {
    /// Octets of a header section; a larger one gets 431. Default: `65536`.
    pub(in crate::config) header_bytes: Option<Spanned<u32>>,
    /// Fields of a header section, those of cookies as one; more get 431. Default: `128`.
    pub(in crate::config) header_fields: Option<Spanned<u32>>,
    /// Cookies of a request; more get 431. Browsers send at most 360 to a site. Default: `400`.
    pub(in crate::config) cookies: Option<Spanned<u32>>,
    /// Idle connections kept to each upstream by each worker. Default: `1024`.
    pub(in crate::config) idle_upstream_connections: Option<Spanned<u32>>,
    /// Visitors' connections at a time; further ones wait to be accepted. Default: any number.
    pub(in crate::config) connections: Option<Spanned<u32>>,
    /// Octets of a request's body; a larger one gets 413. Default: any number.
    pub(in crate::config) body_bytes: Option<Spanned<u64>>,
    /// Requests under way at a time. Default: any number.
    pub(in crate::config) concurrent_requests: Option<Spanned<u32>>,
    /// Requests that may wait for their turn; further ones get 503. Default: `0`.
    pub(in crate::config) queue: Option<Spanned<u32>>,
    /// How long they may wait. Default: `"5s"`.
    pub(in crate::config) queue_timeout: Option<Text>,
    /// Requests a second of one visitor's address (of its /64, with IPv6); further ones get 429. Default: any number.
    pub(in crate::config) requests_per_second: Option<Spanned<u32>>,
    /// How many may come at once after a pause. Default: as many as a second allows.
    pub(in crate::config) burst: Option<Spanned<u32>>,
}

impl RawLimits {
    /// What holds for every site that does not say otherwise.
    pub(in crate::config) fn of_sites(&self) -> RawSiteLimits {
        RawSiteLimits {
            body_bytes: self.body_bytes.clone(),
            concurrent_requests: self.concurrent_requests.clone(),
            queue: self.queue.clone(),
            queue_timeout: self.queue_timeout.clone(),
            requests_per_second: self.requests_per_second.clone(),
            burst: self.burst.clone(),
        }
    }
}

/// How often requests may be sent again: as often as the larger of the two allows.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawRetries {
    /// Of a hundred requests. Default: `20`.
    pub(in crate::config) percent: Option<Spanned<u32>>,
    /// In ten seconds, by each worker. Default: `10`.
    pub(in crate::config) least: Option<Spanned<u32>>,
}

/// What to write down.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawLog {
    /// A line for each request, on standard output. Default: `true`.
    pub(in crate::config) access: Option<bool>,
    /// The form of the lines; `auto` is `text` on a terminal, else `json`. Default: `"auto"`.
    pub(in crate::config) format: Option<LogFormat>,
    /// The form of the lines for requests; `auto` is that of `format`. Default: `"auto"`.
    pub(in crate::config) access_format: Option<AccessFormat>,
    /// What the lines for requests say of visitors' addresses: nothing, the network (24 bits, of IPv6 48), everything. Default: `"none"`.
    pub(in crate::config) visitor_address: Option<VisitorAddress>,
    /// The least important of the other lines, on standard error. Default: `"info"`.
    pub(in crate::config) level: Option<LogLevel>,
}

/// How much a site takes. Default: as in `limits` at the top.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawSiteLimits {
    /// Octets of a request's body; a larger one gets 413. Default: any number.
    pub(in crate::config) body_bytes: Option<Spanned<u64>>,
    /// Requests under way at a time. Default: any number.
    pub(in crate::config) concurrent_requests: Option<Spanned<u32>>,
    /// Requests that may wait for their turn; further ones get 503. Default: `0`.
    pub(in crate::config) queue: Option<Spanned<u32>>,
    /// How long they may wait. Default: `"5s"`.
    pub(in crate::config) queue_timeout: Option<Text>,
    /// Requests a second of one visitor's address (of its /64, with IPv6); further ones get 429. Default: any number.
    pub(in crate::config) requests_per_second: Option<Spanned<u32>>,
    /// How many may come at once after a pause. Default: as many as a second allows.
    pub(in crate::config) burst: Option<Spanned<u32>>,
}
