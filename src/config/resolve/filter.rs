//! Filter settings of a site: consent, rules, policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::defaults::Defaults;
use super::sources::sources;
use crate::catalogue::{
    Catalogue, CookieRule, Entry, LIST_COOKIE, Pattern, PurposeKind, RulePriority,
};
use crate::config::catalogue_file::{RawRules, Rules, named_category};
use crate::config::document::Ctx;
use crate::config::overrides::Overrides;
use crate::config::raw::{
    ASK_AGAIN_DAYS, Day, RawConsent, RawDefault, RawDefaults, RawRegion, RawSignal, RawSite, Time,
};
use crate::config::settings::{FilterSettings, LifetimeCaps};
use crate::config::spanned::{Spanned, Text};
use crate::consent::sources::DEFAULT_LIFETIME_DAYS;
use crate::consent::{
    Categories, Category, CategorySet, ConsentReader, OwnCookie, RegionPolicy, SignalPolicy,
    Vendors,
};
use crate::policy::Policy;

/// Resolves the filter settings of a site. `key` is the path of the site, including the trailing dot.
pub(super) fn filter(
    document: Ctx,
    key: &str,
    raw: &RawSite,
    common: &Defaults,
    overrides: &Overrides,
    (own_cookie, sticky_cookie): (OwnCookie, Option<&str>),
) -> FilterSettings {
    let mut rules = Rules::default();
    let own = RawRules {
        cookies: raw.cookie.clone(),
        beacons: raw.beacon.clone(),
        hosts: raw.host.clone(),
        parameters: raw.parameter.clone(),
    };
    rules.add(document, own, RulePriority::Site, &common.categories);
    let vendors = Vendors::new(common.rules.tcf_vendors().chain(rules.tcf_vendors()))
        .unwrap_or_else(|| {
            let message = format!(
                "more than {} vendors in tcf_vendor, counted once for each category",
                Vendors::MAX
            );
            document.problem(None, key.trim_end_matches('.').to_owned(), message, None);
            Vendors::default()
        });
    let reader = reader(document, key, &raw.consent, common, overrides, (&vendors, own_cookie));
    let consent = reader.sources.iter().flat_map(|source| source.cookie_names());
    let consent = consent.map(|name| (name.to_string(), "consent", PurposeKind::Consent));
    let sticky =
        sticky_cookie.map(|name| (name.to_owned(), "consentry", PurposeKind::LoadBalancing));
    let list = (LIST_COOKIE.to_owned(), "consentry", PurposeKind::Consent);
    for (name, vendor, kind) in consent.chain(sticky).chain([list]) {
        if let Ok(pattern) = Pattern::new(&name) {
            let entry = Entry {
                vendor: Some(Arc::from(vendor)),
                kind: Some(kind),
                ..Entry::new(Category::NECESSARY)
            };
            let tier = RulePriority::Consent;
            let (scope, requires) = (None, None);
            rules.cookies.push(CookieRule { pattern, tier, number: 0, entry, scope, requires });
        }
    }
    let unclassified = raw.unclassified.unwrap_or(common.unclassified);
    let Rules { cookies, beacons, hosts, parameters } = rules;
    let catalogue = Catalogue::over(&common.rule_set, cookies, beacons, hosts)
        .with_parameters(parameters)
        .with_lists(common.lists.clone());
    FilterSettings {
        mode: overrides.mode.or(raw.mode).unwrap_or(common.mode),
        url_identifiers: raw.url_identifiers.unwrap_or(common.url_identifiers),
        policy: Arc::new(Policy { catalogue, unclassified, all: common.categories.all(), vendors }),
        reader: Arc::new(reader),
        max_cookie_lifetime: lifetime_caps(document, &raw.max_cookie_lifetime, &common.categories),
        expire: common.expire,
        detect: common.detect,
        email_opens: common.email_opens,
        technologies: common.technologies,
        forward_header: raw.consent.forward_header.as_ref().map(|name| name.0.clone()),
        siblings: None,
        max_cookies: common.limits.cookies.get(),
    }
}

