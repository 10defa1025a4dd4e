//! Builds the request-handling state from a config, at startup and at each reload.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::config::Config;
use crate::config::settings::{self, Listen, Mode, Scheme};
use crate::consent::CookieKeys;
use crate::consent_ui::ConsentUi;
use crate::filter::Filter;
use crate::html::SiteRewriter;
use crate::http::Via;
use crate::proxy::{ForwardSettings, Site, SiteRouter, Snapshot, UpstreamHandshake, UpstreamPool};
use crate::receipts::Receipts;
use crate::telemetry::{AccessLog, ConfigCounters, Metrics, SiteLabels, Spans, UpstreamGauge};
use crate::tls::{AcmeCertificate, Certificates, Tickets, TlsError, UpstreamTls, server_config};

/// Process-wide state that survives config reloads.
#[derive(Debug)]
pub(super) struct ProcessState {
    pub(super) workers: usize,
    pub(super) metrics: Metrics,
    pub(super) receipts: Option<Receipts>,
    pub(super) access_log: Option<AccessLog>,
    pub(super) spans: Option<Spans>,
    /// The ACME certificate, if ACME is configured.
    pub(super) acme_certificate: Option<AcmeCertificate>,
    /// Identifies this process in the `Via` field of forwarded requests.
    pub(super) via: Via,
    /// Makes TLS session tickets.
    pub(super) tickets: Tickets,
    /// Affinity cookie keys, for sites without configured keys.
    pub(super) affinity_keys: CookieKeys,
    /// The settings that require a restart, as of startup.
    pub(super) restart_only: String,
}

/// Formats the settings that require a restart, so that a reload can compare them.
pub(super) fn restart_only(config: &Config) -> String {
    let Config { listen, tls, workers, log, receipts, .. } = config;
    let acme = tls.as_ref().and_then(|tls| tls.acme.as_ref());
    let acme = acme.map(|acme| (&acme.domains, &acme.contact, &acme.directory, &acme.cache));
    let Listen { http, https, admin, reuse_port, .. } = listen;
    format!("{:?}", (http, https, admin, reuse_port, workers, log, receipts, acme))
}

/// The filters of the sites, by site name.
pub(super) type Filters = Vec<(String, Arc<Filter>)>;

/// The metric label values of each site.
pub(super) fn labels(config: &Config) -> Vec<SiteLabels> {
    let label = |site: &settings::SiteConfig| SiteLabels {
        name: site.name.clone(),
        mode: site.filter.mode.as_str(),
        categories: site.filter.reader.categories.clone(),
        sources: site.filter.reader.sources.iter().map(|source| source.name()).collect(),
    };
    config.sites.iter().map(label).collect()
}

/// The TLS settings of an upstream. `None` for an upstream without TLS.
fn handshake(
    address: &settings::Upstream,
    tls: Option<&UpstreamTls>,
    client: Option<&[Arc<ClientConfig>; 2]>,
) -> anyhow::Result<Option<UpstreamHandshake>> {
    let settings::Upstream::Tcp { host, scheme: Scheme::Https, .. } = address else {
        return Ok(None);
    };
    let [config, http1] = client.context("missing TLS client settings")?;
    let name = match tls.and_then(|tls| tls.server_name.clone()) {
        Some(name) => name,
        None => ServerName::try_from(host.clone())
            .with_context(|| format!("`{host}` is not a valid TLS server name"))?,
    };
    let (config, http1) = (Arc::clone(config), Arc::clone(http1));
    let settings = tls.cloned().unwrap_or_default();
    Ok(Some(UpstreamHandshake { config, http1, name, settings }))
}

/// The upstreams of all sites, for the metrics.
pub(super) fn gauges(snapshot: &Snapshot) -> Vec<UpstreamGauge> {
    let mut gauges = Vec::new();
    for site in snapshot.sites.all() {
        for upstream in site.upstreams() {
            let (site, address) = (site.name.clone(), upstream.address().to_string());
            let upstream = Arc::clone(upstream);
            let is_up = Box::new(move || !upstream.is_unavailable());
            gauges.push(UpstreamGauge { site, address, is_up });
        }
    }
    gauges
}

