//! Conversion of the raw config into settings. Reports every problem and continues.

mod defaults;
mod filter;
mod ineffective;
mod listen;
mod loops;
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

use defaults::Defaults;

use super::catalogue_file::{RawRules, Rules, named_category};
use super::diagnostic::Diagnostic;
use super::document::{ConfigDocument, Ctx};
use super::merge;
use super::overrides::Overrides;
use super::raw::{Raw, RawCategory, RawDefault, RawTechnologies, RawWithdrawal};
use super::settings::{
    AdminAddress, Config, Expire, FilterListSummary, Listen, OnWithdrawal, ReceiptSettings,
    SiteConfig, Technologies,
};
use crate::catalogue::{Catalogue, FilterLists, RulePriority};
use crate::config::locales::locales;
use crate::config::spanned::{Spanned, Text};
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
    raw: Raw,
    folder: &Path,
    overrides: &Overrides,
    upstreams: Upstreams,
) -> Config {
    let sites = merge::sites(document);
    let ineffective = ineffective::warnings(document, &raw, &sites);
    let categories = categories(document, raw.category);
    let mut rules = catalogue_rules(document, raw.catalogue.get_ref(), folder, &categories);
    let own = RawRules {
        cookies: raw.cookie,
        beacons: raw.beacon,
        hosts: raw.host,
        parameters: raw.parameter,
    };
    rules.add(document, own, RulePriority::Config, &categories);
    let (texts, list_lines) = filter_lists(document, raw.beacons.lists, folder);
    let list_category = named_category(document, &raw.beacons.list_category, &categories);
    let lists = (!texts.is_empty())
        .then(|| FilterLists::compile(texts, list_category.unwrap_or(Category::ANALYTICS)));
    let lists = lists.transpose().unwrap_or_else(|error| {
        document.problem(None, "beacons.lists".to_owned(), error.to_string(), None);
        None
    });
    let common = Defaults {
        mode: raw.mode,
        unclassified: raw.unclassified,
        forwarded_for: raw.forwarded_for,
        url_identifiers: raw.url_identifiers,
        technologies: technologies(document, raw.technologies, &categories),
        categories,
        rule_set: Arc::new(rules.compile()),
        rules,
        expire: Expire {
            enabled: raw.expire.enabled,
            max_per_response: raw.expire.max_per_response.get(),
        },
        detect: raw.beacons.detect,
        email_opens: raw.beacons.email_opens == RawDefault::Allow,
        lists,
        limits: raw.limits.clone(),
        prefix: pages::prefix(document, &raw.centre.prefix),
        on_withdrawal: OnWithdrawal {
            cookies: raw.expire.on_withdrawal.contains(&RawWithdrawal::Cookies),
            storage: raw.expire.on_withdrawal.contains(&RawWithdrawal::Storage),
        },
        locales: Arc::new(locales(document, &raw.centre, folder)),
        centre: raw.centre,
        folder: folder.to_owned(),
        needs_upstreams: upstreams == Upstreams::Required,
    };
    let receipts = raw.receipts.and_then(|raw| receipts::receipts(document, raw, folder));
    let is_configured = !raw.site.is_empty();
    let mut sites = site::sites(document, sites, is_configured, &common, overrides);
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
    warnings.extend(conflicts(document, &common, raw.catalogue.get_ref()));
    warnings.extend(unverified(document, &sites));
    Config {
        listen,
        tls,
        workers: raw.workers.map(|workers| workers.get()),
        timeouts: listen::timeouts(raw.timeouts),
        limits: listen::limits(raw.limits, raw.retries),
        log: raw.log,
        receipts,
        locales: Arc::clone(&common.locales),
        filter_lists: list_lines,
        sites,
        files: Vec::new(),
        warnings,
    }
}

/// Warns about user rules that require consent for cookies which the catalogue files classify as necessary.
/// Stripping such a cookie can log a visitor out.
fn warnings(
    document: &ConfigDocument<'_>,
    common: &Defaults,
    sites: &[SiteConfig],
) -> Vec<Diagnostic> {
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
                let problem = document.of_file(message);
                if !warnings.contains(&problem) {
                    warnings.push(problem);
                }
            }
        }
    }
    warnings
}

/// Warns about an admin listener without access control.
fn unguarded(document: &ConfigDocument<'_>, listen: &Listen) -> Option<Diagnostic> {
    let Some(AdminAddress::Tcp(address)) = &listen.admin else { return None };
    let open = !address.ip().is_loopback() && listen.admin_token.is_none();
    let message = format!(
        "listen.admin = \"{address}\" is reachable from the network without listen.admin_token_file: anyone can read metrics and inventory, and change the log level"
    );
    open.then(|| document.of_file(message))
}

