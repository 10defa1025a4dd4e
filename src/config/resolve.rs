//! Conversion of the raw config into settings. Reports every problem and continues.

mod date;
mod defaults;
mod filter;
mod ineffective;
mod layers;
mod listen;
mod loops;
mod names;
mod own_cookie;
mod pages;
mod receipts;
mod siblings;
mod site;
mod sources;
mod tls;
mod upstreams;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use defaults::{Ctx, Defaults};

use super::catalogue_file::{Rules, named_category};
use super::diagnostic::Diagnostic;
use super::document::span;
use super::overrides::Overrides;
use super::raw::{RawCategory, RawDefault, RawTechnologies};
use super::settings::{
    AccessFormat, AdminAddress, Config, Detect, Expire, Listen, Log, LogFormat, LogLevel,
    LoggedAddress, ReceiptSettings, SiteConfig, Technologies,
};
use crate::catalogue::{Catalogue, FilterLists, RulePriority};
use crate::config::spanned::Spanned;
use crate::consent::{Categories, Category};

/// Maximum number of conflicts between catalogue files that are listed individually.
const MAX_CONFLICTS: usize = 20;

/// Whether each site needs an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upstreams {
    Required,
    Optional,
}

/// Converts the raw config into settings. The default replaces an invalid value.
pub(super) fn resolve(
    document: Ctx,
    folder: &Path,
    overrides: &Overrides,
    upstreams: Upstreams,
) -> Config {
    let raw = std::mem::take(&mut document.value);
    let ineffective = ineffective::warnings(document, &raw);
    let categories = categories(document, raw.category);
    let files = raw.catalogue.clone().unwrap_or_default();
    let mut rules = catalogue_rules(document, raw.catalogue, folder, &categories);
    rules.add(document, "", (raw.cookie, raw.beacon, raw.host), RulePriority::Config, &categories);
    let expire = Expire {
        enabled: raw.expire.enabled.unwrap_or(true),
        max_per_response: document.bounded(
            "expire.max_per_response",
            raw.expire.max_per_response,
            0,
            200,
            30,
        ),
    };
    let texts = filter_lists(document, raw.beacons.lists, folder);
    let list_category = raw
        .beacons
        .list_category
        .and_then(|name| named_category(document, "beacons.list_category", &name, &categories));
    let lists = (!texts.is_empty())
        .then(|| FilterLists::compile(texts, list_category.unwrap_or(Category::ANALYTICS)));
    let lists = lists.transpose().unwrap_or_else(|error| {
        document.problem(None, "beacons.lists".to_owned(), error.to_string(), None);
        None
    });
    let detect = raw.beacons.detect.unwrap_or(Detect::Report);
    let email_opens = matches!(raw.beacons.email_opens, Some(RawDefault::Allow));
    let technologies = technologies(document, raw.technologies, &categories);
    let on_withdrawal = raw.expire.on_withdrawal.as_deref();
    let pages = pages::common(
        document,
        (raw.centre, raw.banner, raw.page),
        pages::on_withdrawal(on_withdrawal),
        folder,
    );
    let receipts = raw.receipts.and_then(|raw| receipts::receipts(document, raw, folder));
    let common = Defaults {
        mode: raw.mode,
        unclassified: raw.unclassified,
        consent: raw.consent,
        categories,
        rule_set: Arc::new(rules.compile()),
        rules,
        expire,
        detect,
        email_opens,
        max_cookies: document.bounded(
            "limits.cookies",
            raw.limits.cookies.clone(),
            50,
            10_000,
            400,
        ),
        lists,
        technologies,
        upstream_tls: raw.upstream_tls,
        site_limits: raw.limits.of_sites(),
        needs_upstreams: upstreams == Upstreams::Required,
        pages,
    };
    let mut sites = site::sites(document, raw.site, &common, overrides);
    let shared = Catalogue::over(&common.rule_set, [], [], []);
    let related = siblings::siblings(&sites, shared);
    for (site, siblings) in sites.iter_mut().zip(related) {
        site.filter.siblings = siblings;
    }
    let mut warnings = warnings(document, &common, &sites);
    warnings.extend(ineffective);
    warnings.extend(short_retention(document, receipts.as_ref(), &sites));
    let listen = listen::listen(document, raw.listen, folder, overrides);
    warnings.extend(unguarded(document, &listen));
    warnings.extend(loops::warnings(document, &listen, &sites));
    let tls = tls::tls(document, raw.tls, listen.https.is_some(), folder, &mut warnings);
    warnings.extend(conflicts(document, &common, &files));
    warnings.extend(unverified(document, &sites));
    Config {
        listen,
        tls,
        workers: raw.workers.map(|workers| document.bounded("workers", Some(workers), 1, 1024, 1)),
        timeouts: listen::timeouts(document, raw.timeouts),
        limits: listen::limits(document, raw.limits, raw.retries),
        log: Log {
            access: raw.log.access.unwrap_or(true),
            format: raw.log.format.unwrap_or(LogFormat::Auto),
            access_format: raw.log.access_format.unwrap_or(AccessFormat::Auto),
            visitor_address: raw.log.visitor_address.unwrap_or(LoggedAddress::None),
            level: raw.log.level.unwrap_or(LogLevel::Info),
        },
        receipts,
        sites,
        files: Vec::new(),
        warnings,
    }
}

