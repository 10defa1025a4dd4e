//! Host and path routing: the sites of a running proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use foldhash::fast::RandomState;
use ipnet::IpNet;
use rustls::ServerConfig;

use crate::catalogue::normalised_path;
use crate::config::settings::{self, HealthCheck, HostPattern, Limits, SiteLimits, Timeouts};
use crate::consent_ui::ConsentUi;
use crate::filter::Filter;
use crate::html::SiteRewriter;
use crate::http::{ForwardedFor, Via, normalised_host};
use crate::locale::Locales;
use crate::proxy::request::rate_limit::RateLimiter;
use crate::proxy::upstream::load_balancer::LoadBalancer;
use crate::proxy::upstream::pool::UpstreamPool;
use crate::telemetry::{AccessLog, ConfigCounters, Spans};

/// Runtime state built from one config. A reload replaces the snapshot as a whole.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The sites.
    pub sites: SiteRouter,
    /// The languages of error pages for requests without a site.
    pub locales: Arc<Locales>,
    /// The per-site metrics.
    pub counters: Arc<ConfigCounters>,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits.
    pub limits: Limits,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The `Via` identity of this process in forwarded requests.
    pub(crate) via: Via,
    /// Whether a forwarding loop has been logged; at most once per config.
    pub(crate) loop_reported: AtomicBool,
    /// TLS settings for clients; `None` without a TLS listener.
    pub tls: Option<Arc<ServerConfig>>,
    /// Forward the client's certificate to the upstream (RFC 9440).
    pub client_cert_fields: bool,
    /// The HTTPS port for redirects of plain HTTP requests; `None` without redirects.
    pub redirect: Option<u16>,
    /// Connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// The span exporter, if configured.
    pub spans: Option<Spans>,
    /// The access log, if configured.
    pub access_log: Option<AccessLog>,
}

impl Snapshot {
    /// Whether a peer is a trusted proxy.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

/// One site of a running proxy.
#[derive(Debug)]
pub(crate) struct Site {
    /// The index among the sites, also used by the metrics.
    pub index: usize,
    /// The name in logs and metrics.
    pub name: String,
    /// The consent filter.
    pub filter: Arc<Filter>,
    /// The pages that consentry serves for the site.
    pub centre: ConsentUi,
    /// HTML rewriting, if enabled.
    pub page: Option<SiteRewriter>,
    /// Active health checks, if enabled.
    pub(crate) health: Option<HealthCheck>,
    /// Maximum bytes of a request body; `None` for no limit.
    pub(crate) body_bytes: Option<u64>,
    /// Rate and concurrency limits, if configured.
    pub(crate) rate_limiter: Option<Arc<RateLimiter>>,
    /// The load balancer.
    pub(crate) load_balancer: LoadBalancer,
    /// The client address in the forwarding fields.
    pub(crate) forwarded_for: ForwardedFor,
    /// The `Host` for requests that arrived without one: HTTP/1.0 does not require it, HTTP/1.1
    /// does.
    pub(crate) host: Box<str>,
}

/// Forwarding settings of a site.
#[derive(Debug)]
pub(crate) struct ForwardSettings {
    /// The load balancing settings.
    pub balance: settings::Balance,
    /// The upstreams with their connection pools, in config order.
    pub upstreams: Vec<Arc<UpstreamPool>>,
    /// The request limits.
    pub limits: SiteLimits,
    /// The client address in the forwarding fields.
    pub forwarded_for: ForwardedFor,
}

impl Site {
    /// Creates a site. With unchanged limits, the rate and concurrency state of `before` is kept.
    pub(crate) fn new(
        index: usize,
        name: String,
        filter: Arc<Filter>,
        (centre, page): (ConsentUi, Option<SiteRewriter>),
        forwarding: ForwardSettings,
        before: Option<&Self>,
    ) -> Self {
        let ForwardSettings { balance, upstreams, limits, forwarded_for } = forwarding;
        let host = upstreams.first().map(|upstream| upstream.address().authority().into());
        let host = host.unwrap_or_else(|| Box::from("localhost"));
        let rate_limiter = before.and_then(|before| before.rate_limiter.clone());
        let same = rate_limiter.filter(|rate_limiter| *rate_limiter.limits() == limits);
        let settings::Balance { method, sticky_cookie, health, .. } = balance;
        Self {
            index,
            name,
            filter,
            centre,
            page,
            health,
            body_bytes: limits.body_bytes,
            rate_limiter: same.or_else(|| RateLimiter::new(limits)),
            load_balancer: LoadBalancer::new(upstreams, method, sticky_cookie),
            forwarded_for,
            host,
        }
    }

