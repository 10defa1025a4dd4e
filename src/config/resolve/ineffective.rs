//! Warnings about options without effect, because another option is missing or takes precedence.

use super::defaults::Ctx;
use super::layers::Layers;
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{
    OneOrMany, Raw, RawConsent, RawDefault, RawListen, RawSignal, RawSite, RawSiteLimits,
    RawUpstream, RawUpstreamTls, StringOrTable,
};
use crate::config::settings::{BalanceMethod, Position};
use crate::consent::sources;

/// The key of an option, and why it has no effect. An option with its default value is not reported.
type IneffectiveKey = (String, &'static str);

/// A warning for each option without effect. A top-level option is reported if it has no effect for any site.
pub(super) fn warnings(document: Ctx, raw: &Raw) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    listeners(raw, &mut found);
    others(raw, &mut found);
    let limits = raw.limits.of_sites();
    let none = RawSite::default();
    let sites: Vec<(String, &RawSite)> = match raw.site.as_slice() {
        [] => vec![(String::new(), &none)],
        sites => {
            let numbered = sites.iter().enumerate();
            numbered.map(|(index, site)| (format!("site[{index}]."), site.get_ref())).collect()
        }
    };
    let of_sites: Vec<Vec<IneffectiveKey>> =
        sites.iter().map(|(key, site)| of_site(key, site, raw, &limits)).collect();
    for one in of_sites.iter().flatten() {
        let everywhere = || of_sites.iter().all(|others| others.contains(one));
        if !found.contains(one) && (one.0.starts_with("site[") || everywhere()) {
            found.push(one.clone());
        }
    }
    let warning = |(key, reason): IneffectiveKey| document.at(None, key, reason.to_owned(), None);
    found.into_iter().map(warning).collect()
}

/// Records an option that is present and has no effect.
fn note(
    found: &mut Vec<IneffectiveKey>,
    useless: bool,
    key: impl Into<String>,
    reason: &'static str,
) {
    if useless {
        found.push((key.into(), reason));
    }
}

fn listeners(raw: &Raw, found: &mut Vec<IneffectiveKey>) {
    let default = RawListen::default();
    let listen = match &raw.listen {
        Some(StringOrTable::Table(listen)) => listen,
        Some(StringOrTable::Text(_)) | None => &default,
    };
    let tls = &raw.tls;
    if listen.https.is_none() {
        let reason = "has no effect without listen.https";
        note(found, tls.redirect == Some(true), "tls.redirect", reason);
        note(found, tls.min_version.is_some(), "tls.min_version", reason);
        note(found, tls.client_ca.is_some(), "tls.client_ca", reason);
        note(found, tls.acme.is_some(), "tls.acme", reason);
        note(found, tls.ticket_key_file.is_some(), "tls.ticket_key_file", reason);
    }
    let reason = "has no effect without tls.client_ca";
    note(found, tls.client_auth.is_some() && tls.client_ca.is_none(), "tls.client_auth", reason);
    let fields = tls.client_cert_fields == Some(true) && tls.client_ca.is_none();
    note(found, fields, "tls.client_cert_fields", reason);
    let port = tls.redirect_port.is_some() && tls.redirect != Some(true);
    note(found, port, "tls.redirect_port", "has no effect without tls.redirect = true");
    if listen.admin.as_ref().is_some_and(|admin| admin.get_ref() == "off") {
        let reason = "has no effect with listen.admin = \"off\"";
        note(found, listen.admin_token_file.is_some(), "listen.admin_token_file", reason);
        note(found, !listen.admin_hosts.is_empty(), "listen.admin_hosts", reason);
    }
}