/// Warns about user rules that require consent for cookies which the catalogue files classify as necessary.
/// Stripping such a cookie can log a visitor out.
fn warnings(document: Ctx, common: &Defaults, sites: &[SiteConfig]) -> Vec<Diagnostic> {
    let files =
        common.rules.cookies.iter().filter(|rule| matches!(rule.tier, RulePriority::Catalogue(_)));
    let necessary: Vec<&str> = files
        .filter(|rule| rule.entry.category == Category::NECESSARY && rule.pattern.is_exact())
        .map(|rule| rule.pattern.as_str())
        .collect();
    let mut warnings: Vec<Diagnostic> = Vec::new();
    for site in sites {
        let catalogue = &site.filter.policy.catalogue;
        for name in &necessary {
            let Some(rule) = catalogue.cookie(name.as_bytes()) else { continue };
            let users = matches!(rule.tier, RulePriority::Config | RulePriority::Site);
            if users && rule.entry.category != Category::NECESSARY {
                let message = format!(
                    "`{}` is {} by rule `{}`, but strictly necessary in the catalogue: stripping it may log visitors out",
                    name,
                    common.categories.name(rule.entry.category),
                    rule.pattern.as_str(),
                );
                let problem = Diagnostic::of_file(&document.file, message);
                if !warnings.contains(&problem) {
                    warnings.push(problem);
                }
            }
        }
    }
    warnings
}

/// Warns about an admin listener without access control.
fn unguarded(document: Ctx, listen: &Listen) -> Option<Diagnostic> {
    let Some(AdminAddress::Tcp(address)) = &listen.admin else { return None };
    let open = !address.ip().is_loopback() && listen.admin_token.is_none();
    let message = format!(
        "listen.admin = \"{address}\" is reachable from the network without listen.admin_token_file: anyone can read metrics and inventory, and change the log level"
    );
    open.then(|| Diagnostic::of_file(&document.file, message))
}

/// Warns about receipts that are deleted while the consent that they prove is still valid on some site.
fn short_retention(
    document: Ctx,
    receipts: Option<&ReceiptSettings>,
    sites: &[SiteConfig],
) -> Option<Diagnostic> {
    let longest = sites.iter().map(|site| site.filter.reader.max_age_days).max()?;
    let key = "receipts.retention_days".to_owned();
    let message =
        "is shorter than consent.max_age_days: receipts are deleted before the consent expires";
    let short = receipts?.retention_days < longest;
    short.then(|| document.at(None, key, message.to_owned(), None))
}

/// Warns about upstreams whose certificates are not verified.
fn unverified(document: Ctx, sites: &[SiteConfig]) -> Vec<Diagnostic> {
    let insecure = |site: &&SiteConfig| site.upstream_tls.as_ref().is_some_and(|tls| tls.insecure);
    let warn = |site: &SiteConfig| {
        let message = format!(
            "INSECURE: upstream certificates of `{}` are not verified: man-in-the-middle attacks are possible",
            site.name
        );
        Diagnostic::of_file(&document.file, message)
    };
    sites.iter().filter(insecure).map(warn).collect()
}

/// Warns about names that two catalogue files put into different categories. The later file wins.
fn conflicts(document: Ctx, common: &Defaults, files: &[Spanned<String>]) -> Vec<Diagnostic> {
    let mut rules_by_name: HashMap<&str, (u16, Category)> = HashMap::new();
    let mut conflicts = Vec::new();
    let mut more = 0_usize;
    let file = |file_index: u16| {
        files.get(usize::from(file_index)).map_or("builtin", |file| file.get_ref())
    };
    for rule in &common.rules.cookies {
        let RulePriority::Catalogue(file_index) = rule.tier else { continue };
        let (name, category) = (rule.pattern.as_str(), rule.entry.category);
        let Some((earlier, other)) = rules_by_name.insert(name, (file_index, category)) else {
            continue;
        };
        if earlier == file_index || other == category {
            continue;
        }
        if conflicts.len() >= MAX_CONFLICTS {
            more += 1;
            continue;
        }
        let message = format!(
            "`{name}` is {} in `{}` and {} in `{}`: the later file wins",
            common.categories.name(other),
            file(earlier),
            common.categories.name(category),
            file(file_index),
        );
        conflicts.push(Diagnostic::of_file(&document.file, message));
    }
    if more > 0 {
        let message =
            format!("and {more} more names with different categories in two catalogue files");
        conflicts.push(Diagnostic::of_file(&document.file, message));
    }
    conflicts
}

