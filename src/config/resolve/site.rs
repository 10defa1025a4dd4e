//! Sites: hosts, upstreams and filters.

use super::defaults::Defaults;
use super::filter::filter;
use super::own_cookie::own_cookie;
use super::pages::{has_banner_source, pages};
use super::tls::upstream_tls;
use super::upstreams::{UPSTREAM_HINT, balance, limits, upstream};
use crate::catalogue::normalised_path;
use crate::config::document::Ctx;
use crate::config::overrides::Overrides;
use crate::config::raw::RawSite;
use crate::config::settings::{HostPattern, SiteConfig, WeightedUpstream};
use crate::config::spanned::{Spanned, Text};
use crate::http::configured_host;

/// Resolves every site of the config. A config without sites has the site that the flags describe.
pub(super) fn sites(
    document: Ctx,
    raw: Vec<Spanned<RawSite>>,
    is_configured: bool,
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
    let needs_site = common.needs_upstreams && overrides.upstream.is_none();
    if !is_configured && needs_site && !document.was_invalid("site") {
        let hint = "add [[site]] with hosts = [\"*\"] and upstream = \"http://127.0.0.1:3000\", or pass --upstream";
        document.problem(None, "site".to_owned(), "no site is configured", Some(hint));
    }
    if overrides.upstream.is_some() && raw.len() > 1 {
        let message = "needs a config with at most one site".to_owned();
        document.flag_problem("--upstream", message, None);
    }
    let given = SiteInputs { flagged, is_configured, common, overrides };
    let mut sites: Vec<SiteConfig> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let key = if is_configured { format!("site[{index}].") } else { String::new() };
        let site = site(document, &key, raw, &given, &sites);
        sites.push(site);
    }
    sites
}

/// Inputs of a site besides its own table.
struct SiteInputs<'a> {
    /// The upstream from a flag.
    flagged: Option<WeightedUpstream>,
    /// Whether the config has a `[[site]]`.
    is_configured: bool,
    common: &'a Defaults,
    overrides: &'a Overrides,
}

/// Resolves a site. `key` is its path, including the trailing dot.
fn site(
    document: Ctx,
    key: &str,
    site: &Spanned<RawSite>,
    given: &SiteInputs<'_>,
    others: &[SiteConfig],
) -> SiteConfig {
    let SiteInputs { flagged, is_configured, common, overrides } = given;
    let raw = site.get_ref();
    let paths = paths(document, &raw.paths);
    let hosts = hosts(document, key, &raw.hosts, &paths, others);
    let needs_upstream = *is_configured && common.needs_upstreams;
    let balance = balance(document, site, needs_upstream, flagged.as_ref());
    let name = site_name(document, key, site, (&hosts, &paths), others);
    let (centre, page) = pages(document, raw, common);
    let own_cookie = own_cookie(document, &raw.consent, &hosts, &common.folder);
    let upstream_tls = upstream_tls(document, &raw.upstream_tls, &balance.upstreams, common);
    let sticky_cookie = balance.sticky_cookie.as_deref();
    let filter = filter(document, key, raw, common, overrides, (own_cookie, sticky_cookie));
    has_banner_source(document, key, &page, &filter);
    let limits = limits(&raw.limits, &common.limits);
    let forwarded_for = raw.forwarded_for.unwrap_or(common.forwarded_for);
    SiteConfig {
        name,
        hosts,
        paths,
        balance,
        limits,
        upstream_tls,
        forwarded_for,
        filter,
        centre,
        page,
    }
}

/// Resolves the name of a site, which must be unique: counters and reloads identify sites by name.
fn site_name(
    document: Ctx,
    key: &str,
    site: &Spanned<RawSite>,
    (hosts, paths): (&[HostPattern], &[String]),
    others: &[SiteConfig],
) -> String {
    let typed = site.get_ref().name.as_ref();
    let at = typed.map_or_else(|| site.span(), Spanned::span);
    let name = match typed.map(|typed| typed.get_ref()) {
        Some(name) => {
            if name.is_empty() || name.len() > 64 {
                let message = "a name has 1 to 64 bytes";
                document.problem(Some(at.clone()), format!("{key}name"), message, None);
            }
            name.clone()
        }
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
    if others.iter().any(|site| site.name == name && (typed.is_some() || !refused(site))) {
        let message = format!("duplicate site name `{name}`");
        let hint = Some("set a unique `name` for each site");
        document.problem(Some(at), format!("{key}name"), message, hint);
    }
    name
}

/// Resolves the path prefixes of a site, without a trailing slash.
fn paths(document: Ctx, paths: &Spanned<Vec<Text>>) -> Vec<String> {
    if paths.get_ref().is_empty() {
        document.wrong(paths, "is empty", Some("paths = [\"/\"] serves every path"));
    }
    let mut prefixes = Vec::new();
    for path in paths.get_ref() {
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
            let hint = "such as \"/shop\": whole segments, without percent-encoding";
            document.is_not(path, "the beginning of a path", Some(hint));
        }
    }
    prefixes
}

fn hosts(
    document: Ctx,
    key: &str,
    hosts: &Spanned<Vec<Text>>,
    paths: &[String],
    others: &[SiteConfig],
) -> Vec<HostPattern> {
    if hosts.get_ref().is_empty() {
        document.wrong(hosts, "is empty", Some("hosts = [\"*\"] serves every host"));
    }
    let mut patterns = Vec::new();
    for host in hosts.get_ref() {
        let Some(pattern) = host_pattern(host.get_ref()) else {
            let hint = "\"shop.example.com\", \"*.example.com\" or \"*\"; no scheme, port or path";
            document.is_not(host, "a host", Some(hint));
            continue;
        };
        let same_path = |site: &&SiteConfig| site.paths.iter().any(|path| paths.contains(path));
        let mut others = others.iter().filter(same_path);
        if patterns.contains(&pattern) || others.any(|site| site.hosts.contains(&pattern)) {
            let message = format!("`{}` is already served by another site", host.get_ref());
            match host.span().is_empty() {
                true => document.problem(None, format!("{key}hosts"), message, None),
                false => document.wrong(host, message, None),
            }
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
