//! Consent sources: one adapter per consent tool, each in its own file.

mod auto;
mod axeptio;
mod borlabs;
mod c15t;
mod commanders_act;
mod complianz;
mod consentry;
mod cookiebot;
mod cookiefirst;
mod cookieinformation;
mod cookielawinfo;
mod cookiescript;
mod cookieyes;
mod didomi;
mod django_cookie_consent;
mod drupal;
mod fides;
mod generic;
mod gpp;
mod hubspot;
mod iubenda;
mod klaro;
mod moove;
mod onetrust;
mod osano;
mod pandectes;
mod shopify;
mod tarteaucitron;
mod tcf;
mod tealium;
mod trustarc;
mod usprivacy;
mod vanilla_cookieconsent;
mod wp_consent_api;
mod zaraz;

use std::collections::HashMap;

pub use consentry::{Native, NativeCookie, NativeCookieError};

pub use super::source::{
    ConsentSource, Format, GenericSettings, Implied, Reading, SourceDecision, SourceSettings, Void,
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
    build: fn(&SourceSettings) -> Box<dyn ConsentSource>,
}

/// The name of the source that reads the cookies of all tools.
pub const AUTO: &str = "auto";

/// All tools, in the order of the documentation. At most 64, the bound of `auto`.
#[rustfmt::skip]
pub const TOOLS: &[Tool] = &[
    Tool { name: "consentry", keys: &[], has_ids: true, build: |settings| Box::new(Native::new(settings.keys.clone())) },
    Tool { name: "onetrust", keys: &["require_alert_box_closed"], has_ids: true, build: |settings| Box::new(onetrust::OneTrust::new(settings)) },
    Tool { name: "cookiebot", keys: &["implied"], has_ids: true, build: |settings| Box::new(cookiebot::Cookiebot::new(settings)) },
    Tool { name: "cookieyes", keys: &[], has_ids: true, build: |settings| Box::new(cookieyes::CookieYes::new(settings)) },
    Tool { name: "cookielawinfo", keys: &[], has_ids: true, build: |settings| Box::new(cookielawinfo::CookieLawInfo::new(settings)) },
    Tool { name: "complianz", keys: &["revision"], has_ids: true, build: |settings| Box::new(complianz::Complianz::new(settings)) },
    Tool { name: "vanilla-cookieconsent", keys: &["cookie", "revision"], has_ids: true, build: |settings| Box::new(vanilla_cookieconsent::VanillaCookieConsent::new(settings)) },
    Tool { name: "klaro", keys: &["cookie"], has_ids: true, build: |settings| Box::new(klaro::Klaro::new(settings)) },
    Tool { name: "tarteaucitron", keys: &["cookie"], has_ids: true, build: |settings| Box::new(tarteaucitron::Tarteaucitron::new(settings)) },
    Tool { name: "osano", keys: &["cookie", "dismiss_grants"], has_ids: false, build: |settings| Box::new(osano::Osano::new(settings)) },
    Tool { name: "iubenda", keys: &[], has_ids: true, build: |settings| Box::new(iubenda::Iubenda::new(settings)) },
    Tool { name: "borlabs", keys: &["revision"], has_ids: true, build: |settings| Box::new(borlabs::Borlabs::new(settings)) },
    Tool { name: "moove", keys: &[], has_ids: true, build: |settings| Box::new(moove::Moove::new(settings)) },
    Tool { name: "cookiefirst", keys: &["revision"], has_ids: true, build: |settings| Box::new(cookiefirst::CookieFirst::new(settings)) },
    Tool { name: "c15t", keys: &["cookie"], has_ids: true, build: |settings| Box::new(c15t::C15t::new(settings)) },
    Tool { name: "hubspot", keys: &[], has_ids: true, build: |settings| Box::new(hubspot::HubSpot::new(settings)) },
    Tool { name: "wp-consent-api", keys: &[], has_ids: true, build: |settings| Box::new(wp_consent_api::WpConsentApi::new(settings)) },
    Tool { name: "zaraz", keys: &["cookie"], has_ids: true, build: |settings| Box::new(zaraz::Zaraz::new(settings)) },
    Tool { name: "didomi", keys: &["cookie"], has_ids: true, build: |settings| Box::new(didomi::Didomi::new(settings)) },
    Tool { name: "axeptio", keys: &["revision"], has_ids: true, build: |settings| Box::new(axeptio::Axeptio::new(settings)) },
    Tool { name: "shopify", keys: &[], has_ids: true, build: |settings| Box::new(shopify::Shopify::new(settings)) },
    Tool { name: "fides", keys: &[], has_ids: true, build: |settings| Box::new(fides::Fides::new(settings)) },
    Tool { name: "cookieinformation", keys: &[], has_ids: true, build: |settings| Box::new(cookieinformation::CookieInformation::new(settings)) },
    Tool { name: "cookiescript", keys: &[], has_ids: true, build: |settings| Box::new(cookiescript::CookieScript::new(settings)) },
    Tool { name: "pandectes", keys: &[], has_ids: false, build: |_| Box::new(pandectes::Pandectes) },
    Tool { name: "django-cookie-consent", keys: &["cookie"], has_ids: true, build: |settings| Box::new(django_cookie_consent::DjangoCookieConsent::new(settings)) },
    Tool { name: "tealium", keys: &[], has_ids: true, build: |settings| Box::new(tealium::Tealium::new(settings)) },
    Tool { name: "drupal", keys: &["revision"], has_ids: true, build: |settings| Box::new(drupal::Drupal::new(settings)) },
    Tool { name: "trustarc", keys: &[], has_ids: true, build: |settings| Box::new(trustarc::TrustArc::new(settings)) },
    Tool { name: "commanders-act", keys: &[], has_ids: true, build: |settings| Box::new(commanders_act::CommandersAct::new(settings)) },
    Tool { name: "usprivacy", keys: &[], has_ids: true, build: |settings| Box::new(usprivacy::UsPrivacy::new(settings)) },
    Tool { name: "tcf", keys: &["cookie"], has_ids: true, build: |settings| Box::new(tcf::Tcf::new(settings)) },
    Tool { name: "gpp", keys: &[], has_ids: true, build: |settings| Box::new(gpp::Gpp::new(settings)) },
    Tool { name: "generic", keys: &[], has_ids: true, build: |settings| Box::new(generic::Generic::new(settings)) },
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
        return Some(Box::new(auto::Auto::new(TOOLS.iter().filter(included).map(build).collect())));
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
