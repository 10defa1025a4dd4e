//! What visitors allowed.

use std::collections::BTreeMap;

use super::shapes::OneOrMany;
use crate::config::spanned::{Day, Spanned};

type Text = Spanned<String>;

/// Default without a decision.
#[derive(Debug, Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDefault {
    Deny,
    Allow,
}

/// Effect of a browser signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawSignal {
    Deny,
    Ignore,
}

/// Consent sources, and the default without a decision.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawConsent {
    /// Consent sources in order; the first one with a decision wins. Default: `["consentry"]`.
    pub(in crate::config) sources: Option<Spanned<Vec<Text>>>,
    /// Consent without a decision: `deny` (opt-in) or `allow` (opt-out). Ignored if `region` is set, except for a site's own `deny`. Default: `"deny"`.
    pub(in crate::config) default: Option<RawDefault>,
    /// Global Privacy Control (`Sec-GPC: 1`). `deny` denies the categories in `gpc_categories`; `ignore` ignores the signal. Default: `"deny"`.
    pub(in crate::config) gpc: Option<RawSignal>,
    /// Categories denied by `Sec-GPC: 1`. Default: `["targeting", "social"]`.
    pub(in crate::config) gpc_categories: Option<Vec<Text>>,
    /// Serve `/.well-known/gpc.json` while GPC is honoured. Default: `true`.
    pub(in crate::config) gpc_json: Option<bool>,
    /// Do Not Track (`DNT: 1`). `deny` denies the categories in `dnt_categories`; `ignore` ignores the signal. Default: `"ignore"`.
    pub(in crate::config) dnt: Option<RawSignal>,
    /// Categories denied by `DNT: 1`. Default: `["analytics", "targeting", "social"]`.
    pub(in crate::config) dnt_categories: Option<Vec<Text>>,
    /// Default by region. Regions not set to `allow` are denied.
    pub(in crate::config) region: Option<RawRegion>,
    /// Request header field with the granted categories for the upstream, such as `"X-Consent"`. The same field from the client is removed. Fields with another meaning, such as `Host`, are rejected. Default: none.
    pub(in crate::config) forward_header: Option<Text>,
    /// Lifetime of consent, in days. Grants in older decisions are ignored; refusals stay in force. Default: `182`.
    pub(in crate::config) max_age_days: Option<Spanned<u32>>,
    /// Minimum time before a visitor who refused is asked again, in days: at least `184` in the EU, `365` in US states. The refusal itself never expires. Default: `184`, or `max_age_days` if that is larger.
    pub(in crate::config) ask_again_days: Option<Spanned<u32>>,
    /// Date of the notice. Grants in decisions made before this notice date are ignored; refusals stay in force. Default: `2018-05-25`.
    #[schemars(with = "Option<Day>")]
    pub(in crate::config) notice_date: Option<Spanned<toml::value::Datetime>>,
    /// `Domain` of consentry's own cookie: one decision then covers all hosts below this domain. Default: none, the cookie covers the requested host only.
    pub(in crate::config) cookie_domain: Option<Text>,
    /// File with the keys that sign consentry's own cookie: one key per line, of 32 or more characters. The first key signs, all of them verify. Unsigned cookies grant nothing. Use the same file on every replica. Default: none, cookies are unsigned.
    pub(in crate::config) key_file: Option<Text>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) onetrust: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookiebot: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookieyes: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookielawinfo: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) complianz: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "vanilla-cookieconsent")]
    pub(in crate::config) vanilla_cookieconsent: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) klaro: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) tarteaucitron: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) osano: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) iubenda: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) borlabs: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) moove: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookiefirst: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) c15t: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) hubspot: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "wp-consent-api")]
    pub(in crate::config) wp_consent_api: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) zaraz: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) didomi: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) axeptio: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) shopify: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) fides: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookieinformation: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookiescript: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) pandectes: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "django-cookie-consent")]
    pub(in crate::config) django_cookie_consent: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) tealium: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) drupal: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) trustarc: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "commanders-act")]
    pub(in crate::config) commanders_act: Option<RawSource>,
    /// IAB US Privacy string.
    pub(in crate::config) usprivacy: Option<RawSource>,
    /// IAB Europe TC string.
    pub(in crate::config) tcf: Option<RawSource>,
    /// IAB GPP string.
    pub(in crate::config) gpp: Option<RawSource>,
    /// Consent tool that is not built in.
    pub(in crate::config) generic: Option<RawGeneric>,
}

