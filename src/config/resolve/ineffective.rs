//! Warnings about options without effect, because another option is missing or takes precedence.

use crate::config::diagnostic::Diagnostic;
use crate::config::document::ConfigDocument;
use crate::config::raw::{
    OneOrMany, Raw, RawBanner, RawBeacons, RawConsent, RawLimits, RawListen, RawSignal, RawSite,
    RawUpstream, StringOrTable,
};
use crate::config::settings::{BalanceMethod, UrlIdentifiers};
use crate::config::spanned::{Spanned, Text};
use crate::consent::sources;

/// The key of an option, and why it has no effect.
type IneffectiveKey = (String, &'static str);

/// The options without effect of a config or of a site.
struct Found<'a> {
    document: &'a ConfigDocument<'a>,
    /// The path of the site, including the trailing dot.
    site: String,
    keys: Vec<IneffectiveKey>,
}

impl Found<'_> {
    /// Records an option without effect, if it is present in the site or at the top level.
    fn note(&mut self, is_useless: bool, key: &str, reason: &'static str) {
        let paths = [format!("{}{key}", self.site), key.to_owned()];
        let path = paths.into_iter().filter(|_| is_useless).find(|path| self.document.has(path));
        self.keys.extend(path.map(|path| (path, reason)));
    }
}

/// A warning for each option without effect. A top-level option is reported if it has no effect for any site.
pub(super) fn warnings(
    document: &ConfigDocument<'_>,
    raw: &Raw,
    sites: &[Spanned<RawSite>],
) -> Vec<Diagnostic> {
    let mut global = Found { document, site: String::new(), keys: Vec::new() };
    listeners(raw, &mut global);
    others(raw, &mut global);
    let mut found = global.keys;
    let of_sites: Vec<Vec<IneffectiveKey>> = sites
        .iter()
        .enumerate()
        .map(|(index, site)| {
            let mut found = Found { document, site: format!("site[{index}]."), keys: Vec::new() };
            of_site(site.get_ref(), raw, &mut found);
            found.keys
        })
        .collect();
    for one in of_sites.iter().flatten() {
        let everywhere = || of_sites.iter().all(|others| others.contains(one));
        if !found.contains(one) && (one.0.starts_with("site[") || everywhere()) {
            found.push(one.clone());
        }
    }
    found.into_iter().map(|(key, reason)| document.of_key(key, reason)).collect()
}

fn listeners(raw: &Raw, found: &mut Found<'_>) {
    let default = RawListen::default();
    let listen = match raw.listen.as_ref().map(Spanned::get_ref) {
        Some(StringOrTable::Table(listen)) => listen,
        Some(StringOrTable::Text(_)) | None => &default,
    };
    let tls = &raw.tls;
    if listen.https.is_none() {
        let reason = "has no effect without listen.https";
        found.note(tls.redirect, "tls.redirect", reason);
        for key in ["tls.min_version", "tls.client_ca", "tls.acme", "tls.ticket_key_file"] {
            found.note(true, key, reason);
        }
    }
    let reason = "has no effect without tls.client_ca";
    found.note(tls.client_ca.is_none(), "tls.client_auth", reason);
    let fields = tls.client_cert_fields && tls.client_ca.is_none();
    found.note(fields, "tls.client_cert_fields", reason);
    found.note(!tls.redirect, "tls.redirect_port", "has no effect without tls.redirect = true");
    if listen.admin.get_ref() == "off" {
        let reason = "has no effect with listen.admin = \"off\"";
        found.note(true, "listen.admin_token_file", reason);
        found.note(!listen.admin_hosts.is_empty(), "listen.admin_hosts", reason);
    }
}

fn others(raw: &Raw, found: &mut Found<'_>) {
    let reason = "has no effect with expire.enabled = false";
    found.note(!raw.expire.enabled, "expire.max_per_response", reason);
    let default = RawBeacons::default().list_category;
    let category = raw.beacons.list_category.get_ref() != default.get_ref();
    let reason = "has no effect without beacons.lists";
    found.note(category && raw.beacons.lists.is_empty(), "beacons.list_category", reason);
    let reason = "has no effect with log.access = false";
    found.note(!raw.log.access, "log.access_format", reason);
    found.note(!raw.log.access, "log.visitor_address", reason);
    let sqlite = |url: &Text| url.get_ref().starts_with("sqlite:");
    let sqlite = raw.receipts.as_ref().is_some_and(|receipts| sqlite(&receipts.url));
    found.note(sqlite, "receipts.ca_file", "has no effect with a SQLite file");
}