fn reader(
    document: Ctx,
    key: &str,
    raw: &RawConsent,
    common: &Defaults,
    overrides: &Overrides,
    (vendors, own): (&Vendors, OwnCookie),
) -> ConsentReader {
    let categories = &common.categories;
    let max_age_days = raw.max_age_days.map_or(DEFAULT_LIFETIME_DAYS, |days| days.get());
    let ask_again_days = raw.ask_again_days.map(|days| days.get());
    ConsentReader {
        categories: categories.clone(),
        sources: sources(document, key, raw, categories, overrides, (vendors, &own)),
        default: granted(document, &raw.default, categories),
        region: raw.region.as_ref().and_then(|region| region_policy(document, region, categories)),
        max_age_days,
        tool_lifetimes: raw.max_age_days.is_none(),
        ask_again_days: ask_again_days.unwrap_or_else(|| max_age_days.max(ASK_AGAIN_DAYS)),
        notice_date: Some(raw.notice_date.unwrap_or(Day::FIRST_NOTICE).0),
        signals: SignalPolicy {
            gpc_denies: denied(document, raw.gpc, &raw.gpc_categories, categories),
            dnt_denies: denied(document, raw.dnt, &raw.dnt_categories, categories),
        },
        own,
    }
}

/// Resolves the categories that a signal denies.
fn denied(
    document: Ctx,
    signal: RawSignal,
    listed: &Spanned<Vec<Text>>,
    categories: &Categories,
) -> CategorySet {
    let known = |name| named_category(document, name, categories);
    match signal {
        RawSignal::Deny => listed.get_ref().iter().filter_map(known).collect(),
        RawSignal::Ignore => CategorySet::EMPTY,
    }
}

/// Resolves the categories granted without a decision.
fn granted(document: Ctx, raw: &RawDefaults, categories: &Categories) -> CategorySet {
    let each = match raw {
        RawDefaults::All(RawDefault::Allow) => return categories.all(),
        RawDefaults::All(RawDefault::Deny) => return CategorySet::NECESSARY,
        RawDefaults::Each(each) => each,
    };
    let mut granted = CategorySet::NECESSARY;
    for (name, default) in each {
        let name = Spanned::new(default.span(), name.clone());
        let Some(category) = named_category(document, &name, categories) else { continue };
        match default.get_ref() {
            RawDefault::Allow => granted.insert(category),
            RawDefault::Deny if category == Category::NECESSARY => {
                document.is_not(&name, "a category that can be denied", None);
            }
            RawDefault::Deny => {}
        }
    }
    granted
}

/// Resolves the longest lifetimes of cookies.
fn lifetime_caps(
    document: Ctx,
    raw: &BTreeMap<String, Spanned<Time<1000>>>,
    categories: &Categories,
) -> LifetimeCaps {
    let mut caps = LifetimeCaps::default();
    for (name, cap) in raw {
        let name = Spanned::new(cap.span(), name.clone());
        if let Some(category) = named_category(document, &name, categories) {
            let seconds = cap.get_ref().0.as_secs();
            caps.set(category, i64::try_from(seconds).unwrap_or(i64::MAX));
        }
    }
    caps
}

/// Resolves the default by region.
fn region_policy(
    document: Ctx,
    raw: &Spanned<RawRegion>,
    categories: &Categories,
) -> Option<RegionPolicy> {
    let Some(header) = &raw.get_ref().header else {
        document.missing(raw, "header", "header = \"CF-IPCountry\"");
        return None;
    };
    let regions = raw.get_ref().regions.iter();
    let granted = regions.map(|(region, default)| {
        (region.to_ascii_uppercase(), granted(document, default, categories))
    });
    Some(RegionPolicy { header: header.0.clone(), granted: granted.collect() })
}
