//! Consent sources: one adapter per consent tool, each in its own file.

mod adobe;
mod auto;
mod axeptio;
mod borlabs;
mod c15t;
mod civic;
mod commanders_act;
mod complianz;
mod consentmanager;
mod consentry;
mod cookie_notice;
mod cookiebot;
mod cookiefirst;
mod cookiehub;
mod cookieinformation;
mod cookielawinfo;
mod cookiescript;
mod cookieyes;
mod didomi;
mod django_cookie_consent;
mod drupal;
mod fides;
mod finsweet;
mod generic;
mod google_fc;
mod govuk;
mod gpp;
mod hu_consent;
mod hubspot;
mod iubenda;
mod jetpack;
mod ketch;
mod klaro;
mod magento;
mod matomo;
mod moove;
mod onetrust;
mod osano;
mod pandectes;
mod piwik_pro;
mod react_cookie_consent;
mod real_cookie_banner;
mod securiti;
mod segment;
mod sg_cookie_optin;
mod shopify;
mod squarespace;
mod tarteaucitron;
mod tcf;
mod tealium;
mod transcend;
mod trustarc;
mod usprivacy;
mod vanilla_cookieconsent;
mod wix;
mod wp_consent_api;
mod zaraz;

use std::collections::HashMap;

use GrantLifetime::{Cookie, Days, Written};

pub use consentry::{Native, NativeCookie, NativeCookieError};

pub use super::source::{
    ConsentSource, Encoding, Format, GenericSettings, Implied, Reading, SourceDecision,
    SourceSettings, Void,
};

/// A consent tool that has an adapter.
#[derive(Debug)]
pub struct Tool {
    /// The adapter's name in config, logs and metrics.
    pub name: &'static str,
    /// The config keys of `[consent.NAME]`, besides `map`.
    pub keys: &'static [&'static str],
    /// Whether `map` can assign ids to categories. Other tools have a single answer for all categories.
    pub has_ids: bool,
    /// How long the tool keeps a decision.
    pub lifetime: GrantLifetime,
    /// Whether its grants count in `auto`. They do not if the cookie's name is not the tool's alone, or if the tool writes
    /// the cookie without a choice. Refusals always count.
    pub grants_in_auto: bool,
    build: fn(&SourceSettings) -> Box<dyn ConsentSource>,
}

/// How long a tool keeps a decision. Its grants then end, because the tool asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantLifetime {
    /// This many days after the decision, by the tool's default.
    Days(u32),
    /// Until the end in the cookie.
    Written,
    /// The cookie contains no time: until the browser deletes the cookie.
    Cookie,
}

/// Lifetime of grants in the native cookie, in days. Also of tools whose lifetime is unknown.
pub const DEFAULT_LIFETIME_DAYS: u32 = 182;

/// A tool with ids and without config keys, whose grants count in `auto`.
const fn row(
    name: &'static str,
    lifetime: GrantLifetime,
    build: fn(&SourceSettings) -> Box<dyn ConsentSource>,
) -> Tool {
    Tool { name, keys: &[], has_ids: true, lifetime, grants_in_auto: true, build }
}

impl Tool {
    const fn with_keys(mut self, keys: &'static [&'static str]) -> Self {
        self.keys = keys;
        self
    }

    const fn without_ids(mut self) -> Self {
        self.has_ids = false;
        self
    }

    const fn refusals_only_in_auto(mut self) -> Self {
        self.grants_in_auto = false;
        self
    }
}

/// The name of the source that reads the cookies of all tools.
pub const AUTO: &str = "auto";

