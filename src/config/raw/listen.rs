//! Listeners, TLS, timeouts and limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Number, Time, seconds};
use crate::config::spanned::{Spanned, Text};

/// The ACME directory URL of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

tables! {
    /// Listen addresses and trusted proxies.
    RawListen {
        /// Listen address for HTTP without TLS. `"off"` disables it and requires `https`.
        http: Text = "0.0.0.0:8080",
        /// Listen address for HTTPS. Requires a certificate from `tls.certificates` or `tls.acme`. Default: none.
        https: Option<Text>,
        /// Listen address for metrics, health checks and the dashboard: an address, `unix:/path`, or `"off"`.
        admin: Text = "127.0.0.1:9090",
        /// File whose first line is the admin token (bearer, or Basic password), of 16 or more visible ASCII characters. `/livez` and `/readyz` need no token. Default: none.
        admin_token_file: Option<Text>,
        /// Host names of the admin listener besides IP addresses and `localhost`, such as `"consentry.monitoring.svc"`. Without a token, requests for other host names get 403.
        admin_hosts: Vec<Text>,
        /// Allow other processes to listen on the same addresses, so that the next version can start before this one exits.
        reuse_port: bool,
        /// Require the PROXY protocol (version 1 or 2) on every connection. If `trusted_proxies` is set, connections from other addresses are rejected.
        proxy_protocol: bool,
        /// Addresses and networks whose `Forwarded` and `X-Forwarded-*` fields are trusted, such as `"10.0.0.0/8"`.
        trusted_proxies: Vec<Text>,
    }

    /// TLS for client connections.
    RawTls {
        /// Certificates with their keys, such as `[{ cert = "site.pem", key = "site.key" }]`. Default: none.
        certificates: Vec<Spanned<RawCertificate>>,
        /// Minimum TLS version.
        min_version: RawTlsVersion = RawTlsVersion::Tls12,
        /// CA bundle to verify client certificates (mTLS). Default: none, client certificates are not requested.
        client_ca: Option<Text>,
        /// Clients without a certificate: `required` rejects them, `optional` accepts them.
        client_auth: RawClientAuth = RawClientAuth::Required,
        /// Forward the client certificate and its chain to the upstream in `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
        client_cert_fields: bool,
        /// File with the keys that encrypt TLS session tickets: 1 to 8 lines of at least 32 printable ASCII characters, as in `consent.key_file`. The first key encrypts, all of them decrypt. Use the same file on every replica, so that each can resume every session. Default: keys of this process, rotated automatically.
        ticket_key_file: Option<Text>,
        /// Redirect HTTP to HTTPS.
        redirect: bool,
        /// Public HTTPS port, used in redirects.
        redirect_port: Number<1, 65_535> = Number(443),
        /// Certificates from an ACME CA such as Let's Encrypt. Default: disabled.
        acme: Option<Spanned<RawAcme>>,
    }

    /// Certificates from an ACME CA. The CA validates each name on port 443 (TLS-ALPN-01), so `listen.https` must be
    /// reachable there.
    #[schemars(extend("required" = ["domains"]))]
    RawAcme {
        /// DNS names to request certificates for, such as `["shop.example", "www.shop.example"]`, without wildcards.
        domains: Vec<Text>,
        /// Contact e-mail address for the CA, such as `"ops@shop.example"`. Default: none.
        contact: Option<String>,
        /// URL of the ACME directory. Requesting a certificate there accepts the CA's terms of service.
        directory: Text = LETS_ENCRYPT,
        /// Folder for the ACME account, keys and certificates.
        cache: String = "acme",
        /// CA bundle to verify the ACME server. Default: the public root CAs.
        ca_file: Option<Text>,
    }

    /// TLS for upstreams with `https://`.
    RawUpstreamTls {
        /// CA bundle to verify upstream certificates. Default: the public root CAs.
        ca_file: Option<Text>,
        /// Client certificate (mTLS) for upstreams that request one, a PEM file. Default: none.
        client_cert: Option<Text>,
        /// Private key of `client_cert`, a PEM file.
        client_key: Option<Text>,
        /// Server name for SNI; the upstream certificate must match it. Default: the host in the URL.
        server_name: Option<Text>,
        /// Skip certificate verification. Allows man-in-the-middle attacks.
        insecure_skip_verify: bool,
        /// Use HTTP/2 with upstreams that support it (ALPN).
        http2: bool = true,
    }

    /// Certificate and private key.
    #[schemars(extend("required" = ["cert", "key"]))]
    RawCertificate {
        /// PEM file with the certificate and its intermediate certificates.
        cert: Option<Text>,
        /// PEM file with the private key.
        key: Option<Text>,
    }
}

/// TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::config) enum RawTlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Client certificate policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawClientAuth {
    Required,
    Optional,
}

tables! {
    /// Timeouts.
    RawTimeouts {
        /// Time limit for opening an upstream connection: DNS lookup, TCP connect and TLS handshake.
        connect: Time<1> = seconds(5),
        /// Time limit for receiving a complete request head.
        request_head: Time<1> = seconds(10),
        /// Idle timeout of a client connection: no new request, or no data sent or received.
        idle: Time<1> = seconds(75),
        /// Time limit for the upstream's response head.
        first_byte: Time<1> = seconds(60),
        /// Idle timeout of an upstream connection; keep it below the upstream's own idle timeout.
        upstream_idle: Time<1> = seconds(30),
        /// Time limit for requests in flight after SIGTERM.
        drain: Time<1> = seconds(30),
        /// Delay between SIGTERM and the end of accepting connections; readiness fails during this time.
        drain_delay: Time<0> = seconds(0),
    }

    /// Limits.
    RawLimits {
        /// Maximum size of a header section, in bytes; larger ones get 431.
        header_bytes: Number<8192, 1_048_576> = Number(65_536),
        /// Maximum number of fields in a header section; all `Cookie` fields count as one. More get 431.
        header_fields: Number<8, 4096> = Number(128),
        /// Maximum number of cookies in a request; more get 431. Browsers send at most 360 to a site.
        cookies: Number<50, 10_000> = Number(400),
        /// Maximum number of idle connections to each upstream, per worker.
        idle_upstream_connections: Number<0, 65_536> = Number(1024),
        /// Maximum number of concurrent client connections; further ones wait to be accepted. Default: unlimited.
        connections: Option<Number<1, 10_000_000>>,
        /// Maximum size of a request body, in bytes; larger ones get 413. Default: unlimited.
        body_bytes: Option<u64>,
        /// Maximum number of requests in flight on each site. Default: unlimited.
        concurrent_requests: Option<Number<1, 10_000_000>>,
        /// Maximum number of queued requests on each site when `concurrent_requests` is reached; further ones get 503.
        queue: Number<0, 10_000_000> = Number(0),
        /// Maximum time a request waits in the queue; then it gets 503.
        queue_timeout: Time<1> = seconds(5),
        /// Rate limit for each client address (each /64 for IPv6), in requests per second; further ones get 429. Default: unlimited.
        requests_per_second: Option<Number<1, 10_000_000>>,
        /// Burst size of `requests_per_second`: requests accepted at once after a pause. Default: the value of `requests_per_second`.
        burst: Option<Number<1, 10_000_000>>,
    }

    /// Retry budget: each worker may retry up to the larger of `percent` and `least` within ten seconds.
    RawRetries {
        /// Retries allowed, in percent of the requests.
        percent: Number<0, 100> = Number(20),
        /// Retries always allowed, for each worker within ten seconds.
        least: Number<0, 1_000_000> = Number(10),
    }

    /// Limits of a site. Default: the values in the top-level `[limits]`.
    RawSiteLimits {
        /// Maximum size of a request body, in bytes; larger ones get 413. Default: the value in `[limits]`.
        body_bytes: Option<u64>,
        /// Maximum number of requests in flight. Default: the value in `[limits]`.
        concurrent_requests: Option<Number<1, 10_000_000>>,
        /// Maximum number of queued requests when `concurrent_requests` is reached; further ones get 503. Default: the value in `[limits]`.
        queue: Option<Number<0, 10_000_000>>,
        /// Maximum time a request waits in the queue; then it gets 503. Default: the value in `[limits]`.
        queue_timeout: Option<Time<1>>,
        /// Rate limit for each client address (each /64 for IPv6), in requests per second; further ones get 429. Default: the value in `[limits]`.
        requests_per_second: Option<Number<1, 10_000_000>>,
        /// Burst size of `requests_per_second`: requests accepted at once after a pause. Default: the value in `[limits]`.
        burst: Option<Number<1, 10_000_000>>,
    }
}