    /// The upstream with this address.
    pub(crate) fn upstream(&self, address: &settings::Upstream) -> Option<&Arc<UpstreamPool>> {
        self.upstreams().iter().find(|upstream| upstream.address() == address)
    }

    /// All upstreams.
    pub(crate) fn upstreams(&self) -> &[Arc<UpstreamPool>] {
        self.load_balancer.all()
    }

    /// Closes a worker's upstream connections that were idle for too long. Worker 0 also cleans up
    /// the rate limiter.
    pub(crate) fn sweep(&self, worker: usize, longest: Duration) {
        self.upstreams().iter().for_each(|upstream| upstream.sweep(worker, longest));
        if let Some(rate_limiter) = self.rate_limiter.as_ref().filter(|_| worker == 0) {
            rate_limiter.sweep();
        }
    }
}

/// Sites by host and path. An exact host wins over a wildcard, and a longer wildcard over a shorter
/// one. For the same host the longest path wins.
#[derive(Debug, Default)]
pub(crate) struct SiteRouter {
    exact: HashMap<String, PathRoutes, RandomState>,
    /// Longest suffix first.
    below: Vec<(String, PathRoutes)>,
    any: PathRoutes,
    all: Vec<Arc<Site>>,
}

/// The sites of one host, the longest path first.
#[derive(Debug, Default)]
struct PathRoutes(Vec<(String, Arc<Site>)>);

impl PathRoutes {
    fn add(&mut self, paths: &[String], site: &Arc<Site>) {
        self.0.extend(paths.iter().map(|path| (path.clone(), Arc::clone(site))));
        self.0.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    }

    /// Finds the site of a path. Prefixes match whole segments of the normalised path, as the
    /// upstream will interpret it.
    fn find(&self, path: &str) -> Option<&Arc<Site>> {
        if let [(prefix, site)] = self.0.as_slice()
            && prefix == "/"
        {
            return Some(site);
        }
        let path = normalised_path(path);
        let fits = |prefix: &str| match path.strip_prefix(prefix.as_bytes()) {
            _ if prefix == "/" => true,
            Some(rest) => matches!(rest.first(), None | Some(b'/')),
            None => false,
        };
        let found = self.0.iter().find(|(prefix, _)| fits(prefix));
        // Consentry's own pages may be outside of the site's paths.
        let own = || self.0.iter().find(|(_, site)| site.centre.page(path_text(&path)).is_some());
        found.or_else(own).map(|(_, site)| site)
    }
}

fn path_text(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default()
}

/// Why no site was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// No site has this host.
    Host,
    /// A site has this host, but none has this path.
    Path,
}

impl SiteRouter {
    /// Builds the table from each site's hosts and paths.
    pub(crate) fn new(sites: Vec<(Vec<HostPattern>, Vec<String>, Arc<Site>)>) -> Self {
        let mut table = Self::default();
        for (hosts, paths, site) in sites {
            for host in hosts {
                match host {
                    HostPattern::Any => table.any.add(&paths, &site),
                    HostPattern::Below(suffix) => {
                        let existing =
                            table.below.iter().position(|(existing, _)| *existing == suffix);
                        let index = existing.unwrap_or_else(|| {
                            table.below.push((suffix, PathRoutes::default()));
                            table.below.len() - 1
                        });
                        if let Some((_, sites)) = table.below.get_mut(index) {
                            sites.add(&paths, &site);
                        }
                    }
                    HostPattern::Exact(name) => {
                        table.exact.entry(name).or_default().add(&paths, &site);
                    }
                }
            }
            table.all.push(site);
        }
        table.below.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table
    }

