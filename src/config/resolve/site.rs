//! The sites: their hosts, upstreams and filters.

use rustls_pki_types::ServerName;
use toml::Spanned;

use super::common::{Common, Doc};
use super::filter::filter;
use super::pages::{banner_is_heard, pages};
use super::tls::upstream_tls;
use crate::config::document::place;
use crate::config::overrides::Overrides;
use crate::config::raw::{OneOrMore, RawSite};
use crate::config::settings::{HostPattern, Site, Upstream};

/// Every site of the config, or the one that the flags make.
pub(super) fn sites(
    document: Doc,
    raw: Vec<Spanned<RawSite>>,
    common: &Common,
    overrides: &Overrides,
) -> Vec<Site> {
    let flagged = overrides.upstream.as_deref().and_then(|url| match upstream(url) {
        Ok(upstream) => Some(upstream),
        Err(message) => {
            document.flag_problem("--upstream", message, Some(UPSTREAM_HINT));
            None
        }
    });
    if raw.is_empty() {
        if flagged.is_none() && overrides.upstream.is_none() {
            let hint = "add [[site]] with hosts = [\"*\"] and upstream = \"http://127.0.0.1:3000\", or pass --upstream";
            document.problem(
                None,
                "site".to_owned(),
                "no site is configured".to_owned(),
                Some(hint.to_owned()),
            );
        }
        let hosts = vec![HostPattern::Any];
        let (centre, page) = pages(document, "", &RawSite::default(), &hosts, common);
        let upstreams: Vec<Upstream> = flagged.into_iter().collect();
        let upstream_tls = upstream_tls(document, "", None, &upstreams, common);
        let filter = filter(document, "", RawSite::default(), common, overrides);
        banner_is_heard(document, "", &page, &filter);
        return vec![Site {
            name: "default".to_owned(),
            hosts,
            upstreams,
            upstream_tls,
            filter,
            centre,
            page,
        }];
    }
    if overrides.upstream.is_some() && raw.len() > 1 {
        let message = "needs a config with at most one site".to_owned();
        document.flag_problem("--upstream", message, None);
    }
    let mut sites: Vec<Site> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = format!("site[{index}].");
        let at = place(&raw);
        let mut raw = raw.into_inner();
        let hosts = hosts(document, &key, raw.hosts.take(), &sites);
        let upstreams = match (&flagged, raw.upstream.take()) {
            (Some(flagged), _) => vec![flagged.clone()],
            (None, Some(listed)) => upstreams(document, &key, &listed),
            (None, None) => {
                document.missing(
                    at,
                    format!("{key}upstream"),
                    "upstream = \"http://127.0.0.1:3000\"",
                );
                Vec::new()
            }
        };
        let name = site_name(document, &key, raw.name.take(), &hosts, &sites);
        let (centre, page) = pages(document, &key, &raw, &hosts, common);
        let own_tls = raw.upstream_tls.take();
        let upstream_tls = upstream_tls(document, &key, own_tls, &upstreams, common);
        let filter = filter(document, &key, raw, common, overrides);
        banner_is_heard(document, &key, &page, &filter);
        sites.push(Site { name, hosts, upstreams, upstream_tls, filter, centre, page });
    }
    sites
}

fn site_name(
    document: Doc,
    key: &str,
    name: Option<Spanned<String>>,
    hosts: &[HostPattern],
    others: &[Site],
) -> String {
    let Some(name) = name else {
        return match hosts.first() {
            Some(HostPattern::Any) | None => "default".to_owned(),
            Some(host) => host.to_string(),
        };
    };
    let key = format!("{key}name");
    if name.get_ref().is_empty() || name.get_ref().len() > 64 {
        document.problem(Some(place(&name)), key, "a name has 1 to 64 octets".to_owned(), None);
    } else if others.iter().any(|site| site.name == *name.get_ref()) {
        document.problem(Some(place(&name)), key, "another site has this name".to_owned(), None);
    }
    name.into_inner()
}

fn hosts(
    document: Doc,
    key: &str,
    hosts: Option<Spanned<Vec<Spanned<String>>>>,
    others: &[Site],
) -> Vec<HostPattern> {
    let Some(hosts) = hosts else { return vec![HostPattern::Any] };
    if hosts.get_ref().is_empty() {
        let hint = Some("hosts = [\"*\"] serves every host".to_owned());
        document.problem(Some(place(&hosts)), format!("{key}hosts"), "is empty".to_owned(), hint);
    }
    let mut patterns = Vec::new();
    for (index, host) in hosts.into_inner().into_iter().enumerate() {
        let key = format!("{key}hosts[{index}]");
        let text = host.get_ref().to_ascii_lowercase();
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| {
                    b.is_ascii_alphanumeric()
                        || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']')
                })
        };
        let pattern = match text.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) if suffix.starts_with('.') && plain(&suffix[1..]) => {
                HostPattern::Below(suffix.to_owned())
            }
            None if plain(&text) => HostPattern::Exact(text),
            _ => {
                let message = format!("`{}` is not a host", host.get_ref());
                let hint =
                    "\"shop.example.com\", \"*.example.com\" or \"*\"; no scheme, port or path";
                document.problem(Some(place(&host)), key, message, Some(hint.to_owned()));
                continue;
            }
        };
        if patterns.contains(&pattern) || others.iter().any(|site| site.hosts.contains(&pattern)) {
            let message = format!("`{}` is served by another site already", host.get_ref());
            document.problem(Some(place(&host)), key, message, None);
        }
        patterns.push(pattern);
    }
    patterns
}

const UPSTREAM_HINT: &str =
    "such as \"http://127.0.0.1:3000\", \"https://app.example\" or \"unix:/run/app.sock\"";

fn upstreams(document: Doc, key: &str, listed: &Spanned<OneOrMore>) -> Vec<Upstream> {
    let OneOrMore(urls) = listed.get_ref();
    let key = format!("{key}upstream");
    if urls.is_empty() {
        document.problem(
            Some(place(listed)),
            key,
            "is empty".to_owned(),
            Some(UPSTREAM_HINT.to_owned()),
        );
        return Vec::new();
    }
    let mut found = Vec::new();
    for url in urls {
        match upstream(url) {
            Ok(upstream) => found.push(upstream),
            Err(message) => {
                let hint = Some(UPSTREAM_HINT.to_owned());
                document.problem(Some(place(listed)), key.clone(), message, hint);
            }
        }
    }
    found
}

fn upstream(url: &str) -> Result<Upstream, String> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(format!("`{url}`: the path of a socket begins with `/`"));
        }
        return Ok(Upstream::Unix(path.into()));
    }
    let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => {
            return Err(format!("`{url}` does not start with `http://`, `https://` or `unix:`"));
        }
    };
    if uri.path() != "/" || uri.query().is_some() {
        return Err(format!("`{url}` has a path; requests keep their own"));
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
        _ if tls => 443,
        _ => 80,
    };
    if tls && ServerName::try_from(host.as_str()).is_err() {
        return Err(format!("`{url}`: TLS has no name for such a host"));
    }
    Ok(Upstream::Tcp { host, port, tls })
}