/// TLS client configs: one for any request, and one for requests that switch protocols (HTTP/1.1 only).
fn client_configs(tls: &UpstreamTls) -> Result<[Arc<ClientConfig>; 2], TlsError> {
    let http1 = Arc::new(tls.client_config(&[b"http/1.1"])?);
    let any = match tls.http2 {
        true => Arc::new(tls.client_config(&[b"h2", b"http/1.1"])?),
        false => Arc::clone(&http1),
    };
    Ok([any, http1])
}

impl ProcessState {
    /// Builds the state of a config. A site keeps the observations and upstream connections of the previous site
    /// with the same name.
    pub(super) fn snapshot(
        &self,
        config: Config,
        counters: Arc<ConfigCounters>,
        previous: Option<&Snapshot>,
    ) -> anyhow::Result<(Snapshot, Filters)> {
        let tls = config.tls.as_ref().map(|tls| {
            let certificates = Certificates::new(&tls.identities);
            let certificates = certificates.with_acme(self.acme_certificate.clone());
            let clients = tls.clients.as_ref();
            let tickets = self.tickets.producer(tls.ticket_keys.as_ref(), clients)?;
            server_config(certificates, clients, tls.only_tls_1_3, tickets)
        });
        let tls = tls.transpose().context("cannot set up TLS")?;
        // The HTTPS socket stays open until a restart, so the previous certificates are kept.
        let tls = tls.or_else(|| previous.and_then(|previous| previous.tls.clone()));
        let mut filters = Vec::new();
        let mut sites = Vec::new();
        for (index, site) in config.sites.into_iter().enumerate() {
            let all = previous.into_iter().flat_map(|previous| previous.sites.all());
            let old = all.into_iter().find(|old| old.name == site.name);
            let filter = Arc::new(match old {
                Some(old) => old.filter.with_settings(site.filter),
                None => Filter::new(site.filter),
            });
            filters.push((site.name.clone(), Arc::clone(&filter)));
            let receipts = self.receipts.clone();
            let page = &site.page;
            let centre =
                ConsentUi::new(&site.name, site.centre, page, Arc::clone(&filter), receipts);
            // In observe mode a page gets at most the guard's script, which only reports.
            let observed = settings::PageSettings { banner: None, ..page.clone() };
            let observes = filter.settings().mode == Mode::Observe;
            let page = SiteRewriter::new(if observes { &observed } else { page });
            let client = site.upstream_tls.as_ref().map(client_configs);
            let client = client.transpose().context("cannot set up TLS for the upstreams")?;
            let keys = filter.settings().reader.own.keys.as_deref();
            let keys = keys.unwrap_or(&self.affinity_keys);
            let mut upstreams = Vec::new();
            for upstream in &site.balance.upstreams {
                let address = &upstream.address;
                let handshake = handshake(address, site.upstream_tls.as_ref(), client.as_ref())?;
                let previous =
                    old.and_then(|old| old.upstream(address)).map(|previous| &**previous);
                let tags = keys.affinity_tags(&address.to_string());
                let new = UpstreamPool::new(upstream, tags, handshake, self.workers, previous);
                upstreams.push(Arc::new(new));
            }
            let (balance, limits, forwarded_for) = (site.balance, site.limits, site.forwarded_for);
            let forwarding = ForwardSettings { balance, upstreams, limits, forwarded_for };
            let old = old.map(|old| &**old);
            let built = Site::new(index, site.name, filter, (centre, page), forwarding, old);
            sites.push((site.hosts, site.paths, Arc::new(built)));
        }
        let snapshot = Snapshot {
            sites: SiteRouter::new(sites),
            locales: config.locales,
            counters,
            timeouts: config.timeouts,
            limits: config.limits,
            trusted_proxies: config.listen.trusted_proxies,
            via: self.via.clone(),
            loop_reported: AtomicBool::new(false),
            proxy_protocol: config.listen.proxy_protocol,
            tls,
            client_cert_fields: config.tls.as_ref().is_some_and(|tls| tls.client_cert_fields),
            redirect: config.tls.and_then(|tls| tls.redirect),
            access_log: self.access_log.clone(),
            spans: self.spans.clone(),
        };
        Ok((snapshot, filters))
    }
}