fn of_site(site: &RawSite, raw: &Raw, found: &mut Found<'_>) {
    let (own, all) = (&site.limits, &raw.limits);
    let rate = own.requests_per_second.or(all.requests_per_second);
    found.note(rate.is_none(), "limits.burst", "has no effect without requests_per_second");
    let queue = own.queue.unwrap_or(all.queue).0 > 0;
    let timeout = own.queue_timeout.unwrap_or(all.queue_timeout);
    let timeout = !queue && timeout != RawLimits::default().queue_timeout;
    found.note(timeout, "limits.queue_timeout", "has no effect without queue");
    let concurrent = own.concurrent_requests.or(all.concurrent_requests);
    let reason = "has no effect without concurrent_requests";
    found.note(queue && concurrent.is_none(), "limits.queue", reason);
    of_consent(&site.consent, site.sticky_cookie.is_some(), found);
    if !site.banner.enabled {
        let reason = "has no effect without banner.enabled = true";
        let position = site.banner.position != RawBanner::default().position;
        found.note(position, "banner.position", reason);
        for name in site.banner.colours.keys() {
            found.note(true, &format!("banner.colours.{name}"), reason);
        }
    }
    if !site.page.guard {
        let reason = "has no effect without page.guard = true";
        let paths = [format!("{}host", found.site), "host".to_owned()];
        let present = paths.into_iter().filter(|path| found.document.has(path));
        found.keys.extend(present.map(|path| (path, reason)));
    }
    if site.url_identifiers.unwrap_or(raw.url_identifiers) == UrlIdentifiers::Off {
        let reason = "has no effect with url_identifiers = \"off\"";
        let paths = [format!("{}parameter", found.site), "parameter".to_owned()];
        let present = paths.into_iter().filter(|path| found.document.has(path));
        found.keys.extend(present.map(|path| (path, reason)));
    }
    of_upstreams(site, found);
}

fn of_consent(consent: &RawConsent, sticky: bool, found: &mut Found<'_>) {
    let reason = "has no effect with gpc = \"ignore\"";
    found.note(consent.gpc == RawSignal::Ignore, "consent.gpc_categories", reason);
    let names = |consent: &RawConsent| -> Vec<String> {
        consent.dnt_categories.get_ref().iter().map(|name| name.get_ref().clone()).collect()
    };
    let dnt = consent.dnt == RawSignal::Ignore && names(consent) != names(&RawConsent::default());
    found.note(dnt, "consent.dnt_categories", "has no effect without dnt = \"deny\"");
    let allows = consent.default.allows() && consent.region.is_some();
    let reason = "has no effect with consent.region: regions that it does not allow are denied";
    found.note(allows, "consent.default", reason);
    let listed = consent.sources.get_ref();
    let listed: Vec<&str> = listed.iter().map(|name| name.get_ref().as_str()).collect();
    if !listed.iter().any(|name| sources::reads_own_cookie(name)) {
        let reason = "has no effect: no source of consent.sources reads consentry's own cookie";
        found.note(true, "consent.cookie_domain", reason);
        // The key file also signs the affinity cookie.
        found.note(!sticky, "consent.key_file", reason);
    }
    for tool in sources::TOOLS {
        let reason = "has no effect: the tool has a single choice for all categories";
        found.note(!tool.has_ids, &format!("consent.{}.map", tool.name), reason);
        let reason = "has no effect: the source is not in consent.sources";
        let unread = !listed.contains(&sources::AUTO) && !listed.contains(&tool.name);
        found.note(unread, &format!("consent.{}", tool.name), reason);
    }
}

fn of_upstreams(site: &RawSite, found: &mut Found<'_>) {
    let Some(upstream) = &site.upstream else { return };
    let OneOrMany(upstreams) = upstream.get_ref();
    if upstreams.len() < 2 {
        let reason = "has no effect with one upstream";
        found.note(site.balance != BalanceMethod::RoundRobin, "balance", reason);
        found.note(true, "sticky_cookie", reason);
    }
    let is_tls = |upstream: &StringOrTable<RawUpstream>| match upstream {
        StringOrTable::Text(url) => url.starts_with("https:"),
        StringOrTable::Table(table) => {
            table.url.as_ref().is_some_and(|url| url.get_ref().starts_with("https:"))
        }
    };
    let reason = "has no effect without an https upstream";
    found.note(!upstreams.iter().any(is_tls), "upstream_tls", reason);
}