/// All tools, in the order of the documentation. At most 64, the bound of `auto`.
#[rustfmt::skip]
pub const TOOLS: &[Tool] = &[
    row("consentry", Days(DEFAULT_LIFETIME_DAYS), |settings| Box::new(Native::new(settings.keys.clone()))),
    row("onetrust", Days(365), |settings| Box::new(onetrust::OneTrust::new(settings))).with_keys(&["require_alert_box_closed"]),
    row("cookiebot", Days(365), |settings| Box::new(cookiebot::Cookiebot::new(settings))).with_keys(&["implied"]),
    row("cookieyes", Days(365), |settings| Box::new(cookieyes::cookieyes(settings))),
    row("cookielawinfo", Cookie, |settings| Box::new(cookielawinfo::CookieLawInfo::new(settings))),
    row("complianz", Cookie, |settings| Box::new(complianz::Complianz::new(settings))).with_keys(&["revision"]),
    row("vanilla-cookieconsent", Written, |settings| Box::new(vanilla_cookieconsent::VanillaCookieConsent::new(settings))).with_keys(&["cookie", "revision"]),
    row("klaro", Cookie, |settings| Box::new(klaro::Klaro::new(settings))).with_keys(&["cookie"]),
    row("tarteaucitron", Cookie, |settings| Box::new(tarteaucitron::Tarteaucitron::new(settings))).with_keys(&["cookie"]),
    row("osano", Cookie, |settings| Box::new(osano::Osano::new(settings))).with_keys(&["cookie", "dismiss_grants"]).without_ids(),
    row("iubenda", Days(365), |settings| Box::new(iubenda::Iubenda::new(settings))),
    row("borlabs", Written, |settings| Box::new(borlabs::Borlabs::new(settings))).with_keys(&["revision"]),
    row("moove", Cookie, |settings| Box::new(moove::Moove::new(settings))),
    row("cookiefirst", Days(365), |settings| Box::new(cookiefirst::CookieFirst::new(settings))).with_keys(&["revision"]),
    row("c15t", Days(365), |settings| Box::new(c15t::C15t::new(settings))).with_keys(&["cookie"]),
    row("hubspot", Cookie, |settings| Box::new(hubspot::HubSpot::new(settings))),
    row("wp-consent-api", Cookie, |settings| Box::new(wp_consent_api::WpConsentApi::new(settings))),
    row("zaraz", Cookie, |settings| Box::new(zaraz::Zaraz::new(settings))).with_keys(&["cookie"]),
    row("didomi", Days(365), |settings| Box::new(didomi::Didomi::new(settings))).with_keys(&["cookie"]),
    row("axeptio", Days(190), |settings| Box::new(axeptio::Axeptio::new(settings))).with_keys(&["revision"]),
    row("shopify", Cookie, |settings| Box::new(shopify::source(settings))),
    row("fides", Days(365), |settings| Box::new(fides::Fides::new(settings))),
    row("cookieinformation", Days(365), |settings| Box::new(cookieinformation::CookieInformation::new(settings))),
    row("cookiescript", Days(DEFAULT_LIFETIME_DAYS), |settings| Box::new(cookiescript::CookieScript::new(settings))),
    row("pandectes", Days(365), |_| Box::new(pandectes::Pandectes)).without_ids(),
    row("django-cookie-consent", Days(365), |settings| Box::new(django_cookie_consent::DjangoCookieConsent::new(settings))).with_keys(&["cookie"]),
    row("tealium", Days(365), |settings| Box::new(tealium::Tealium::new(settings))),
    row("drupal", Cookie, |settings| Box::new(drupal::Drupal::new(settings))).with_keys(&["revision"]),
    row("trustarc", Cookie, |settings| Box::new(trustarc::TrustArc::new(settings))),
    row("commanders-act", Days(DEFAULT_LIFETIME_DAYS), |settings| Box::new(commanders_act::CommandersAct::new(settings))),
    row("google-fc", Days(390), |settings| Box::new(google_fc::GoogleFc::new(settings))),
    row("webtoffee", Days(365), |settings| Box::new(cookieyes::webtoffee(settings))),
    row("cookiehub", Days(365), |settings| Box::new(cookiehub::source(settings))).with_keys(&["revision"]),
    row("ketch", Cookie, |settings| Box::new(ketch::Ketch::new(settings))).with_keys(&["implied"]),
    row("piwik-pro", Days(365), |settings| Box::new(piwik_pro::source(settings))),
    row("finsweet", Cookie, |settings| Box::new(finsweet::source(settings))),
    row("cookie-notice", Cookie, |settings| Box::new(cookie_notice::source(settings))).without_ids().refusals_only_in_auto(),
    row("hu-consent", Written, |settings| Box::new(hu_consent::source(settings))),
    row("react-cookie-consent", Cookie, |settings| Box::new(react_cookie_consent::source(settings))).with_keys(&["cookie"]).without_ids().refusals_only_in_auto(),
    row("consentmanager", Days(365), |settings| Box::new(consentmanager::Consentmanager::new(settings))),
    row("wix", Days(365), |settings| Box::new(wix::source(settings))),
    row("real-cookie-banner", Days(365), |settings| Box::new(real_cookie_banner::RealCookieBanner::new(settings))).with_keys(&["revision"]),
    row("civic", Written, |settings| Box::new(civic::Civic::new(settings))),
    row("adobe", Cookie, |settings| Box::new(adobe::source(settings))).refusals_only_in_auto(),
    row("securiti", Days(365), |settings| Box::new(securiti::source(settings))),
    row("segment", Cookie, |settings| Box::new(segment::source(settings))).with_keys(&["cookie"]),
    row("transcend", Days(365), |settings| Box::new(transcend::source(settings))),
    row("govuk", Days(365), |settings| Box::new(govuk::GovUk::new(settings))),
    row("sg-cookie-optin", Cookie, |settings| Box::new(sg_cookie_optin::source(settings))),
    row("magento", Cookie, |settings| Box::new(magento::source(settings))).refusals_only_in_auto(),
    row("squarespace", Cookie, |settings| Box::new(squarespace::Squarespace::new(settings))),
    row("jetpack", Written, |settings| Box::new(jetpack::Jetpack::new(settings))).with_keys(&["implied"]).refusals_only_in_auto(),
    row("matomo", Days(390), |settings| Box::new(matomo::Matomo::new(settings))),
    row("usprivacy", Cookie, |settings| Box::new(usprivacy::UsPrivacy::new(settings))),
    row("tcf", Days(390), |settings| Box::new(tcf::Tcf::new(settings))).with_keys(&["cookie"]),
    row("gpp", Days(390), |settings| Box::new(gpp::Gpp::new(settings))),
    row("generic", Days(DEFAULT_LIFETIME_DAYS), |settings| Box::new(generic::Generic::new(settings))),
];

