//! The sites of a running proxy, and which one a host belongs to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use http::HeaderValue;
use ipnet::IpNet;
use rustls::ServerConfig;

use super::pool::Upstream;
use crate::centre::Centre;
use crate::config::settings::{self, HostPattern, Limits, Timeouts};
use crate::filter::Filter;
use crate::page::Pages;
use crate::telemetry::{AccessLog, Generation};

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
    /// How hands are shaken with visitors, where TLS is listened for.
    pub tls: Option<Arc<ServerConfig>>,
    /// The port of https that visitors of http are sent to, where they are.
    pub redirect: Option<u16>,
    /// Connections begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Where a line for each request goes, if anywhere.
    pub access_log: Option<AccessLog>,
}

impl Snapshot {
    /// Whether a peer is one of the trusted proxies.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
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
    /// The `Host` of requests that came without one: HTTP/1.0 knew none, HTTP/1.1 demands it.
    pub(super) host: HeaderValue,
    upstreams: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
}

impl Site {
    /// A site that forwards to these upstreams in turn.
    pub fn new(
        index: usize,
        name: String,
        filter: Arc<Filter>,
        (centre, page): (Centre, Option<Pages>),
        upstreams: Vec<Arc<Upstream>>,
    ) -> Self {
        let host =
            upstreams.first().and_then(|upstream| upstream.address().authority().try_into().ok());
        let host = host.unwrap_or(HeaderValue::from_static("localhost"));
        Self { index, name, filter, centre, page, host, upstreams, turn: AtomicUsize::new(0) }
    }

    /// The upstream at an address, with the connections to it.
    pub fn upstream(&self, address: &settings::Upstream) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.address() == address)
    }

    /// The upstream whose turn it is, as an index: each request starts with the next that takes connections.
    pub(super) fn next_turn(&self) -> usize {
        let count = self.upstreams.len();
        if count <= 1 {
            return 0;
        }
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        let takes = |turn: &usize| self.upstreams.get(*turn).is_some_and(|it| !it.is_out());
        (0..count).map(|step| (start + step) % count).find(takes).unwrap_or(start)
    }

    /// The upstreams in the order to try them.
    pub(super) fn upstreams(&self, turn: usize) -> impl Iterator<Item = &Arc<Upstream>> {
        let (before, from) = self.upstreams.split_at_checked(turn).unwrap_or((&[], &[]));
        from.iter().chain(before)
    }

    /// Closes a worker's connections that were idle for too long.
    pub(super) fn sweep(&self, worker: usize, longest: Duration) {
        self.upstreams.iter().for_each(|upstream| upstream.sweep(worker, longest));
    }
}

/// Sites by host: an exact name wins over a wildcard, a longer wildcard over a shorter.
#[derive(Debug, Default)]
pub struct SiteTable {
    exact: HashMap<String, Arc<Site>, RandomState>,
    /// Longest suffix first.
    below: Vec<(String, Arc<Site>)>,
    any: Option<Arc<Site>>,
    all: Vec<Arc<Site>>,
}

impl SiteTable {
    /// Files each site under its hosts.
    pub fn new(sites: Vec<(Vec<HostPattern>, Arc<Site>)>) -> Self {
        let mut table = Self::default();
        for (hosts, site) in sites {
            for host in hosts {
                match host {
                    HostPattern::Any => table.any = Some(Arc::clone(&site)),
                    HostPattern::Below(suffix) => table.below.push((suffix, Arc::clone(&site))),
                    HostPattern::Exact(name) => {
                        table.exact.insert(name, Arc::clone(&site));
                    }
                }
            }
            table.all.push(site);
        }
        table.below.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table
    }

    /// The site of a host, given without port.
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.exact
            .get(&host)
            .or_else(|| {
                let fits = |(suffix, _): &&(String, _)| {
                    host.len() > suffix.len() && host.ends_with(suffix.as_str())
                };
                self.below.iter().find(fits).map(|(_, site)| site)
            })
            .or(self.any.as_ref())
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

    #[test]
    fn an_exact_host_wins_over_wildcards_and_the_longer_wildcard_over_the_shorter() {
        let toml = "
            [[site]]\nhosts = ['*.example.com']\nupstream = 'http://127.0.0.1:1'\nname = 'below'
            [[site]]\nhosts = ['www.example.com', 'other.test']\nupstream = 'http://127.0.0.1:1'\nname = 'exact'
            [[site]]\nhosts = ['*.shop.example.com']\nupstream = 'http://127.0.0.1:1'\nname = 'longer'
        ";
        let config = parse(toml, None, &Overrides::default()).expect("a valid config");
        let sites = config.sites.into_iter().enumerate().map(|(index, site)| {
            let filter = Arc::new(Filter::new(site.filter));
            let centre =
                Centre::new(&site.name, site.centre, &site.page, Arc::clone(&filter), None);
            let own = (centre, None);
            (site.hosts, Arc::new(Site::new(index, site.name, filter, own, Vec::new())))
        });
        let table = SiteTable::new(sites.collect());
        let find = |host: &str| table.find(host).map(|site| site.name.as_str());
        assert_eq!(find("WWW.Example.com"), Some("exact"));
        assert_eq!(find("www.example.com."), Some("exact"));
        assert_eq!(find("a.example.com"), Some("below"));
        assert_eq!(find("a.shop.example.com"), Some("longer"));
        assert_eq!(find("shop.example.com"), Some("below"));
        assert_eq!(find("example.com"), None);
        assert_eq!(find(""), None);
    }
}