fn others(raw: &Raw, found: &mut Vec<IneffectiveKey>) {
    if raw.expire.enabled == Some(false) {
        let reason = "has no effect with expire.enabled = false";
        note(found, raw.expire.max_per_response.is_some(), "expire.max_per_response", reason);
    }
    let category = raw.beacons.list_category.as_ref();
    let listed = category.is_some_and(|category| category.get_ref() != "analytics")
        && raw.beacons.lists.is_empty();
    note(found, listed, "beacons.list_category", "has no effect without beacons.lists");
    if raw.log.access == Some(false) {
        let reason = "has no effect with log.access = false";
        note(found, raw.log.access_format.is_some(), "log.access_format", reason);
        note(found, raw.log.visitor_address.is_some(), "log.visitor_address", reason);
    }
    if let Some(receipts) = raw.receipts.as_ref().map(|typed| typed.get_ref()) {
        let sqlite = receipts.url.as_ref().is_none_or(|url| url.get_ref().starts_with("sqlite:"));
        let reason = "has no effect with a SQLite file";
        note(found, receipts.ca_file.is_some() && sqlite, "receipts.ca_file", reason);
    }
}

fn of_site(key: &str, site: &RawSite, raw: &Raw, limits: &RawSiteLimits) -> Vec<IneffectiveKey> {
    let mut found = Vec::new();
    of_limits(&Layers::new("limits", key, &site.limits, limits), &mut found);
    let consent = Layers::new("consent", key, &site.consent, &raw.consent);
    of_consent(&consent, site.sticky_cookie.is_some(), &mut found);
    let banner = Layers::new("banner", key, &site.banner, &raw.banner);
    if banner.copied(|raw| raw.enabled) != Some(true) {
        let reason = "has no effect without banner.enabled = true";
        let position = banner.get("position", |raw| raw.position.as_ref());
        let position = position.filter(|(_, position)| **position != Position::Bottom);
        found.extend(position.map(|(key, _)| (key, reason)));
        let colours = banner.entries("colours", |raw| &raw.colours).into_values();
        found.extend(colours.map(|(key, _)| (key, reason)));
    }
    let guard = Layers::new("page", key, &site.page, &raw.page).copied(|raw| raw.guard);
    if guard != Some(true) {
        let reason = "has no effect without page.guard = true";
        note(&mut found, !site.host.is_empty(), format!("{key}host"), reason);
        note(&mut found, !raw.host.is_empty(), "host", reason);
    }
    of_upstreams(key, site, &raw.upstream_tls, &mut found);
    found
}

fn of_limits(limits: &Layers<'_, RawSiteLimits>, found: &mut Vec<IneffectiveKey>) {
    let rate = limits.get("requests_per_second", |raw| raw.requests_per_second.as_ref());
    let concurrent = limits.get("concurrent_requests", |raw| raw.concurrent_requests.as_ref());
    let queue = limits.get("queue", |raw| raw.queue.as_ref());
    let queue = queue.filter(|(_, queue)| *queue.get_ref() > 0);
    let burst = limits.get("burst", |raw| raw.burst.as_ref()).filter(|_| rate.is_none());
    found.extend(burst.map(|(key, _)| (key, "has no effect without requests_per_second")));
    let timeout = limits.get("queue_timeout", |raw| raw.queue_timeout.as_ref());
    let timeout = timeout.filter(|(_, typed)| queue.is_none() && typed.get_ref() != "5s");
    found.extend(timeout.map(|(key, _)| (key, "has no effect without queue")));
    let queue = queue.filter(|_| concurrent.is_none());
    found.extend(queue.map(|(key, _)| (key, "has no effect without concurrent_requests")));
}