impl RawConsent {
    /// The table of a source.
    pub(in crate::config) fn source(&self, name: &str) -> Option<&RawSource> {
        match name {
            "onetrust" => self.onetrust.as_ref(),
            "cookiebot" => self.cookiebot.as_ref(),
            "cookieyes" => self.cookieyes.as_ref(),
            "cookielawinfo" => self.cookielawinfo.as_ref(),
            "complianz" => self.complianz.as_ref(),
            "vanilla-cookieconsent" => self.vanilla_cookieconsent.as_ref(),
            "klaro" => self.klaro.as_ref(),
            "tarteaucitron" => self.tarteaucitron.as_ref(),
            "osano" => self.osano.as_ref(),
            "iubenda" => self.iubenda.as_ref(),
            "borlabs" => self.borlabs.as_ref(),
            "moove" => self.moove.as_ref(),
            "cookiefirst" => self.cookiefirst.as_ref(),
            "c15t" => self.c15t.as_ref(),
            "hubspot" => self.hubspot.as_ref(),
            "wp-consent-api" => self.wp_consent_api.as_ref(),
            "zaraz" => self.zaraz.as_ref(),
            "didomi" => self.didomi.as_ref(),
            "axeptio" => self.axeptio.as_ref(),
            "shopify" => self.shopify.as_ref(),
            "fides" => self.fides.as_ref(),
            "cookieinformation" => self.cookieinformation.as_ref(),
            "cookiescript" => self.cookiescript.as_ref(),
            "pandectes" => self.pandectes.as_ref(),
            "django-cookie-consent" => self.django_cookie_consent.as_ref(),
            "tealium" => self.tealium.as_ref(),
            "drupal" => self.drupal.as_ref(),
            "trustarc" => self.trustarc.as_ref(),
            "commanders-act" => self.commanders_act.as_ref(),
            "usprivacy" => self.usprivacy.as_ref(),
            "tcf" => self.tcf.as_ref(),
            "gpp" => self.gpp.as_ref(),
            _ => None,
        }
    }
}

/// Default by region.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawRegion {
    /// Request header field with the region, set by a trusted proxy, such as `"CF-IPCountry"`. Required.
    pub(in crate::config) header: Option<Text>,
    /// Default of each region, such as `{ US = "allow", DE = "deny" }`. Default: every region is denied.
    pub(in crate::config) regions: BTreeMap<String, RawDefault>,
}

/// Settings for the consent cookie of a tool.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawSource {
    /// Categories of the tool's ids, such as `{ matomo = "analytics", youtube = ["functional", "social"] }`. The entries extend and override the built-in ones.
    pub(in crate::config) map: BTreeMap<String, Spanned<OneOrMany>>,
    /// Name of the consent cookie, without wildcards. Default: the tool's own default.
    pub(in crate::config) cookie: Option<Text>,
    /// Required revision. Decisions for another revision grant nothing. Default: any revision.
    pub(in crate::config) revision: Option<Spanned<Revision>>,
    /// Cookiebot: implied consent outside the regions where Cookiebot asks. `accept` counts it as a decision, `ignore` as no decision. Default: `"accept"`.
    pub(in crate::config) implied: Option<Spanned<RawImplied>>,
    /// Osano: a dismissed notice grants every category. Default: `false`, a dismissed notice is no decision.
    pub(in crate::config) dismiss_grants: Option<Spanned<bool>>,
    /// OneTrust: require the cookie `OptanonAlertBoxClosed`; without it there is no decision. Default: `true`.
    pub(in crate::config) require_alert_box_closed: Option<Spanned<bool>>,
}

/// Effect of implied consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawImplied {
    Accept,
    Ignore,
}

/// Consent tool that is not built in.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawGeneric {
    /// Categories of the tool's ids.
    pub(in crate::config) map: BTreeMap<String, Spanned<OneOrMany>>,
    /// Name of the consent cookie, without wildcards. Default: `"consent"`.
    pub(in crate::config) cookie: Option<Text>,
    /// Format of the cookie value. Default: `"json"`.
    pub(in crate::config) format: Option<RawFormat>,
    /// Encodings of the cookie value; `url` is decoded before `base64`. Default: `["url"]`.
    pub(in crate::config) decode: Option<Vec<RawDecode>>,
    /// JSON path of the answers: object keys and list indexes, joined by dots. Default: the top level.
    pub(in crate::config) path: Option<String>,
    /// JSON path of the decision time. Default: none.
    pub(in crate::config) time: Option<String>,
    /// Separator between the entries of a `list` or `map`. Default: `","`.
    pub(in crate::config) separator: Option<Text>,
    /// Regular expression with a named group for each id. Required for `format = "regex"`.
    pub(in crate::config) pattern: Option<Text>,
    /// Values that mean "granted", in any case. Default: `["true", "1", "yes", "allow", "granted"]`.
    pub(in crate::config) truthy: Option<Vec<String>>,
}

/// Format of a cookie value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawFormat {
    Json,
    Query,
    List,
    Map,
    Regex,
    Flag,
}

/// Encoding of a cookie value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDecode {
    Url,
    Base64,
}

/// Revision of a consent tool: a number or a text.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Revision {
    Number(i64),
    Text(String),
}