/// Warns about receipts that are deleted while the consent that they prove is still valid on some site.
fn short_retention(
    document: &ConfigDocument<'_>,
    receipts: Option<&ReceiptSettings>,
    sites: &[SiteConfig],
) -> Option<Diagnostic> {
    let longest = sites.iter().map(|site| site.filter.reader.max_age_days).max()?;
    let key = "receipts.retention_days".to_owned();
    let message =
        "is shorter than consent.max_age_days: receipts are deleted before the consent expires";
    let short = receipts?.retention_days < longest;
    short.then(|| document.of_key(key, message))
}

/// Warns about upstreams whose certificates are not verified.
fn unverified(document: &ConfigDocument<'_>, sites: &[SiteConfig]) -> Vec<Diagnostic> {
    let insecure = |site: &&SiteConfig| site.upstream_tls.as_ref().is_some_and(|tls| tls.insecure);
    let warn = |site: &SiteConfig| {
        let message = format!(
            "INSECURE: upstream certificates of `{}` are not verified: man-in-the-middle attacks are possible",
            site.name
        );
        document.of_file(message)
    };
    sites.iter().filter(insecure).map(warn).collect()
}

/// Warns about names that two catalogue files put into different categories. The later file wins.
fn conflicts(document: &ConfigDocument<'_>, common: &Defaults, files: &[Text]) -> Vec<Diagnostic> {
    let mut rules_by_name: HashMap<&str, (u16, Category)> = HashMap::new();
    let mut conflicts = Vec::new();
    let mut more = 0_usize;
    let file =
        |file_index: u16| files.get(usize::from(file_index)).map_or("", |file| file.get_ref());
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
        conflicts.push(document.of_file(message));
    }
    if more > 0 {
        let message =
            format!("and {more} more names with different categories in two catalogue files");
        conflicts.push(document.of_file(message));
    }
    conflicts
}

fn categories(document: Ctx, raw: Vec<Spanned<RawCategory>>) -> Categories {
    let mut categories = Categories::default();
    for raw in raw {
        match &raw.get_ref().name {
            None => document.missing(&raw, "name", "name = \"video\""),
            Some(name) => {
                if let Err(error) = categories.add(name.get_ref()) {
                    document.wrong(name, error.to_string(), None);
                }
            }
        }
    }
    categories
}

fn catalogue_rules(document: Ctx, files: &[Text], folder: &Path, categories: &Categories) -> Rules {
    let mut rules = Rules::default();
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
            Err(error) => {
                let hint = "`builtin`, or the path of a TOML file from this file's folder";
                document.wrong(file, format!("`{}`: {error}", path.display()), Some(hint));
            }
        }
    }
    rules
}

/// Reads the texts of the filter lists, and counts their lines.
fn filter_lists(
    document: Ctx,
    files: Vec<Text>,
    folder: &Path,
) -> (Vec<String>, Vec<FilterListSummary>) {
    let (mut texts, mut summaries) = (Vec::new(), Vec::new());
    for file in &files {
        let path = folder.join(file.get_ref());
        let read = document.read_text(&path).and_then(|text| match FilterLists::lines_in(&text) {
            Ok(lines) => Ok((text, lines)),
            Err(error) => Err(error.to_string()),
        });
        match read {
            Ok((text, lines)) => {
                texts.push(text);
                summaries.push(FilterListSummary { file: file.get_ref().clone(), lines });
            }
            Err(reason) => document.wrong(file, format!("`{}`: {reason}", path.display()), None),
        }
    }
    (texts, summaries)
}

fn technologies(document: Ctx, raw: RawTechnologies, categories: &Categories) -> Technologies {
    let mut category = |name: Text| match name.get_ref().as_str() {
        "off" => None,
        _ => named_category(document, &name, categories),
    };
    Technologies {
        nel: category(raw.nel),
        reporting: category(raw.reporting),
        attribution_reporting: category(raw.attribution_reporting),
        topics: category(raw.topics),
        ad_auctions: category(raw.ad_auctions),
        shared_storage: category(raw.shared_storage),
        private_state_tokens: category(raw.private_state_tokens),
        client_hints: category(raw.client_hints),
        dictionaries: category(raw.dictionaries),
        navigation_preload: category(raw.navigation_preload),
        media_metrics: category(raw.media_metrics),
        subscriber_ids: category(raw.subscriber_ids),
        beacon_etag: category(raw.beacon_etag),
        login_status: category(raw.login_status),
        device_bound_sessions: category(raw.device_bound_sessions),
        permissions_policy: category(raw.permissions_policy),
        referrer_policy: category(raw.referrer_policy),
        alternative_services: raw.alternative_services,
    }
}
