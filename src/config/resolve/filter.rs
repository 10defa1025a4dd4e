//! Filter settings of a site: consent, rules, policy.

use std::sync::Arc;

use time::{Date, Month};

use super::date::calendar_date;
use super::defaults::{Ctx, Defaults};
use super::layers::Layers;
use super::names::{field_name, own_field};
use super::sources::sources;
use crate::catalogue::{Catalogue, CookieRule, Entry, LIST_COOKIE, Pattern, RulePriority};
use crate::config::catalogue_file::{Rules, named_category};
use crate::config::overrides::Overrides;
use crate::config::raw::{RawConsent, RawDefault, RawSignal, RawSite, RawUnclassified};
use crate::config::settings::{FilterSettings, Mode};
use crate::config::spanned::Spanned;
use crate::consent::{
    Category, CategorySet, ConsentReader, OwnCookie, RegionPolicy, SignalPolicy, Vendors,
};
use crate::policy::{Policy, Unclassified};

/// Purpose of the cookie that lists presumed cookies.
const LIST_PURPOSE: &str = "Names the cookies without a rule that this site needs.";
/// Purpose of the sticky cookie.
const STICKY_PURPOSE: &str = "Keeps the visitor at the server that knows the visit.";

/// Resolves the filter settings of a site. `key` is the path of the site, including the trailing dot.
pub(super) fn filter(
    document: Ctx,
    key: &str,
    raw: RawSite,
    common: &Defaults,
    overrides: &Overrides,
    (own_cookie, sticky_cookie): (OwnCookie, Option<&str>),
) -> FilterSettings {
    let RawSite { mode, unclassified, consent, cookie, beacon, host, .. } = raw;
    let consent = Layers::new("consent", key, &consent, &common.consent);
    let forward_header = consent.get("forward_header", |raw| raw.forward_header.as_ref());
    let forward_header = forward_header.and_then(|(key, name)| own_field(document, key, name));
    let mut rules = Rules::default();
    rules.add(document, key, (cookie, beacon, host), RulePriority::Site, &common.categories);
    let vendors = Vendors::new(common.rules.tcf_vendors().chain(rules.tcf_vendors()))
        .unwrap_or_else(|| {
            let message = format!(
                "more than {} vendors in tcf_vendor, counted once for each category",
                Vendors::MAX
            );
            document.problem(None, key.trim_end_matches('.').to_owned(), message, None);
            Vendors::default()
        });
    let reader = reader(document, &consent, common, overrides, (&vendors, own_cookie));
    let consent = reader.sources.iter().flat_map(|source| source.cookie_names());
    let consent = consent.map(|name| (name.to_string(), "consent", "Keeps the visitor's choice."));
    let sticky = sticky_cookie.map(|name| (name.to_owned(), "consentry", STICKY_PURPOSE));
    let list = (LIST_COOKIE.to_owned(), "consentry", LIST_PURPOSE);
    for (name, vendor, purpose) in consent.chain(sticky).chain([list]) {
        if let Ok(pattern) = Pattern::new(&name) {
            let entry = Entry {
                category: Category::NECESSARY,
                vendor: Some(Arc::from(vendor)),
                tcf_vendor: None,
                purpose: Some(Arc::from(purpose)),
                lifetime: None,
            };
            let tier = RulePriority::Consent;
            let (scope, requires) = (None, None);
            rules.cookies.push(CookieRule { pattern, tier, number: 0, entry, scope, requires });
        }
    }
    let unclassified = match unclassified.or(common.unclassified) {
        Some(RawUnclassified::Allow) => Unclassified::Allow,
        Some(RawUnclassified::Block) => Unclassified::Block,
        Some(RawUnclassified::Presume) | None => Unclassified::Presume,
    };
    let Rules { cookies, beacons, hosts } = rules;
    let catalogue =
        Catalogue::over(&common.rule_set, cookies, beacons, hosts).with_lists(common.lists.clone());
    FilterSettings {
        mode: overrides.mode.or(mode).or(common.mode).unwrap_or(Mode::Enforce),
        policy: Arc::new(Policy { catalogue, unclassified, all: common.categories.all(), vendors }),
        reader: Arc::new(reader),
        expire: common.expire,
        detect: common.detect,
        email_opens: common.email_opens,
        technologies: common.technologies,
        forward_header,
        siblings: None,
        max_cookies: common.max_cookies,
    }
}

