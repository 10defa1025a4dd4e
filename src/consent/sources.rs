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

use Lifetime::{Cookie, Days, Written};

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
    pub lifetime: Lifetime,
    /// Whether its grants count in `auto`. They do not if the cookie's name is not the tool's alone, or if the tool writes
    /// the cookie without a choice. Refusals always count.
    pub grants_in_auto: bool,
    build: fn(&SourceSettings) -> Box<dyn ConsentSource>,
}

/// How long a tool keeps a decision. Its grants then end, because the tool asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// This many days after the decision, by the tool's default.
    Days(u32),
    /// Until the end in the cookie.
    Written,
    /// The cookie contains no time: until the browser deletes the cookie.
    Cookie,
}

/// Lifetime of grants in the native cookie, in days. Also of tools whose lifetime is unknown.
pub const DEFAULT_LIFETIME_DAYS: u32 = 182;

/// The name of the source that reads the cookies of all tools.
pub const AUTO: &str = "auto";

/// All tools, in the order of the documentation. At most 64, the bound of `auto`.
#[rustfmt::skip]
pub const TOOLS: &[Tool] = &[
    Tool { name: "consentry", keys: &[], has_ids: true, lifetime: Days(DEFAULT_LIFETIME_DAYS), grants_in_auto: true, build: |settings| Box::new(Native::new(settings.keys.clone())) },
    Tool { name: "onetrust", keys: &["require_alert_box_closed"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(onetrust::OneTrust::new(settings)) },
    Tool { name: "cookiebot", keys: &["implied"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(cookiebot::Cookiebot::new(settings)) },
    Tool { name: "cookieyes", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(cookieyes::cookieyes(settings)) },
    Tool { name: "cookielawinfo", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(cookielawinfo::CookieLawInfo::new(settings)) },
    Tool { name: "complianz", keys: &["revision"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(complianz::Complianz::new(settings)) },
    Tool { name: "vanilla-cookieconsent", keys: &["cookie", "revision"], has_ids: true, lifetime: Written, grants_in_auto: true, build: |settings| Box::new(vanilla_cookieconsent::VanillaCookieConsent::new(settings)) },
    Tool { name: "klaro", keys: &["cookie"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(klaro::Klaro::new(settings)) },
    Tool { name: "tarteaucitron", keys: &["cookie"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(tarteaucitron::Tarteaucitron::new(settings)) },
    Tool { name: "osano", keys: &["cookie", "dismiss_grants"], has_ids: false, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(osano::Osano::new(settings)) },
    Tool { name: "iubenda", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(iubenda::Iubenda::new(settings)) },
    Tool { name: "borlabs", keys: &["revision"], has_ids: true, lifetime: Written, grants_in_auto: true, build: |settings| Box::new(borlabs::Borlabs::new(settings)) },
    Tool { name: "moove", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(moove::Moove::new(settings)) },
    Tool { name: "cookiefirst", keys: &["revision"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(cookiefirst::CookieFirst::new(settings)) },
    Tool { name: "c15t", keys: &["cookie"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(c15t::C15t::new(settings)) },
    Tool { name: "hubspot", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(hubspot::HubSpot::new(settings)) },
    Tool { name: "wp-consent-api", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(wp_consent_api::WpConsentApi::new(settings)) },
    Tool { name: "zaraz", keys: &["cookie"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(zaraz::Zaraz::new(settings)) },
    Tool { name: "didomi", keys: &["cookie"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(didomi::Didomi::new(settings)) },
    Tool { name: "axeptio", keys: &["revision"], has_ids: true, lifetime: Days(190), grants_in_auto: true, build: |settings| Box::new(axeptio::Axeptio::new(settings)) },
    Tool { name: "shopify", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(shopify::source(settings)) },
    Tool { name: "fides", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(fides::Fides::new(settings)) },
    Tool { name: "cookieinformation", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(cookieinformation::CookieInformation::new(settings)) },
    Tool { name: "cookiescript", keys: &[], has_ids: true, lifetime: Days(DEFAULT_LIFETIME_DAYS), grants_in_auto: true, build: |settings| Box::new(cookiescript::CookieScript::new(settings)) },
    Tool { name: "pandectes", keys: &[], has_ids: false, lifetime: Days(365), grants_in_auto: true, build: |_| Box::new(pandectes::Pandectes) },
    Tool { name: "django-cookie-consent", keys: &["cookie"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(django_cookie_consent::DjangoCookieConsent::new(settings)) },
    Tool { name: "tealium", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(tealium::Tealium::new(settings)) },
    Tool { name: "drupal", keys: &["revision"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(drupal::Drupal::new(settings)) },
    Tool { name: "trustarc", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(trustarc::TrustArc::new(settings)) },
    Tool { name: "commanders-act", keys: &[], has_ids: true, lifetime: Days(DEFAULT_LIFETIME_DAYS), grants_in_auto: true, build: |settings| Box::new(commanders_act::CommandersAct::new(settings)) },
    Tool { name: "google-fc", keys: &[], has_ids: true, lifetime: Days(390), grants_in_auto: true, build: |settings| Box::new(google_fc::GoogleFc::new(settings)) },
    Tool { name: "webtoffee", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(cookieyes::webtoffee(settings)) },
    Tool { name: "cookiehub", keys: &["revision"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(cookiehub::source(settings)) },
    Tool { name: "ketch", keys: &["implied"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(ketch::Ketch::new(settings)) },
    Tool { name: "piwik-pro", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(piwik_pro::source(settings)) },
    Tool { name: "finsweet", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(finsweet::source(settings)) },
    Tool { name: "cookie-notice", keys: &[], has_ids: false, lifetime: Cookie, grants_in_auto: false, build: |settings| Box::new(cookie_notice::source(settings)) },
    Tool { name: "hu-consent", keys: &[], has_ids: true, lifetime: Written, grants_in_auto: true, build: |settings| Box::new(hu_consent::source(settings)) },
    Tool { name: "react-cookie-consent", keys: &["cookie"], has_ids: false, lifetime: Cookie, grants_in_auto: false, build: |settings| Box::new(react_cookie_consent::source(settings)) },
    Tool { name: "consentmanager", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(consentmanager::Consentmanager::new(settings)) },
    Tool { name: "wix", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(wix::source(settings)) },
    Tool { name: "real-cookie-banner", keys: &["revision"], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(real_cookie_banner::RealCookieBanner::new(settings)) },
    Tool { name: "civic", keys: &[], has_ids: true, lifetime: Written, grants_in_auto: true, build: |settings| Box::new(civic::Civic::new(settings)) },
    Tool { name: "adobe", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: false, build: |settings| Box::new(adobe::source(settings)) },
    Tool { name: "securiti", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(securiti::source(settings)) },
    Tool { name: "segment", keys: &["cookie"], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(segment::source(settings)) },
    Tool { name: "transcend", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(transcend::source(settings)) },
    Tool { name: "govuk", keys: &[], has_ids: true, lifetime: Days(365), grants_in_auto: true, build: |settings| Box::new(govuk::GovUk::new(settings)) },
    Tool { name: "sg-cookie-optin", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(sg_cookie_optin::source(settings)) },
    Tool { name: "magento", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: false, build: |settings| Box::new(magento::source(settings)) },
    Tool { name: "squarespace", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(squarespace::Squarespace::new(settings)) },
    Tool { name: "jetpack", keys: &["implied"], has_ids: true, lifetime: Written, grants_in_auto: false, build: |settings| Box::new(jetpack::Jetpack::new(settings)) },
    Tool { name: "matomo", keys: &[], has_ids: true, lifetime: Days(390), grants_in_auto: true, build: |settings| Box::new(matomo::Matomo::new(settings)) },
    Tool { name: "usprivacy", keys: &[], has_ids: true, lifetime: Cookie, grants_in_auto: true, build: |settings| Box::new(usprivacy::UsPrivacy::new(settings)) },
    Tool { name: "tcf", keys: &["cookie"], has_ids: true, lifetime: Days(390), grants_in_auto: true, build: |settings| Box::new(tcf::Tcf::new(settings)) },
    Tool { name: "gpp", keys: &[], has_ids: true, lifetime: Days(390), grants_in_auto: true, build: |settings| Box::new(gpp::Gpp::new(settings)) },
    Tool { name: "generic", keys: &[], has_ids: true, lifetime: Days(DEFAULT_LIFETIME_DAYS), grants_in_auto: true, build: |settings| Box::new(generic::Generic::new(settings)) },
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