/// The names that `consent.sources` accepts.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name).chain([AUTO])
}

/// The tool with this name. `None` for `auto` and for unknown names.
pub fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Whether the source of this name reads the native cookie.
pub fn reads_own_cookie(name: &str) -> bool {
    matches!(name, "consentry" | AUTO)
}

/// Builds the adapter with this name. `all` contains the settings of each tool by name, because `auto` uses all of
/// them.
pub fn find(name: &str, all: &HashMap<String, SourceSettings>) -> Option<Box<dyn ConsentSource>> {
    let none = SourceSettings::default();
    let build = |tool: &Tool| (tool.build)(all.get(tool.name).unwrap_or(&none));
    if name == AUTO {
        // `generic` has no default: `auto` includes it only if it is configured.
        let included = |tool: &&Tool| tool.name != "generic" || all.contains_key(tool.name);
        let sources = TOOLS.iter().filter(included);
        let sources = sources
            .map(|tool| auto::AutoSource { source: build(tool), grants: tool.grants_in_auto });
        return Some(Box::new(auto::Auto::new(sources.collect())));
    }
    tool(name).map(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_an_adapter_that_names_its_cookies() {
        assert!(TOOLS.len() <= 64);
        for name in names() {
            let source = find(name, &HashMap::new()).expect("it exists");
            assert_eq!(source.name(), name);
            assert!(!source.cookie_names().is_empty(), "{name}");
        }
    }
}
