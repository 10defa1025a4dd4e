//! Consent sources, and the default without a decision.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::shapes::{OneOrMany, StringOrTable};
use super::values::{CookieName, CookiePattern, Day, FieldName, Number, OwnField};
use crate::config::spanned::{Spanned, Text};
use crate::consent::sources::{self, GenericSettings, Implied, SourceSettings};

/// The default of `ask_again_days`.
pub(in crate::config) const ASK_AGAIN_DAYS: u32 = 184;

/// Default without a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDefault {
    Deny,
    Allow,
}

/// Default without a decision, for all categories or for each.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum RawDefaults {
    All(RawDefault),
    Each(BTreeMap<String, Spanned<RawDefault>>),
}

impl RawDefaults {
    /// Whether a category is allowed.
    pub(in crate::config) fn allows(&self) -> bool {
        match self {
            Self::All(default) => *default == RawDefault::Allow,
            Self::Each(defaults) => {
                defaults.values().any(|default| *default.get_ref() == RawDefault::Allow)
            }
        }
    }
}

impl<'de> Deserialize<'de> for RawDefaults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value =
            StringOrTable::<BTreeMap<String, Spanned<RawDefault>>>::deserialize(deserializer)?;
        match value {
            StringOrTable::Text(text) => {
                RawDefault::deserialize(text.into_deserializer()).map(Self::All)
            }
            StringOrTable::Table(each) => Ok(Self::Each(each)),
        }
    }
}

/// Effect of a browser signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawSignal {
    Deny,
    Ignore,
}

/// Defines the table of consent sources: its keys, and a table for each tool.
macro_rules! consent {
    ($($about:literal: $($name:literal $tool:ident),*;)*) => {
        tables! {
            /// Consent sources, and the default without a decision.
            RawConsent {
                /// Consent sources in order; the first one with a decision wins.
                #[schemars(extend("items" = json!({ "enum": Vec::from_iter(sources::names()) })))]
                sources: Spanned<Vec<Text>> = ["consentry"],
                /// Consent without a decision: `deny` (opt-in), `allow` (opt-out), or one of them for each category: `{ analytics = "allow" }`. Categories not in the table are denied. Ignored if `region` is set, except for a site's own `"deny"`.
                default: RawDefaults = RawDefaults::All(RawDefault::Deny),
                /// Global Privacy Control (`Sec-GPC: 1`). `deny` denies the categories in `gpc_categories`; `ignore` ignores the signal.
                gpc: RawSignal = RawSignal::Deny,
                /// Categories denied by `Sec-GPC: 1`.
                gpc_categories: Spanned<Vec<Text>> = ["targeting", "social"],
                /// Serve `/.well-known/gpc.json` while GPC is honoured.
                gpc_json: bool = true,
                /// Do Not Track (`DNT: 1`). `deny` denies the categories in `dnt_categories`; `ignore` ignores the signal.
                dnt: RawSignal = RawSignal::Ignore,
                /// Categories denied by `DNT: 1`.
                dnt_categories: Spanned<Vec<Text>> = ["analytics", "targeting", "social"],
                /// Default by region. Regions without a default are denied.
                region: Option<Spanned<RawRegion>>,
                /// Request header field with the granted categories for the upstream, such as `"X-Consent"`. The same field from the client is removed. Fields with another meaning, such as `Host`, are rejected. Default: none.
                forward_header: Option<OwnField>,
                /// Lifetime of consent, in days. Grants in older decisions are ignored; refusals stay in force. Default: the lifetime of each tool, see `docs/consent-sources.md`; `182` for consentry's own cookie.
                max_age_days: Option<Number<1, 36_500>>,
                /// Minimum time before a visitor who refused is asked again, in days: at least `184` in the EU, `365` in US states. The refusal itself never expires. Without this key, a larger `max_age_days` applies.
                #[schemars(extend("default" = ASK_AGAIN_DAYS))]
                ask_again_days: Option<Number<1, 36_500>>,
                /// Date of the notice. Grants in decisions made before this notice date are ignored; refusals stay in force. Default: `2018-05-25`, which the notice does not show.
                notice_date: Option<Day>,
                /// `Domain` of consentry's own cookie: one decision then covers all hosts below this domain. Default: none, the cookie covers the requested host only.
                cookie_domain: Option<Text>,
                /// File with the keys that sign consentry's own cookie: one key per line, of 32 or more characters. The first key signs, all of them verify. Unsigned cookies grant nothing. Use the same file on every replica. Default: none, cookies are unsigned.
                key_file: Option<Text>,
                $($(
                    #[doc = $about]
                    #[serde(rename = $name)]
                    $tool: Option<RawSource>,
                )*)*
                /// Consent tool that is not built in.
                generic: Option<Spanned<RawGeneric>>,
            }
        }

        impl RawConsent {
            /// The table of a tool.
            pub(in crate::config) fn source(&self, name: &str) -> Option<&RawSource> {
                match name {
                    $($($name => self.$tool.as_ref(),)*)*
                    _ => None,
                }
            }
        }
    };
}