    /// Finds the site for a host (without port) and a path.
    ///
    /// # Errors
    /// If no site has both.
    pub(crate) fn find(&self, host: &str, path: &str) -> Result<&Arc<Site>, NotFound> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.find(path).ok_or(NotFound::Path);
        }
        let host = normalised_host(host);
        let fits = |(suffix, _): &&(String, PathRoutes)| {
            host.len() > suffix.len() && host.ends_with(suffix.as_str())
        };
        let exact = self.exact.get(&*host).into_iter();
        let below = self.below.iter().filter(fits).map(|(_, sites)| sites);
        let any = Some(&self.any).filter(|any| !any.0.is_empty());
        let mut missing = NotFound::Host;
        for sites in exact.chain(below).chain(any) {
            match sites.find(path) {
                Some(site) => return Ok(site),
                None => missing = NotFound::Path,
            }
        }
        Err(missing)
    }

    /// All sites, in config order.
    pub(crate) fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    fn table(toml: &str) -> SiteRouter {
        let config = parse(toml, None, &Overrides::default()).expect("a valid config");
        let sites = config.sites.into_iter().enumerate().map(|(index, site)| {
            let filter = Arc::new(Filter::new(site.filter));
            let centre =
                ConsentUi::new(&site.name, site.centre, &site.page, Arc::clone(&filter), None);
            let (balance, limits) = (site.balance, site.limits);
            let (upstreams, forwarded_for) = (Vec::new(), site.forwarded_for);
            let forwarding = ForwardSettings { balance, upstreams, limits, forwarded_for };
            let built = Site::new(index, site.name, filter, (centre, None), forwarding, None);
            (site.hosts, site.paths, Arc::new(built))
        });
        SiteRouter::new(sites.collect())
    }

    #[test]
    fn exact_hosts_win_over_wildcards_and_longer_wildcards_over_shorter() {
        let table = table(
            "
            [[site]]\nhosts = ['*.example.com']\nupstream = 'http://127.0.0.1:1'\nname = 'below'
            [[site]]\nhosts = ['www.example.com', 'other.test']\nupstream = 'http://127.0.0.1:1'\nname = 'exact'
            [[site]]\nhosts = ['*.shop.example.com']\nupstream = 'http://127.0.0.1:1'\nname = 'longer'
        ",
        );
        let find = |host: &str| table.find(host, "/").map(|site| site.name.as_str());
        assert_eq!(find("WWW.Example.com"), Ok("exact"));
        assert_eq!(find("www.example.com."), Ok("exact"));
        assert_eq!(find("a.example.com"), Ok("below"));
        assert_eq!(find("a.shop.example.com"), Ok("longer"));
        assert_eq!(find("shop.example.com"), Ok("below"));
        assert_eq!(find("example.com"), Err(NotFound::Host));
        assert_eq!(find(""), Err(NotFound::Host));
    }

    #[test]
    fn the_longest_path_prefix_of_whole_segments_wins() {
        let table = table(
            "
            [[site]]\nhosts = ['a.test']\nupstream = 'http://127.0.0.1:1'\nname = 'root'
            [[site]]\nhosts = ['a.test']\npaths = ['/shop/', '/cart']\nupstream = 'http://127.0.0.1:1'\nname = 'shop'
            [[site]]\nhosts = ['a.test']\npaths = ['/shop/api']\nupstream = 'http://127.0.0.1:1'\nname = 'api'
            [[site]]\nhosts = ['b.test']\npaths = ['/only']\nupstream = 'http://127.0.0.1:1'\nname = 'only'
        ",
        );
        let find = |host: &str, path: &str| table.find(host, path).map(|site| site.name.as_str());
        for (path, expected) in [
            ("/", "root"),
            ("/shop", "shop"),
            ("/shop/", "shop"),
            ("/shopping", "root"),
            ("/cart/1", "shop"),
            ("/shop/api", "api"),
            ("/shop/api/v1", "api"),
            ("/shop/apis", "shop"),
            // Matched as the upstream will interpret the path, however it is written.
            ("//shop//api", "api"),
            ("/x/../shop", "shop"),
            ("/sh%6fp/api", "api"),
            ("/shop/api/../x", "shop"),
            ("*", "root"),
        ] {
            assert_eq!(find("a.test", path), Ok(expected), "{path}");
        }
        assert_eq!(find("b.test", "/other"), Err(NotFound::Path));
        assert_eq!(find("b.test", "/.consentry/"), Ok("only"), "its own pages are everywhere");
        assert_eq!(find("c.test", "/only"), Err(NotFound::Host));
    }
}
