//! Sites: hosts, upstreams and filters.

use std::ops::Range;

use super::defaults::{Ctx, Defaults};
use super::filter::filter;
use super::layers::Layers;
use super::own_cookie::own_cookie;
use super::pages::{has_banner_source, pages};
use super::tls::upstream_tls;
use super::upstreams::{UPSTREAM_HINT, balance, limits, upstream};
use crate::catalogue::normalised_path;
use crate::config::document::span;
use crate::config::overrides::Overrides;
use crate::config::raw::RawSite;
use crate::config::settings::{HostPattern, SiteConfig, WeightedUpstream};
use crate::config::spanned::Spanned;
use crate::http::configured_host;

/// Resolves every site of the config, or the site that the flags describe.
pub(super) fn sites(
    document: Ctx,
    raw: Vec<Spanned<RawSite>>,
    common: &Defaults,
    overrides: &Overrides,
) -> Vec<SiteConfig> {
    let flagged = overrides.upstream.as_deref().and_then(|url| match upstream(url) {
        Ok(address) => Some(WeightedUpstream { address, weight: 1 }),
        Err(message) => {
            document.flag_problem("--upstream", message, Some(UPSTREAM_HINT));
            None
        }
    });
    if raw.is_empty() {
        if common.needs_upstreams && flagged.is_none() && overrides.upstream.is_none() {
            let hint = "add [[site]] with hosts = [\"*\"] and upstream = \"http://127.0.0.1:3000\", or pass --upstream";
            document.problem(
                None,
                "site".to_owned(),
                "no site is configured".to_owned(),
                Some(hint.to_owned()),
            );
        }
        let given = SiteInputs { flagged, common, overrides };
        return vec![site(document, ("", None), RawSite::default(), &given, &[])];
    }
    if overrides.upstream.is_some() && raw.len() > 1 {
        let message = "needs a config with at most one site".to_owned();
        document.flag_problem("--upstream", message, None);
    }
    let given = SiteInputs { flagged, common, overrides };
    let mut sites: Vec<SiteConfig> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let (key, at) = (format!("site[{index}]."), span(&raw));
        let site = site(document, (&key, Some(at)), raw.into_inner(), &given, &sites);
        sites.push(site);
    }
    sites
}

/// Inputs of a site besides its own table.
struct SiteInputs<'a> {
    /// The upstream from a flag.
    flagged: Option<WeightedUpstream>,
    common: &'a Defaults,
    overrides: &'a Overrides,
}

/// Resolves a site. `key` is its path, including the trailing dot, and `at` is its position.
fn site(
    document: Ctx,
    (key, at): (&str, Option<Range<usize>>),
    mut raw: RawSite,
    given: &SiteInputs<'_>,
    others: &[SiteConfig],
) -> SiteConfig {
    let SiteInputs { flagged, common, overrides } = given;
    let paths = paths(document, key, raw.paths.take());
    let hosts = hosts(document, key, raw.hosts.take(), &paths, others);
    let needs_upstream = at.clone().filter(|_| common.needs_upstreams);
    let balance = balance(document, key, needs_upstream, &mut raw, flagged.as_ref());
    let limits = limits(document, key, &raw.limits, common);
    let name = site_name(document, (key, at), raw.name.take(), (&hosts, &paths), others);
    let (centre, page) = pages(document, key, &raw, common);
    let consent = Layers::new("consent", key, &raw.consent, &common.consent);
    let own_cookie = own_cookie(document, &consent, &hosts, common);
    let upstreams = &balance.upstreams;
    let upstream_tls = upstream_tls(document, key, &raw.upstream_tls, upstreams, common);
    let sticky_cookie = balance.sticky_cookie.as_deref();
    let filter = filter(document, key, raw, common, overrides, (own_cookie, sticky_cookie));
    has_banner_source(document, key, &page, &filter);
    SiteConfig { name, hosts, paths, balance, limits, upstream_tls, filter, centre, page }
}