fn of_consent(consent: &Layers<'_, RawConsent>, sticky: bool, found: &mut Vec<IneffectiveKey>) {
    if consent.copied(|raw| raw.gpc) == Some(RawSignal::Ignore) {
        let categories = consent.get("gpc_categories", |raw| raw.gpc_categories.as_ref());
        found.extend(categories.map(|(key, _)| (key, "has no effect with gpc = \"ignore\"")));
    }
    if consent.copied(|raw| raw.dnt) != Some(RawSignal::Deny) {
        let categories = consent.get("dnt_categories", |raw| raw.dnt_categories.as_ref());
        let defaults = ["analytics", "targeting", "social"];
        let categories = categories
            .filter(|(_, names)| !names.iter().map(|name| name.get_ref().as_str()).eq(defaults));
        found.extend(categories.map(|(key, _)| (key, "has no effect without dnt = \"deny\"")));
    }
    let region = consent.table("region", |raw| raw.region.as_ref());
    let default = consent.get("default", |raw| raw.default.as_ref());
    if let Some((key, RawDefault::Allow)) = default.filter(|_| region.exists()) {
        let reason = "has no effect with consent.region: regions that it does not allow are denied";
        found.push((key, reason));
    }
    let listed = consent.get("sources", |raw| raw.sources.as_ref());
    let listed: Vec<&str> = match listed {
        Some((_, names)) => names.get_ref().iter().map(|name| name.get_ref().as_str()).collect(),
        None => vec!["consentry"],
    };
    if !listed.iter().any(|name| sources::reads_own_cookie(name)) {
        let reason = "has no effect: no source of consent.sources reads consentry's own cookie";
        let domain = consent.get("cookie_domain", |raw| raw.cookie_domain.as_ref());
        // The key file also signs the affinity cookie.
        let keys = consent.get("key_file", |raw| raw.key_file.as_ref()).filter(|_| !sticky);
        found.extend(domain.into_iter().chain(keys).map(|(key, _)| (key, reason)));
    }
    let reason = "has no effect: the tool has a single choice for all categories";
    for (path, table) in consent.tables() {
        let has_map = |name: &str| table.source(name).is_some_and(|raw| !raw.map.is_empty());
        let useless = sources::TOOLS.iter().filter(|tool| !tool.has_ids && has_map(tool.name));
        found.extend(useless.map(|tool| (format!("{path}.{}.map", tool.name), reason)));
    }
    if !listed.contains(&"auto") {
        let reason = "has no effect: the source is not in consent.sources";
        for (path, table) in consent.tables() {
            let generic = table.generic.is_some().then_some("generic");
            let tools = sources::names().filter(|name| table.source(name).is_some());
            let unread = tools.chain(generic).filter(|name| !listed.contains(name));
            found.extend(unread.map(|name| (format!("{path}.{name}"), reason)));
        }
    }
}

fn of_upstreams(
    key: &str,
    site: &RawSite,
    global: &RawUpstreamTls,
    found: &mut Vec<IneffectiveKey>,
) {
    let Some(upstream) = &site.upstream else { return };
    let OneOrMany(upstreams) = upstream.get_ref();
    if upstreams.len() < 2 {
        let reason = "has no effect with one upstream";
        let balance = site.balance.is_some_and(|method| method != BalanceMethod::RoundRobin);
        note(found, balance, format!("{key}balance"), reason);
        note(found, site.sticky_cookie.is_some(), format!("{key}sticky_cookie"), reason);
    }
    let is_tls = |upstream: &StringOrTable<RawUpstream>| match upstream {
        StringOrTable::Text(url) => url.starts_with("https:"),
        StringOrTable::Table(table) => {
            table.url.as_ref().is_some_and(|url| url.get_ref().starts_with("https:"))
        }
    };
    if !upstreams.iter().any(is_tls) {
        let tls = Layers::new("upstream_tls", key, &site.upstream_tls, global);
        let has = |raw: &RawUpstreamTls| {
            let files = [&raw.ca_file, &raw.client_cert, &raw.client_key, &raw.server_name];
            files.iter().any(|file| file.is_some())
                || raw.insecure_skip_verify.is_some()
                || raw.http2.is_some()
        };
        let tables = tls.tables().filter(|(_, raw)| has(raw));
        let reason = "has no effect without an https upstream";
        found.extend(tables.map(|(key, _)| (key.to_owned(), reason)));
    }
}