consent! {
    "Settings for the consent cookie of this tool.":
    "onetrust" onetrust, "cookiebot" cookiebot, "cookieyes" cookieyes, "cookielawinfo" cookielawinfo, "complianz"
    complianz, "vanilla-cookieconsent" vanilla_cookieconsent, "klaro" klaro, "tarteaucitron" tarteaucitron,
    "osano" osano, "iubenda" iubenda, "borlabs" borlabs, "moove" moove, "cookiefirst" cookiefirst, "c15t" c15t,
    "hubspot" hubspot, "wp-consent-api" wp_consent_api, "zaraz" zaraz, "didomi" didomi, "axeptio" axeptio,
    "shopify" shopify, "fides" fides, "cookieinformation" cookieinformation, "cookiescript" cookiescript,
    "pandectes" pandectes, "django-cookie-consent" django_cookie_consent, "tealium" tealium, "drupal" drupal,
    "trustarc" trustarc, "commanders-act" commanders_act, "google-fc" google_fc, "webtoffee" webtoffee,
    "cookiehub" cookiehub, "ketch" ketch, "piwik-pro" piwik_pro, "finsweet" finsweet, "cookie-notice" cookie_notice,
    "hu-consent" hu_consent, "react-cookie-consent" react_cookie_consent, "consentmanager" consentmanager,
    "wix" wix, "real-cookie-banner" real_cookie_banner, "civic" civic, "adobe" adobe, "securiti" securiti,
    "segment" segment, "transcend" transcend, "govuk" govuk, "sg-cookie-optin" sg_cookie_optin, "magento" magento,
    "squarespace" squarespace, "jetpack" jetpack, "matomo" matomo;
    "IAB US Privacy string.": "usprivacy" usprivacy;
    "IAB Europe TC string.": "tcf" tcf;
    "IAB GPP string.": "gpp" gpp;
}

tables! {
    /// Default by region.
    RawRegion {
        /// Request header field with the region, set by a trusted proxy, such as `"CF-IPCountry"`. Required.
        header: Option<FieldName>,
        /// Default of each region, such as `{ US = "allow", GB = { analytics = "allow" }, DE = "deny" }`. Default: every region is denied.
        regions: BTreeMap<String, RawDefaults>,
    }

    /// Settings for the consent cookie of a tool.
    RawSource {
        /// Categories of the tool's ids, such as `{ matomo = "analytics", youtube = ["functional", "social"] }`. The entries extend and override the built-in ones.
        map: BTreeMap<String, Spanned<OneOrMany>>,
        /// Name of the consent cookie, without wildcards. Default: the tool's own default.
        cookie: Option<CookieName>,
        /// Required revision. Decisions for another revision grant nothing. Default: any revision.
        revision: Option<Revision>,
        /// Consent that the tool records without a choice of the visitor: outside the regions where it asks (Cookiebot, Ketch), or after scrolling (Jetpack). `accept` counts it as a decision, `ignore` as no decision. Default: `"accept"` for Cookiebot, `"ignore"` for Ketch and Jetpack.
        implied: Option<Implied>,
        /// Osano: a dismissed notice grants every category; otherwise it is no decision.
        dismiss_grants: bool = SourceSettings::default().dismiss_grants,
        /// OneTrust: require the cookie `OptanonAlertBoxClosed`; without it there is no decision.
        require_alert_box_closed: bool = SourceSettings::default().require_alert_box_closed,
    }

    /// Consent tool that is not built in.
    RawGeneric {
        /// Categories of the tool's ids.
        map: BTreeMap<String, Spanned<OneOrMany>>,
        /// Name of the consent cookie. One `*`, after four or more characters, matches any text: `"consent_*"`. Matching cookies are strictly necessary. Default: `"consent"`.
        cookie: Option<CookiePattern>,
        /// Format of the cookie value.
        format: RawFormat = RawFormat::Json,
        /// Encodings of the cookie value in the order of decoding, at most four. An encoding can occur twice. Default: `["url"]`.
        decode: Option<Spanned<Vec<RawDecode>>>,
        /// JSON path of the answers, or of the string of `tcf` and `gpp`: object keys and list indexes, joined by dots. Empty for the top level.
        path: String = GenericSettings::default().path,
        /// JSON path of the id within each entry of a list of objects. Default: none, the list contains the granted ids.
        id: Option<Text>,
        /// JSON path of the answer within each entry. Default: with `id` none, every listed id is granted; else the entry itself.
        answer: Option<Text>,
        /// JSON path of the decision time. Default: none.
        time: Option<String>,
        /// Separator between the entries of a `list` or `map`.
        separator: Text = &*GenericSettings::default().separator,
        /// Regular expression with a named group for each id. Required for `format = "regex"`.
        pattern: Option<Text>,
        /// Values that mean "granted", in any case.
        truthy: Vec<String> = GenericSettings::default().truthy,
    }
}

/// Format of a cookie value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawFormat {
    Json,
    Query,
    List,
    Map,
    Regex,
    Flag,
    Tcf,
    Gpp,
}

/// Encoding of a cookie value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDecode {
    Url,
    Base64,
}

/// Revision of a consent tool: a number or a text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Revision {
    Number(i64),
    Text(String),
}
