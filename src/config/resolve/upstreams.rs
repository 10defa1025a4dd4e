//! Upstreams of a site: addresses, load balancing and limits.

use std::num::NonZeroU32;

use rustls_pki_types::ServerName;

use crate::config::document::Ctx;
use crate::config::raw::{
    OneOrMany, RawHealth, RawLimits, RawSite, RawSiteLimits, RawUpstream, StringOrTable,
};
use crate::config::settings::{
    Balance, HealthCheck, Scheme, SiteLimits, Upstream, WeightedUpstream, unix_path,
};
use crate::config::spanned::Spanned;
use crate::http::Authority;

pub(super) const UPSTREAM_HINT: &str = "such as \"http://127.0.0.1:3000\", \"https://app.example\", \"h2c://127.0.0.1:50051\" or \"unix:/run/app.sock\"";

/// Resolves the upstreams of a site and their load balancing. An upstream from a flag replaces the configured ones.
pub(super) fn balance(
    document: Ctx,
    site: &Spanned<RawSite>,
    is_required: bool,
    flagged: Option<&WeightedUpstream>,
) -> Balance {
    let raw = site.get_ref();
    let upstreams = match (flagged, &raw.upstream) {
        (Some(flagged), _) => vec![flagged.clone()],
        (None, Some(listed)) => upstreams(document, listed),
        (None, None) => {
            if is_required {
                document.missing(site, "upstream", "upstream = \"http://127.0.0.1:3000\"");
            }
            Vec::new()
        }
    };
    Balance {
        upstreams,
        method: raw.balance,
        sticky_cookie: raw.sticky_cookie.as_ref().map(|name| name.0.clone()),
        health: raw.health.as_ref().map(|health| health_check(document, health)),
    }
}

fn health_check(document: Ctx, raw: &RawHealth) -> HealthCheck {
    let path = raw.path.get_ref();
    if !path.starts_with('/') || path.parse::<http::Uri>().is_err() {
        document.is_not(&raw.path, "a path", Some("such as \"/healthz\""));
    }
    HealthCheck {
        path: path.clone(),
        interval: raw.interval.0,
        timeout: raw.timeout.0,
        healthy_after: raw.healthy_after.get(),
        unhealthy_after: raw.unhealthy_after.get(),
    }
}

/// Resolves the limits of a site. Keys without a value take the top-level value.
pub(super) fn limits(own: &RawSiteLimits, all: &RawLimits) -> SiteLimits {
    let concurrent = own.concurrent_requests.or(all.concurrent_requests);
    let rate = own.requests_per_second.or(all.requests_per_second);
    let rate = rate.and_then(|rate| NonZeroU32::new(rate.get()));
    let burst = own.burst.or(all.burst).and_then(|burst| NonZeroU32::new(burst.get()));
    SiteLimits {
        body_bytes: own.body_bytes.or(all.body_bytes),
        concurrent_requests: concurrent.map(|number| number.get()),
        queue: own.queue.unwrap_or(all.queue).get(),
        queue_timeout: own.queue_timeout.unwrap_or(all.queue_timeout).0,
        requests_per_second: rate,
        burst: burst.or(rate).unwrap_or(NonZeroU32::MIN),
    }
}

fn upstreams(
    document: Ctx,
    listed: &Spanned<OneOrMany<StringOrTable<RawUpstream>>>,
) -> Vec<WeightedUpstream> {
    let OneOrMany(all) = listed.get_ref();
    if all.is_empty() {
        document.wrong(listed, "is empty", Some(UPSTREAM_HINT));
    }
    let mut found: Vec<WeightedUpstream> = Vec::new();
    for one in all {
        let RawUpstream { url, weight } = match one {
            StringOrTable::Text(url) => {
                let url = Some(Spanned::new(listed.span(), url.clone()));
                RawUpstream { url, ..RawUpstream::default() }
            }
            StringOrTable::Table(table) => table.clone(),
        };
        let Some(url) = url else {
            document.missing(listed, "url", "url = \"http://127.0.0.1:3000\"");
            continue;
        };
        let read = upstream(url.get_ref()).and_then(|address| {
            match found.iter().any(|other| other.address == address) {
                true => Err(format!("`{}` is there twice: weights give shares", url.get_ref())),
                false => Ok(address),
            }
        });
        match read {
            Ok(address) => found.push(WeightedUpstream { address, weight: weight.get() }),
            Err(message) => document.wrong(&url, message, Some(UPSTREAM_HINT)),
        }
    }
    found
}

/// Parses the URL of an upstream. The error is a message for the user.
pub(super) fn upstream(url: &str) -> Result<Upstream, String> {
    if url.starts_with("unix:") {
        let relative = || format!("`{url}`: the path of a socket begins with `/`");
        return unix_path(url).map(Upstream::Unix).ok_or_else(relative);
    }
    let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some("h2c") => Scheme::H2c,
        _ => {
            return Err(format!(
                "`{url}` does not start with `http://`, `https://`, `h2c://` or `unix:`"
            ));
        }
    };
    if uri.path() != "/" || uri.query().is_some() {
        return Err(format!("`{url}` has a path; requests keep their own"));
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let authority = authority.and_then(Authority::parse);
    let Authority { host, port } =
        authority.ok_or_else(|| format!("`{url}` is not a plain host and port"))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = port.unwrap_or(if scheme == Scheme::Https { 443 } else { 80 });
    if scheme == Scheme::Https && ServerName::try_from(host.as_str()).is_err() {
        return Err(format!("`{url}`: TLS has no name for such a host"));
    }
    Ok(Upstream::Tcp { scheme, host, port })
}
