//! Sockets, TLS, timeouts, limits, the log.

use crate::config::settings::{AccessFormat, LogFormat, LogLevel, LoggedAddress};
use crate::config::spanned::Spanned;

type Text = Spanned<String>;

/// Listen addresses and trusted proxies.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawListen {
    /// Listen address for HTTP without TLS. `"off"` disables it and requires `https`. Default: `"0.0.0.0:8080"`.
    pub(in crate::config) http: Option<Text>,
    /// Listen address for HTTPS. Requires a certificate from `tls.certificates` or `tls.acme`. Default: none.
    pub(in crate::config) https: Option<Text>,
    /// Listen address for metrics, health checks and the dashboard: an address, `unix:/path`, or `"off"`. Default: `"127.0.0.1:9090"`.
    pub(in crate::config) admin: Option<Text>,
    /// File whose first line is the admin token (bearer, or Basic password), of 16 or more visible ASCII characters. `/livez` and `/readyz` need no token. Default: none.
    pub(in crate::config) admin_token_file: Option<Text>,
    /// Host names of the admin listener besides IP addresses and `localhost`, such as `"consentry.monitoring.svc"`. Without a token, requests for other host names get 403. Default: none.
    pub(in crate::config) admin_hosts: Vec<Text>,
    /// Allow other processes to listen on the same addresses, so that the next version can start before this one exits. Default: `false`.
    pub(in crate::config) reuse_port: Option<bool>,
    /// Require the PROXY protocol (version 1 or 2) on every connection. If `trusted_proxies` is set, connections from other addresses are rejected. Default: `false`.
    pub(in crate::config) proxy_protocol: Option<bool>,
    /// Addresses and networks whose `Forwarded` and `X-Forwarded-*` fields are trusted, such as `"10.0.0.0/8"`. Default: none.
    pub(in crate::config) trusted_proxies: Vec<Text>,
}

/// TLS for client connections.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTls {
    /// Certificates with their keys, such as `[{ cert = "site.pem", key = "site.key" }]`. Default: none.
    pub(in crate::config) certificates: Vec<Spanned<RawCertificate>>,
    /// Minimum TLS version. Default: `"1.2"`.
    pub(in crate::config) min_version: Option<RawTlsVersion>,
    /// CA bundle to verify client certificates (mTLS). Default: none, client certificates are not requested.
    pub(in crate::config) client_ca: Option<Text>,
    /// Clients without a certificate: `required` rejects them, `optional` accepts them. Default: `"required"`.
    pub(in crate::config) client_auth: Option<RawClientAuth>,
    /// Forward the client certificate and its chain to the upstream in `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Default: `false`.
    pub(in crate::config) client_cert_fields: Option<bool>,
    /// File with the keys that encrypt TLS session tickets: 1 to 8 lines of at least 32 printable ASCII characters, as in `consent.key_file`. The first key encrypts, all of them decrypt. Use the same file on every replica, so that each can resume every session. Default: keys of this process, rotated automatically.
    pub(in crate::config) ticket_key_file: Option<Text>,
    /// Redirect HTTP to HTTPS. Default: `false`.
    pub(in crate::config) redirect: Option<bool>,
    /// Public HTTPS port, used in redirects. Default: `443`.
    pub(in crate::config) redirect_port: Option<Spanned<u32>>,
    /// Certificates from an ACME CA such as Let's Encrypt. Default: disabled.
    pub(in crate::config) acme: Option<Spanned<RawAcme>>,
}

/// Certificates from an ACME CA. The CA validates each name on port 443 (TLS-ALPN-01), so `listen.https` must be
/// reachable there.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawAcme {
    /// DNS names to request certificates for, such as `["shop.example", "www.shop.example"]`, without wildcards. Required.
    pub(in crate::config) domains: Option<Spanned<Vec<Text>>>,
    /// Contact e-mail address for the CA, such as `"ops@shop.example"`. Default: none.
    pub(in crate::config) contact: Option<Text>,
    /// URL of the ACME directory. Requesting a certificate there accepts the CA's terms of service. Default: the directory of Let's Encrypt.
    pub(in crate::config) directory: Option<Text>,
    /// Folder for the ACME account, keys and certificates. Default: `"acme"`.
    pub(in crate::config) cache: Option<Text>,
    /// CA bundle to verify the ACME server. Default: the public root CAs.
    pub(in crate::config) ca_file: Option<Text>,
}

/// TLS for upstreams with `https://`.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawUpstreamTls {
    /// CA bundle to verify upstream certificates. Default: the public root CAs.
    pub(in crate::config) ca_file: Option<Text>,
    /// Client certificate (mTLS) for upstreams that request one, a PEM file. Default: none.
    pub(in crate::config) client_cert: Option<Text>,
    /// Private key of `client_cert`, a PEM file.
    pub(in crate::config) client_key: Option<Text>,
    /// Server name for SNI; the upstream certificate must match it. Default: the host in the URL.
    pub(in crate::config) server_name: Option<Text>,
    /// Skip certificate verification. Allows man-in-the-middle attacks. Default: `false`.
    pub(in crate::config) insecure_skip_verify: Option<bool>,
    /// Use HTTP/2 with upstreams that support it (ALPN). Default: `true`.
    pub(in crate::config) http2: Option<bool>,
}

/// Certificate and private key.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawCertificate {
    /// PEM file with the certificate and its intermediate certificates.
    pub(in crate::config) cert: Option<Text>,
    /// PEM file with the private key.
    pub(in crate::config) key: Option<Text>,
}

/// TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
pub(in crate::config) enum RawTlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Client certificate policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawClientAuth {
    Required,
    Optional,
}

/// Timeouts.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTimeouts {
    /// Time limit for opening an upstream connection: DNS lookup, TCP connect and TLS handshake. Default: `"5s"`.
    pub(in crate::config) connect: Option<Text>,
    /// Time limit for receiving a complete request head. Default: `"10s"`.
    pub(in crate::config) request_head: Option<Text>,
    /// Idle timeout of a client connection: no new request, or no data sent or received. Default: `"75s"`.
    pub(in crate::config) idle: Option<Text>,
    /// Time limit for the upstream's response head. Default: `"60s"`.
    pub(in crate::config) first_byte: Option<Text>,
    /// Idle timeout of an upstream connection; keep it below the upstream's own idle timeout. Default: `"30s"`.
    pub(in crate::config) upstream_idle: Option<Text>,
    /// Time limit for requests in flight after SIGTERM. Default: `"30s"`.
    pub(in crate::config) drain: Option<Text>,
    /// Delay between SIGTERM and the end of accepting connections; readiness fails during this time. Default: `"0s"`.
    pub(in crate::config) drain_delay: Option<Text>,
}

/// Limits.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawLimits {
    /// Maximum size of a header section, in bytes; larger ones get 431. Default: `65536`.
    pub(in crate::config) header_bytes: Option<Spanned<u32>>,
    /// Maximum number of fields in a header section; all `Cookie` fields count as one. More get 431. Default: `128`.
    pub(in crate::config) header_fields: Option<Spanned<u32>>,
    /// Maximum number of cookies in a request; more get 431. Browsers send at most 360 to a site. Default: `400`.
    pub(in crate::config) cookies: Option<Spanned<u32>>,
    /// Maximum number of idle connections to each upstream, per worker. Default: `1024`.
    pub(in crate::config) idle_upstream_connections: Option<Spanned<u32>>,
    /// Maximum number of concurrent client connections; further ones wait to be accepted. Default: unlimited.
    pub(in crate::config) connections: Option<Spanned<u32>>,
    /// Maximum size of a request body, in bytes; larger ones get 413. Default: unlimited.
    pub(in crate::config) body_bytes: Option<Spanned<u64>>,
    /// Maximum number of requests in flight on each site. Default: unlimited.
    pub(in crate::config) concurrent_requests: Option<Spanned<u32>>,
    /// Maximum number of queued requests on each site when `concurrent_requests` is reached; further ones get 503. Default: `0`.
    pub(in crate::config) queue: Option<Spanned<u32>>,
    /// Maximum time a request waits in the queue; then it gets 503. Default: `"5s"`.
    pub(in crate::config) queue_timeout: Option<Text>,
    /// Rate limit for each client address (each /64 for IPv6), in requests per second; further ones get 429. Default: unlimited.
    pub(in crate::config) requests_per_second: Option<Spanned<u32>>,
    /// Burst size of `requests_per_second`: requests accepted at once after a pause. Default: the value of `requests_per_second`.
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

/// Retry budget: each worker may retry up to the larger of `percent` and `least` within ten seconds.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawRetries {
    /// Retries allowed, in percent of the requests. Default: `20`.
    pub(in crate::config) percent: Option<Spanned<u32>>,
    /// Retries always allowed, for each worker within ten seconds. Default: `10`.
    pub(in crate::config) least: Option<Spanned<u32>>,
}

/// Logging.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawLog {
    /// Access log: one line per request on standard output. Default: `true`.
    pub(in crate::config) access: Option<bool>,
    /// Log format. `auto` is `text` on a terminal, otherwise `json`. Default: `"auto"`.
    pub(in crate::config) format: Option<LogFormat>,
    /// Access log format. `auto` is the value of `format`; `combined` is the Combined Log Format of Apache httpd. Default: `"auto"`.
    pub(in crate::config) access_format: Option<AccessFormat>,
    /// Client address in the access log: `none`, `network` (the first 24 bits, for IPv6 48), or `full`. Default: `"none"`.
    pub(in crate::config) visitor_address: Option<LoggedAddress>,
    /// Minimum level of the log on standard error. Does not apply to the access log. Default: `"info"`.
    pub(in crate::config) level: Option<LogLevel>,
}

/// Limits of a site. Default: the values in the top-level `[limits]`.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawSiteLimits {
    /// Maximum size of a request body, in bytes; larger ones get 413. Default: the value in `[limits]`.
    pub(in crate::config) body_bytes: Option<Spanned<u64>>,
    /// Maximum number of requests in flight. Default: the value in `[limits]`.
    pub(in crate::config) concurrent_requests: Option<Spanned<u32>>,
    /// Maximum number of queued requests when `concurrent_requests` is reached; further ones get 503. Default: the value in `[limits]`.
    pub(in crate::config) queue: Option<Spanned<u32>>,
    /// Maximum time a request waits in the queue; then it gets 503. Default: the value in `[limits]`.
    pub(in crate::config) queue_timeout: Option<Text>,
    /// Rate limit for each client address (each /64 for IPv6), in requests per second; further ones get 429. Default: the value in `[limits]`.
    pub(in crate::config) requests_per_second: Option<Spanned<u32>>,
    /// Burst size of `requests_per_second`: requests accepted at once after a pause. Default: the value in `[limits]`.
    pub(in crate::config) burst: Option<Spanned<u32>>,
}