/// Resolves the name of a site, which must be unique: counters and reloads identify sites by name.
fn site_name(
    document: Ctx,
    (key, at): (&str, Option<Range<usize>>),
    name: Option<Spanned<String>>,
    (hosts, paths): (&[HostPattern], &[String]),
    others: &[SiteConfig],
) -> String {
    let at = name.as_ref().map(span).or(at);
    let named = name.is_some();
    let key = format!("{key}name");
    let name = match name {
        Some(name) if name.get_ref().is_empty() || name.get_ref().len() > 64 => {
            let message = "a name has 1 to 64 bytes".to_owned();
            document.problem(at.clone(), key.clone(), message, None);
            name.into_inner()
        }
        Some(name) => name.into_inner(),
        None => {
            let host = match hosts.first() {
                Some(HostPattern::Any) | None => "default".to_owned(),
                Some(host) => host.to_string(),
            };
            // Sites that share a host differ in their paths.
            match paths.first() {
                Some(path) if path != "/" => host + path,
                _ => host,
            }
        }
    };
    // Sites without hosts, and sites that serve the same paths, are already rejected.
    let refused = |site: &SiteConfig| {
        let shared = site.hosts.iter().any(|host| hosts.contains(host));
        hosts.is_empty() || shared && site.paths.iter().any(|path| paths.contains(path))
    };
    if others.iter().any(|site| site.name == name && (named || !refused(site))) {
        let message = format!("duplicate site name `{name}`");
        let hint = Some("set a unique `name` for each site".to_owned());
        document.problem(at, key, message, hint);
    }
    name
}

/// Resolves the path prefixes of a site, without a trailing slash.
fn paths(document: Ctx, key: &str, paths: Option<Spanned<Vec<Spanned<String>>>>) -> Vec<String> {
    let Some(paths) = paths else { return vec!["/".to_owned()] };
    if paths.get_ref().is_empty() {
        let hint = Some("paths = [\"/\"] serves every path".to_owned());
        document.problem(Some(span(&paths)), format!("{key}paths"), "is empty".to_owned(), hint);
    }
    let mut prefixes = Vec::new();
    for (index, path) in paths.into_inner().into_iter().enumerate() {
        let text = path.get_ref().as_str();
        let trimmed = text.trim_end_matches('/');
        let prefix = if trimmed.is_empty() { "/" } else { trimmed };
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#');
        if text.starts_with('/')
            && text.bytes().all(plain)
            && *normalised_path(prefix) == *prefix.as_bytes()
        {
            prefixes.push(prefix.to_owned());
        } else {
            let message = format!("`{text}` is not a path prefix");
            let hint = "such as \"/shop\": whole segments, without percent-encoding";
            let key = format!("{key}paths[{index}]");
            document.problem(Some(span(&path)), key, message, Some(hint.to_owned()));
        }
    }
    prefixes
}

fn hosts(
    document: Ctx,
    key: &str,
    hosts: Option<Spanned<Vec<Spanned<String>>>>,
    paths: &[String],
    others: &[SiteConfig],
) -> Vec<HostPattern> {
    let Some(hosts) = hosts else { return vec![HostPattern::Any] };
    if hosts.get_ref().is_empty() {
        let hint = Some("hosts = [\"*\"] serves every host".to_owned());
        document.problem(Some(span(&hosts)), format!("{key}hosts"), "is empty".to_owned(), hint);
    }
    let mut patterns = Vec::new();
    for (index, host) in hosts.into_inner().into_iter().enumerate() {
        let key = format!("{key}hosts[{index}]");
        let Some(pattern) = host_pattern(host.get_ref()) else {
            let message = format!("`{}` is not a host", host.get_ref());
            let hint = "\"shop.example.com\", \"*.example.com\" or \"*\"; no scheme, port or path";
            document.problem(Some(span(&host)), key, message, Some(hint.to_owned()));
            continue;
        };
        let same_path = |site: &&SiteConfig| site.paths.iter().any(|path| paths.contains(path));
        let mut others = others.iter().filter(same_path);
        if patterns.contains(&pattern) || others.any(|site| site.hosts.contains(&pattern)) {
            let message = format!("`{}` is already served by another site", host.get_ref());
            document.problem(Some(span(&host)), key, message, None);
        }
        patterns.push(pattern);
    }
    patterns
}

/// Parses a host of a site into the form that request hosts are compared in.
fn host_pattern(text: &str) -> Option<HostPattern> {
    match text.strip_prefix('*') {
        Some("") => Some(HostPattern::Any),
        Some(suffix) => {
            let name = configured_host(suffix.strip_prefix('.')?)?;
            (!name.starts_with('[')).then(|| HostPattern::Below(format!(".{name}")))
        }
        None => configured_host(text).map(HostPattern::Exact),
    }
}
