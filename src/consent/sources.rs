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

pub(crate) use consentry::parse_date;
pub use consentry::{Native, NativeCookie, NativeCookieError};

pub use super::source::{
    ConsentSource, Format, GenericSettings, Implied, Reading, SourceDecision, SourceSettings, Void,
};

/// The names of all adapters.
pub const NAMES: &[&str] = &[
    "consentry",
    "onetrust",
    "cookiebot",
    "cookieyes",
    "cookielawinfo",
    "complianz",
    "vanilla-cookieconsent",
    "klaro",
    "tarteaucitron",
    "osano",
    "iubenda",
    "borlabs",
    "moove",
    "cookiefirst",
    "c15t",
    "hubspot",
    "wp-consent-api",
    "zaraz",
    "didomi",
    "axeptio",
    "shopify",
    "fides",
    "cookieinformation",
    "cookiescript",
    "pandectes",
    "django-cookie-consent",
    "tealium",
    "drupal",
    "trustarc",
    "commanders-act",
    "usprivacy",
    "tcf",
    "gpp",
    "generic",
    "auto",
];

/// Whether the source of this name reads the native cookie.
pub fn reads_own_cookie(name: &str) -> bool {
    matches!(name, "consentry" | "auto")
}

/// The supported config keys of a source, besides `map`.
pub fn keys(name: &str) -> &'static [&'static str] {
    match name {
        "onetrust" => &["require_alert_box_closed"],
        "cookiebot" => &["implied"],
        "osano" => &["cookie", "dismiss_grants"],
        "vanilla-cookieconsent" => &["cookie", "revision"],
        "complianz" | "borlabs" | "cookiefirst" | "axeptio" | "drupal" => &["revision"],
        "klaro"
        | "tarteaucitron"
        | "didomi"
        | "c15t"
        | "zaraz"
        | "django-cookie-consent"
        | "tcf" => &["cookie"],
        _ => &[],
    }
}

/// Whether a tool has ids that `map` can assign to categories. Other tools have a single answer for
/// all categories.
pub fn has_ids(name: &str) -> bool {
    !matches!(name, "osano" | "pandectes")
}

/// Builds the adapter with this name. `all` contains the settings of each source by name, because
/// `auto` uses all of them.
pub fn find(name: &str, all: &HashMap<String, SourceSettings>) -> Option<Box<dyn ConsentSource>> {
    let none = SourceSettings::default();
    let settings = all.get(name).unwrap_or(&none);
    Some(match name {
        "consentry" => Box::new(Native::new(settings.keys.clone())),
        "onetrust" => Box::new(onetrust::OneTrust::new(settings)),
        "cookiebot" => Box::new(cookiebot::Cookiebot::new(settings)),
        "cookieyes" => Box::new(cookieyes::CookieYes::new(settings)),
        "cookielawinfo" => Box::new(cookielawinfo::CookieLawInfo::new(settings)),
        "complianz" => Box::new(complianz::Complianz::new(settings)),
        "vanilla-cookieconsent" => {
            Box::new(vanilla_cookieconsent::VanillaCookieConsent::new(settings))
        }
        "klaro" => Box::new(klaro::Klaro::new(settings)),
        "tarteaucitron" => Box::new(tarteaucitron::Tarteaucitron::new(settings)),
        "osano" => Box::new(osano::Osano::new(settings)),
        "iubenda" => Box::new(iubenda::Iubenda::new(settings)),
        "borlabs" => Box::new(borlabs::Borlabs::new(settings)),
        "moove" => Box::new(moove::Moove::new(settings)),
        "cookiefirst" => Box::new(cookiefirst::CookieFirst::new(settings)),
        "c15t" => Box::new(c15t::C15t::new(settings)),
        "hubspot" => Box::new(hubspot::HubSpot::new(settings)),
        "wp-consent-api" => Box::new(wp_consent_api::WpConsentApi::new(settings)),
        "zaraz" => Box::new(zaraz::Zaraz::new(settings)),
        "didomi" => Box::new(didomi::Didomi::new(settings)),
        "axeptio" => Box::new(axeptio::Axeptio::new(settings)),
        "shopify" => Box::new(shopify::Shopify::new(settings)),
        "fides" => Box::new(fides::Fides::new(settings)),
        "cookieinformation" => Box::new(cookieinformation::CookieInformation::new(settings)),
        "cookiescript" => Box::new(cookiescript::CookieScript::new(settings)),
        "pandectes" => Box::new(pandectes::Pandectes),
        "django-cookie-consent" => {
            Box::new(django_cookie_consent::DjangoCookieConsent::new(settings))
        }
        "tealium" => Box::new(tealium::Tealium::new(settings)),
        "drupal" => Box::new(drupal::Drupal::new(settings)),
        "trustarc" => Box::new(trustarc::TrustArc::new(settings)),
        "commanders-act" => Box::new(commanders_act::CommandersAct::new(settings)),
        "usprivacy" => Box::new(usprivacy::UsPrivacy::new(settings)),
        "generic" => Box::new(generic::Generic::new(settings)),
        "tcf" => Box::new(tcf::Tcf::new(settings)),
        "gpp" => Box::new(gpp::Gpp::new(settings)),
        "auto" => {
            // `generic` is included only if it is configured.
            let asked =
                |name: &str| name != "auto" && (name != "generic" || all.contains_key(name));
            let others = NAMES.iter().filter(|name| asked(name));
            Box::new(auto::Auto::new(others.filter_map(|name| find(name, all)).collect()))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_adapter_and_every_adapter_its_name() {
        for name in NAMES {
            let source = find(name, &HashMap::new()).expect("it exists");
            assert_eq!(source.name(), *name);
            assert!(!source.cookie_names().is_empty(), "{name}");
        }
    }
}
