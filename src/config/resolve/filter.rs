//! What may pass on one site: its consent, its rules, its policy.

use std::sync::Arc;

use http::HeaderName;
use time::{Date, Month};

use super::common::{Common, Doc};
use super::date::calendar_date;
use super::sources::sources;
use crate::catalogue::{Catalogue, CookieRule, Entry, LIST_COOKIE, Pattern, Tier};
use crate::config::catalogue_file::named_category;
use crate::config::document::place;
use crate::config::overrides::Overrides;
use crate::config::raw::{RawConsent, RawDefault, RawRegion, RawSignal, RawSite, RawUnclassified};
use crate::config::settings::{FilterSettings, Mode};
use crate::config::spanned::Spanned;
use crate::consent::{
    Category, CategorySet, ConsentReader, OwnCookie, RegionPolicy, SignalPolicy, Vendors,
};
use crate::policy::{Policy, Unclassified};

/// What the list of presumed cookies is for.
const LIST_PURPOSE: &str = "Names the cookies without a rule that this site needs.";
/// What the sticky cookie is for.
const STICKY_PURPOSE: &str = "Keeps the visitor at the server that knows the visit.";

/// The settings of a site's filter; `key` is the path of the site, with its dot.
pub(super) fn filter(
    document: Doc,
    key: &str,
    raw: RawSite,
    common: &Common,
    overrides: &Overrides,
    (own_cookie, sticky_cookie): (OwnCookie, Option<&str>),
) -> FilterSettings {
    let forward =
        raw.consent.forward_header.clone().or_else(|| common.consent.forward_header.clone());
    let forward_header = forward
        .and_then(|name| header_name(document, format!("{key}consent.forward_header"), &name));
    let mut rules = common.rules.clone();
    rules.add(document, key, (raw.cookie, raw.beacon, raw.host), Tier::Site, &common.categories);
    let vendors = Vendors::new(rules.tcf_vendors()).unwrap_or_else(|| {
        let message = format!(
            "the rules name more than {} vendors by tcf_vendor, counted once for each category",
            Vendors::MAX
        );
        document.problem(None, key.trim_end_matches('.').to_owned(), message, None);
        Vendors::default()
    });
    let reader = reader(document, key, raw.consent, common, overrides, (&vendors, own_cookie));
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
            let tier = Tier::Consent;
            let (place, requires) = (None, None);
            rules.cookies.push(CookieRule { pattern, tier, number: 0, entry, place, requires });
        }
    }
    let unclassified = match raw.unclassified.or(common.unclassified) {
        Some(RawUnclassified::Allow) => Unclassified::Allow,
        Some(RawUnclassified::Block) => Unclassified::Block,
        Some(RawUnclassified::Presume) | None => Unclassified::Presume,
    };
    let catalogue = Catalogue::compile(rules.cookies, rules.beacons)
        .with_hosts(rules.hosts)
        .with_lists(common.lists.clone());
    FilterSettings {
        mode: overrides.mode.or(raw.mode).or(common.mode).unwrap_or(Mode::Enforce),
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
    document: Doc,
    key: &str,
    site: RawConsent,
    common: &Common,
    overrides: &Overrides,
    (vendors, own_cookie): (&Vendors, OwnCookie),
) -> ConsentReader {
    let own = |has: bool| if has { key } else { "" };
    let found = sources(document, key, &site, common, overrides, (vendors, &own_cookie));
    let default = match site.default.or(common.consent.default) {
        Some(RawDefault::Allow) => common.categories.all(),
        Some(RawDefault::Deny) | None => CategorySet::NECESSARY,
    };
    let signals = signals(document, key, &site, common);
    let region = site.region.clone().or_else(|| common.consent.region.clone());
    let region = region.and_then(|raw| region_policy(document, key, raw));
    let age_key = format!("{}consent.max_age_days", own(site.max_age_days.is_some()));
    let age = site.max_age_days.or_else(|| common.consent.max_age_days.clone());
    let ask_key = format!("{}consent.ask_again_days", own(site.ask_again_days.is_some()));
    let ask = site.ask_again_days.or_else(|| common.consent.ask_again_days.clone());
    let date_key = format!("{}consent.notice_date", own(site.notice_date.is_some()));
    let date = site.notice_date.or_else(|| common.consent.notice_date.clone());
    let max_age_days = document.bounded(&age_key, age, 1, 36_500, 182);
    ConsentReader {
        categories: common.categories.clone(),
        sources: found,
        default,
        region,
        max_age_days,
        ask_again_days: document.bounded(&ask_key, ask, 1, 36_500, max_age_days.max(184)),
        notice_date: date
            .map_or_else(|| FIRST_NOTICE.ok(), |date| calendar_date(document, date_key, &date)),
        signals,
        own: own_cookie,
    }
}

fn signals(document: Doc, key: &str, site: &RawConsent, common: &Common) -> SignalPolicy {
    let mut denied = |name: &str,
                      signal: RawSignal,
                      listed: Option<&Vec<Spanned<String>>>,
                      defaults: &[Category]| {
        if signal == RawSignal::Ignore {
            return CategorySet::EMPTY;
        }
        let Some(listed) = listed else { return defaults.iter().copied().collect() };
        let key = format!("{key}consent.{name}");
        let known = |name| named_category(document, &key, name, &common.categories);
        listed.iter().filter_map(known).collect()
    };
    let all = &common.consent;
    SignalPolicy {
        gpc_denies: denied(
            "gpc_categories",
            site.gpc.or(all.gpc).unwrap_or(RawSignal::Deny),
            site.gpc_categories.as_ref().or(all.gpc_categories.as_ref()),
            &[Category::TARGETING, Category::SOCIAL],
        ),
        dnt_denies: denied(
            "dnt_categories",
            site.dnt.or(all.dnt).unwrap_or(RawSignal::Ignore),
            site.dnt_categories.as_ref().or(all.dnt_categories.as_ref()),
            &[Category::ANALYTICS, Category::TARGETING, Category::SOCIAL],
        ),
    }
}

fn region_policy(document: Doc, key: &str, raw: RawRegion) -> Option<RegionPolicy> {
    let key = format!("{key}consent.region.header");
    let Some(header) = raw.header else {
        let hint = Some("header = \"CF-IPCountry\"".to_owned());
        document.problem(None, key, "is missing".to_owned(), hint);
        return None;
    };
    let name = header_name(document, key, &header)?;
    let allow = raw.regions.into_iter().filter(|(_, default)| matches!(default, RawDefault::Allow));
    Some(RegionPolicy {
        header: name,
        allow: allow.map(|(region, _)| region.to_ascii_uppercase()).collect(),
    })
}

fn header_name(document: Doc, key: String, name: &Spanned<String>) -> Option<HeaderName> {
    let parsed = name.get_ref().parse().ok();
    if parsed.is_none() {
        let message = format!("`{}` is not the name of a header field", name.get_ref());
        document.problem(Some(place(name)), key, message, None);
    }
    parsed
}

/// The date of the notice that consentry's categories come from.
const FIRST_NOTICE: Result<Date, time::error::ComponentRange> =
    Date::from_calendar_date(2018, Month::May, 25);
