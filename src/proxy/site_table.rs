//! The sites of a running proxy, and which one a host belongs to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use foldhash::fast::RandomState;
use ipnet::IpNet;
use rustls::ServerConfig;

use crate::catalogue::normalised_path;
use crate::centre::Centre;
use crate::config::settings::{self, HealthCheck, HostPattern, Limits, SiteLimits, Timeouts};
use crate::filter::Filter;
use crate::http::{Via, normalised_host};
use crate::page::Pages;
use crate::proxy::request::rate_limit::Admission;
use crate::proxy::upstream::load_balancer::Balance;
use crate::proxy::upstream::pool::Upstream;
use crate::telemetry::{AccessLog, Generation, Spans};

/// Everything a request needs to know, made from one config and replaced as a whole.
#[derive(Debug)]
pub struct Snapshot {
    /// The sites.
    pub sites: SiteTable,
    /// What is counted of the sites.
    pub counters: Arc<Generation>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much to take.
    pub limits: Limits,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// This process in the requests that it forwards.
    pub(crate) via: Via,
    /// Whether a loop was reported in the log: once for each config.
    pub(crate) loop_reported: AtomicBool,
    /// How hands are shaken with visitors, where TLS is listened for.
    pub tls: Option<Arc<ServerConfig>>,
    /// The origin gets a visitor's certificate (RFC 9440).
    pub client_cert_fields: bool,
    /// The port of https that visitors of http are sent to, where they are.
    pub redirect: Option<u16>,
    /// Connections begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Where spans go, if anywhere.
    pub spans: Option<Spans>,
    /// Where a line for each request goes, if anywhere.
    pub access_log: Option<AccessLog>,
}

impl Snapshot {
    /// Whether a peer is one of the trusted proxies.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

/// One site of a running proxy.
#[derive(Debug)]
pub struct Site {
    /// The position among the sites, as the metrics count them.
    pub index: usize,
    /// The name in logs and metrics.
    pub name: String,
    /// What may pass.
    pub filter: Arc<Filter>,
    /// Its own pages.
    pub centre: Centre,
    /// What is changed in the origin's pages, if anything.
    pub page: Option<Pages>,
    /// How upstreams are asked whether they are well, if they are.
    pub(crate) health: Option<HealthCheck>,
    /// Octets of a request's body; `None` for any number.
    pub(crate) body_bytes: Option<u64>,
    /// Who may come in, where that is limited.
    pub(crate) admission: Option<Arc<Admission>>,
    /// Which upstream gets which request.
    pub(crate) balance: Balance,
    /// The `Host` of requests that came without one: HTTP/1.0 knew none, HTTP/1.1 demands it.
    pub(crate) host: Box<str>,
}

/// What a site does with a request that may pass.
#[derive(Debug)]
pub struct Forwarding {
    /// Which upstream gets which request.
    pub balance: settings::Balance,
    /// The upstreams, with the connections to them, in the same order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// How much is taken.
    pub limits: SiteLimits,
}

impl Site {
    /// A site. It goes on from the one before it, where there was one, in whom it lets in.
    pub fn new(
        index: usize,
        name: String,
        filter: Arc<Filter>,
        (centre, page): (Centre, Option<Pages>),
        forwarding: Forwarding,
        before: Option<&Self>,
    ) -> Self {
        let Forwarding { balance, upstreams, limits } = forwarding;
        let host = upstreams.first().map(|upstream| upstream.address().authority().into());
        let host = host.unwrap_or_else(|| Box::from("localhost"));
        let admission = before.and_then(|before| before.admission.clone());
        let same = admission.filter(|admission| *admission.limits() == limits);
        let settings::Balance { method, sticky_cookie, health, .. } = balance;
        Self {
            index,
            name,
            filter,
            centre,
            page,
            health,
            body_bytes: limits.body_bytes,
            admission: same.or_else(|| Admission::new(limits)),
            balance: Balance::new(upstreams, method, sticky_cookie),
            host,
        }
    }