fn reader(
    document: Ctx,
    consent: &Layers<'_, RawConsent>,
    common: &Defaults,
    overrides: &Overrides,
    (vendors, own_cookie): (&Vendors, OwnCookie),
) -> ConsentReader {
    let found = sources(document, consent, common, overrides, (vendors, &own_cookie));
    let default = match consent.copied(|raw| raw.default) {
        Some(RawDefault::Allow) => common.categories.all(),
        Some(RawDefault::Deny) | None => CategorySet::NECESSARY,
    };
    let (age_key, age) = consent.cloned("max_age_days", |raw| raw.max_age_days.as_ref());
    let (ask_key, ask) = consent.cloned("ask_again_days", |raw| raw.ask_again_days.as_ref());
    let date = consent.get("notice_date", |raw| raw.notice_date.as_ref());
    let max_age_days = document.bounded(&age_key, age, 1, 36_500, 182);
    ConsentReader {
        categories: common.categories.clone(),
        sources: found,
        default,
        region: region_policy(document, consent),
        max_age_days,
        ask_again_days: document.bounded(&ask_key, ask, 1, 36_500, max_age_days.max(184)),
        notice_date: date
            .map_or_else(|| FIRST_NOTICE.ok(), |(key, date)| calendar_date(document, key, date)),
        signals: signals(document, consent, common),
        own: own_cookie,
    }
}

fn signals(document: Ctx, consent: &Layers<'_, RawConsent>, common: &Defaults) -> SignalPolicy {
    let mut denied = |signal: RawSignal,
                      listed: Option<(String, &Vec<Spanned<String>>)>,
                      defaults: &[Category]| {
        if signal == RawSignal::Ignore {
            return CategorySet::EMPTY;
        }
        let Some((key, listed)) = listed else { return defaults.iter().copied().collect() };
        let known = |name| named_category(document, &key, name, &common.categories);
        listed.iter().filter_map(known).collect()
    };
    SignalPolicy {
        gpc_denies: denied(
            consent.copied(|raw| raw.gpc).unwrap_or(RawSignal::Deny),
            consent.get("gpc_categories", |raw| raw.gpc_categories.as_ref()),
            &[Category::TARGETING, Category::SOCIAL],
        ),
        dnt_denies: denied(
            consent.copied(|raw| raw.dnt).unwrap_or(RawSignal::Ignore),
            consent.get("dnt_categories", |raw| raw.dnt_categories.as_ref()),
            &[Category::ANALYTICS, Category::TARGETING, Category::SOCIAL],
        ),
    }
}

/// Resolves the default by region. A site's own `default = "deny"` also overrides top-level regions that allow.
fn region_policy(document: Ctx, consent: &Layers<'_, RawConsent>) -> Option<RegionPolicy> {
    let regions = consent.table("region", |raw| raw.region.as_ref());
    if !regions.exists() {
        return None;
    }
    let own_region = consent.tables().next().is_some_and(|(_, own)| own.region.is_some());
    let own_default = consent.tables().next().and_then(|(_, own)| own.default);
    if matches!(own_default, Some(RawDefault::Deny)) && !own_region {
        return None;
    }
    let (key, header) = regions.cloned("header", |raw| raw.header.as_ref());
    let Some(header) = header else {
        let hint = Some("header = \"CF-IPCountry\"".to_owned());
        document.problem(None, key, "is missing".to_owned(), hint);
        return None;
    };
    let name = field_name(document, key, &header)?;
    let allow = regions.entries("regions", |raw| &raw.regions).into_iter();
    let allow = allow.filter(|(_, (_, default))| matches!(default, RawDefault::Allow));
    Some(RegionPolicy {
        header: name,
        allow: allow.map(|(region, _)| region.to_ascii_uppercase()).collect(),
    })
}

/// The date of the notice that defines consentry's categories.
const FIRST_NOTICE: Result<Date, time::error::ComponentRange> =
    Date::from_calendar_date(2018, Month::May, 25);
