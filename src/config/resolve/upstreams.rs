//! Upstreams of a site: addresses, load balancing and limits.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use rustls_pki_types::ServerName;

use super::defaults::{Ctx, Defaults};
use super::layers::Layers;
use super::names::cookie_name;
use crate::config::document::span;
use crate::config::raw::{
    OneOrMany, RawHealth, RawSite, RawSiteLimits, RawUpstream, StringOrTable,
};
use crate::config::settings::{
    Balance, BalanceMethod, HealthCheck, Scheme, SiteLimits, Upstream, WeightedUpstream, unix_path,
};
use crate::config::spanned::Spanned;

pub(super) const UPSTREAM_HINT: &str = "such as \"http://127.0.0.1:3000\", \"https://app.example\", \"h2c://127.0.0.1:50051\" or \"unix:/run/app.sock\"";

/// Resolves the upstreams of a site and their load balancing. `at` is the span of a site that requires an upstream.
/// An upstream from a flag replaces the configured ones.
pub(super) fn balance(
    document: Ctx,
    key: &str,
    at: Option<Range<usize>>,
    raw: &mut RawSite,
    flagged: Option<&WeightedUpstream>,
) -> Balance {
    let upstreams = match (flagged, raw.upstream.take()) {
        (Some(flagged), _) => vec![flagged.clone()],
        (None, Some(listed)) => upstreams(document, key, listed),
        (None, None) => {
            if let Some(at) = at {
                let hint = "upstream = \"http://127.0.0.1:3000\"";
                document.missing(at, format!("{key}upstream"), hint);
            }
            Vec::new()
        }
    };
    let sticky_cookie = raw.sticky_cookie.take();
    let sticky_cookie =
        sticky_cookie.and_then(|name| cookie_name(document, format!("{key}sticky_cookie"), &name));
    Balance {
        upstreams,
        method: raw.balance.unwrap_or(BalanceMethod::RoundRobin),
        sticky_cookie,
        health: raw.health.take().map(|health| health_check(document, key, health)),
    }
}

fn health_check(document: Ctx, key: &str, raw: RawHealth) -> HealthCheck {
    let key = format!("{key}health");
    let path = raw.path.and_then(|path| {
        let good = path.get_ref().starts_with('/') && path.get_ref().parse::<http::Uri>().is_ok();
        if !good {
            let message = format!("`{}` is not a path", path.get_ref());
            let hint = Some("such as \"/healthz\"".to_owned());
            document.problem(Some(span(&path)), format!("{key}.path"), message, hint);
        }
        good.then(|| path.into_inner())
    });
    let least = Duration::from_millis(10);
    let mut duration = |name: &str, typed, default| {
        let default = Duration::from_secs(default);
        document.duration(&format!("{key}.{name}"), typed, default, least)
    };
    HealthCheck {
        path: path.unwrap_or_else(|| "/".to_owned()),
        interval: duration("interval", raw.interval, 5),
        timeout: duration("timeout", raw.timeout, 2),
        healthy_after: document.bounded(
            &format!("{key}.healthy_after"),
            raw.healthy_after,
            1,
            100,
            2,
        ),
        unhealthy_after: document.bounded(
            &format!("{key}.unhealthy_after"),
            raw.unhealthy_after,
            1,
            100,
            3,
        ),
    }
}

/// Resolves the limits of a site. Keys without a value take the top-level value.
pub(super) fn limits(
    document: Ctx,
    key: &str,
    raw: &RawSiteLimits,
    common: &Defaults,
) -> SiteLimits {
    let limits = Layers::new("limits", key, raw, &common.site_limits);
    let mut number = |(key, typed): (String, Option<Spanned<u32>>), least| {
        Some(document.bounded::<u32>(&key, Some(typed?), least, 10_000_000, 1))
    };
    let concurrent = limits.cloned("concurrent_requests", |raw| raw.concurrent_requests.as_ref());
    let concurrent = number(concurrent, 1);
    let queue = number(limits.cloned("queue", |raw| raw.queue.as_ref()), 0);
    let rate = limits.cloned("requests_per_second", |raw| raw.requests_per_second.as_ref());
    let rate = number(rate, 1).and_then(NonZeroU32::new);
    let burst = number(limits.cloned("burst", |raw| raw.burst.as_ref()), 1);
    let burst = burst.and_then(NonZeroU32::new).or(rate).unwrap_or(NonZeroU32::MIN);
    let (timeout_key, timeout) = limits.cloned("queue_timeout", |raw| raw.queue_timeout.as_ref());
    let body_bytes = limits.get("body_bytes", |raw| raw.body_bytes.as_ref());
    let (default, least) = (Duration::from_secs(5), Duration::from_millis(1));
    SiteLimits {
        body_bytes: body_bytes.map(|(_, bytes)| *bytes.get_ref()),
        concurrent_requests: concurrent.and_then(|number| usize::try_from(number).ok()),
        queue: queue.and_then(|number| usize::try_from(number).ok()).unwrap_or_default(),
        queue_timeout: document.duration(&timeout_key, timeout, default, least),
        requests_per_second: rate,
        burst,
    }
}

fn upstreams(
    document: Ctx,
    key: &str,
    listed: Spanned<OneOrMany<StringOrTable<RawUpstream>>>,
) -> Vec<WeightedUpstream> {
    let at = span(&listed);
    let OneOrMany(listed) = listed.into_inner();
    let key = format!("{key}upstream");
    if listed.is_empty() {
        let hint = Some(UPSTREAM_HINT.to_owned());
        document.problem(Some(at.clone()), key.clone(), "is empty".to_owned(), hint);
    }
    let mut found: Vec<WeightedUpstream> = Vec::new();
    for one in listed {
        let table = match one {
            StringOrTable::Text(url) => {
                RawUpstream { url: Some(Spanned::new(at.clone(), url)), weight: None }
            }
            StringOrTable::Table(table) => table,
        };
        let weight = document.bounded(&format!("{key}.weight"), table.weight, 1, 1000, 1);
        let Some(url) = table.url else {
            document.missing(at.clone(), format!("{key}.url"), "url = \"http://127.0.0.1:3000\"");
            continue;
        };
        let read = upstream(url.get_ref()).and_then(|address| {
            let twice = found.iter().any(|other| other.address == address);
            if twice {
                Err(format!("duplicate upstream `{}`: use weight instead", url.get_ref()))
            } else {
                Ok(address)
            }
        });
        match read {
            Ok(address) => found.push(WeightedUpstream { address, weight }),
            Err(message) => {
                let hint = Some(UPSTREAM_HINT.to_owned());
                document.problem(Some(span(&url)), key.clone(), message, hint);
            }
        }
    }
    found
}

/// Parses the URL of an upstream. The error is a message for the user.
pub(super) fn upstream(url: &str) -> Result<Upstream, String> {
    if url.starts_with("unix:") {
        let relative = || format!("`{url}`: a socket path must start with `/`");
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
        return Err(format!("`{url}` has a path: requests keep their own"));
    }
    let authority = uri.authority().ok_or_else(|| format!("`{url}` has no host"))?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(format!("`{url}` is not a plain host and port"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("`{port}` is not a port"))?,
        _ if scheme == Scheme::Https => 443,
        _ => 80,
    };
    if scheme == Scheme::Https && ServerName::try_from(host.as_str()).is_err() {
        return Err(format!("`{url}`: the host is not a valid TLS server name"));
    }
    Ok(Upstream::Tcp { scheme, host, port })
}