    /// The upstream at an address, with the connections to it.
    pub fn upstream(&self, address: &settings::Upstream) -> Option<&Arc<Upstream>> {
        self.upstreams().iter().find(|upstream| upstream.address() == address)
    }

    /// Every upstream.
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        self.balance.all()
    }

    /// Closes a worker's connections that were idle for too long.
    pub(crate) fn sweep(&self, worker: usize, longest: Duration) {
        self.upstreams().iter().for_each(|upstream| upstream.sweep(worker, longest));
        if let Some(admission) = self.admission.as_ref().filter(|_| worker == 0) {
            admission.sweep();
        }
    }
}

/// Sites by host and path: an exact name wins over a wildcard, a longer wildcard over a shorter; of one host the
/// longest path wins.
#[derive(Debug, Default)]
pub struct SiteTable {
    exact: HashMap<String, ByPath, RandomState>,
    /// Longest suffix first.
    below: Vec<(String, ByPath)>,
    any: ByPath,
    all: Vec<Arc<Site>>,
}

/// The sites of one host, the longest path first.
#[derive(Debug, Default)]
struct ByPath(Vec<(String, Arc<Site>)>);

impl ByPath {
    fn add(&mut self, paths: &[String], site: &Arc<Site>) {
        self.0.extend(paths.iter().map(|path| (path.clone(), Arc::clone(site))));
        self.0.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    }

    /// The site of a path: whole segments count, as the origin will understand them.
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
        // A site's own pages are outside of its paths.
        let own = || self.0.iter().find(|(_, site)| site.centre.page(path_text(&path)).is_some());
        found.or_else(own).map(|(_, site)| site)
    }
}

fn path_text(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default()
}

/// Why there is no site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFound {
    /// No site has the host.
    Host,
    /// None of those that have it has the path.
    Path,
}

impl SiteTable {
    /// Files each site under its hosts and paths.
    pub fn new(sites: Vec<(Vec<HostPattern>, Vec<String>, Arc<Site>)>) -> Self {
        let mut table = Self::default();
        for (hosts, paths, site) in sites {
            for host in hosts {
                match host {
                    HostPattern::Any => table.any.add(&paths, &site),
                    HostPattern::Below(suffix) => {
                        let known = table.below.iter().position(|(known, _)| *known == suffix);
                        let place = known.unwrap_or_else(|| {
                            table.below.push((suffix, ByPath::default()));
                            table.below.len() - 1
                        });
                        if let Some((_, sites)) = table.below.get_mut(place) {
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

    /// The site of a host, given without port, and a path.
    ///
    /// # Errors
    /// When no site has both.
    pub fn find(&self, host: &str, path: &str) -> Result<&Arc<Site>, NotFound> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.find(path).ok_or(NotFound::Path);
        }
        let host = normalised_host(host);
        let fits = |(suffix, _): &&(String, ByPath)| {
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

    /// Every site, in the order of the config.
    pub fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    fn table(toml: &str) -> SiteTable {
        let config = parse(toml, None, &Overrides::default()).expect("a valid config");
        let sites = config.sites.into_iter().enumerate().map(|(index, site)| {
            let filter = Arc::new(Filter::new(site.filter));
            let centre =
                Centre::new(&site.name, site.centre, &site.page, Arc::clone(&filter), None);
            let (balance, limits) = (site.balance, site.limits);
            let forwarding = Forwarding { balance, upstreams: Vec::new(), limits };
            let built = Site::new(index, site.name, filter, (centre, None), forwarding, None);
            (site.hosts, site.paths, Arc::new(built))
        });
        SiteTable::new(sites.collect())
    }

    #[test]
    fn an_exact_host_wins_over_wildcards_and_the_longer_wildcard_over_the_shorter() {
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
    fn of_one_host_the_longest_path_of_whole_segments_wins() {
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
            // As the origin will understand it, whatever it looks like.
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