fn categories(document: Ctx, raw: Vec<Spanned<RawCategory>>) -> Categories {
    let mut categories = Categories::default();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = format!("category[{index}].name");
        let at = span(&raw);
        match raw.into_inner().name {
            None => document.missing(at, key, "name = \"video\""),
            Some(name) => {
                if let Err(error) = categories.add(name.get_ref()) {
                    document.problem(Some(span(&name)), key, error.to_string(), None);
                }
            }
        }
    }
    categories
}

fn catalogue_rules(
    document: Ctx,
    files: Option<Vec<Spanned<String>>>,
    folder: &Path,
    categories: &Categories,
) -> Rules {
    let mut rules = Rules::default();
    let Some(files) = files else {
        rules.add_builtin(document, RulePriority::Catalogue(0));
        return rules;
    };
    for (index, file) in files.iter().enumerate() {
        let tier = RulePriority::Catalogue(u16::try_from(index).unwrap_or(u16::MAX));
        if file.get_ref() == "builtin" {
            rules.add_builtin(document, tier);
            continue;
        }
        let path = folder.join(file.get_ref());
        match document.read_text(&path) {
            Ok(text) => {
                rules.add_file(document, &path.display().to_string(), &text, tier, categories)
            }
            Err(error) => document.problem(
                Some(span(file)),
                format!("catalogue[{index}]"),
                format!("cannot read `{}`: {error}", path.display()),
                Some("`builtin`, or the path of a TOML file from this file's folder".to_owned()),
            ),
        }
    }
    rules
}

/// Reads the texts of the filter lists.
fn filter_lists(document: Ctx, files: Vec<Spanned<String>>, folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let path = folder.join(file.get_ref());
        let read =
            document.read_text(&path).map_err(|error| format!("cannot read the file: {error}"));
        let read = read.and_then(|text| match FilterLists::rules_in(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(error.to_string()),
        });
        match read {
            Ok(text) => texts.push(text),
            Err(reason) => {
                let message = format!("`{}` {reason}", path.display());
                document.problem(
                    Some(span(file)),
                    format!("beacons.lists[{index}]"),
                    message,
                    None,
                );
            }
        }
    }
    texts
}

fn technologies(document: Ctx, raw: RawTechnologies, categories: &Categories) -> Technologies {
    let defaults = Technologies::default();
    let mut category = |name: &str, value: Option<Spanned<String>>, default: Option<Category>| {
        let Some(value) = value else { return default };
        if value.get_ref() == "off" {
            return None;
        }
        named_category(document, &format!("technologies.{name}"), &value, categories).or(default)
    };
    Technologies {
        nel: category("nel", raw.nel, defaults.nel),
        reporting: category("reporting", raw.reporting, defaults.reporting),
        attribution_reporting: category(
            "attribution_reporting",
            raw.attribution_reporting,
            defaults.attribution_reporting,
        ),
        topics: category("topics", raw.topics, defaults.topics),
        ad_auctions: category("ad_auctions", raw.ad_auctions, defaults.ad_auctions),
        shared_storage: category("shared_storage", raw.shared_storage, defaults.shared_storage),
        private_state_tokens: category(
            "private_state_tokens",
            raw.private_state_tokens,
            defaults.private_state_tokens,
        ),
        client_hints: category("client_hints", raw.client_hints, defaults.client_hints),
        dictionaries: category("dictionaries", raw.dictionaries, defaults.dictionaries),
        navigation_preload: category(
            "navigation_preload",
            raw.navigation_preload,
            defaults.navigation_preload,
        ),
        media_metrics: category("media_metrics", raw.media_metrics, defaults.media_metrics),
        subscriber_ids: category("subscriber_ids", raw.subscriber_ids, defaults.subscriber_ids),
        beacon_etag: category("beacon_etag", raw.beacon_etag, defaults.beacon_etag),
        login_status: category("login_status", raw.login_status, defaults.login_status),
        device_bound_sessions: category(
            "device_bound_sessions",
            raw.device_bound_sessions,
            defaults.device_bound_sessions,
        ),
        alternative_services: raw.alternative_services.unwrap_or(defaults.alternative_services),
    }
}
