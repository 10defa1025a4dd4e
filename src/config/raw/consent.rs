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
    /// Lifetime of consent, in days. Grants in older decisions are ignored; refusals stay in force. Default: the lifetime of each tool, see `docs/consent-sources.md`; `182` for consentry's own cookie.
    pub(in crate::config) max_age_days: Option<Spanned<u32>>,
    /// Minimum time before a visitor who refused is asked again, in days: at least `184` in the EU, `365` in US states. The refusal itself never expires. Default: `184`, or `max_age_days` if that is set and larger.
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
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "google-fc")]
    pub(in crate::config) google_fc: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) webtoffee: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) cookiehub: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) ketch: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "piwik-pro")]
    pub(in crate::config) piwik_pro: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) finsweet: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "cookie-notice")]
    pub(in crate::config) cookie_notice: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "hu-consent")]
    pub(in crate::config) hu_consent: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "react-cookie-consent")]
    pub(in crate::config) react_cookie_consent: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) consentmanager: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) wix: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "real-cookie-banner")]
    pub(in crate::config) real_cookie_banner: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) civic: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) adobe: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) securiti: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) segment: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) transcend: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) govuk: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    #[serde(rename = "sg-cookie-optin")]
    pub(in crate::config) sg_cookie_optin: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) magento: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) squarespace: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) jetpack: Option<RawSource>,
    /// Settings for the consent cookie of this tool.
    pub(in crate::config) matomo: Option<RawSource>,
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
            "google-fc" => self.google_fc.as_ref(),
            "webtoffee" => self.webtoffee.as_ref(),
            "cookiehub" => self.cookiehub.as_ref(),
            "ketch" => self.ketch.as_ref(),
            "piwik-pro" => self.piwik_pro.as_ref(),
            "finsweet" => self.finsweet.as_ref(),
            "cookie-notice" => self.cookie_notice.as_ref(),
            "hu-consent" => self.hu_consent.as_ref(),
            "react-cookie-consent" => self.react_cookie_consent.as_ref(),
            "consentmanager" => self.consentmanager.as_ref(),
            "wix" => self.wix.as_ref(),
            "real-cookie-banner" => self.real_cookie_banner.as_ref(),
            "civic" => self.civic.as_ref(),
            "adobe" => self.adobe.as_ref(),
            "securiti" => self.securiti.as_ref(),
            "segment" => self.segment.as_ref(),
            "transcend" => self.transcend.as_ref(),
            "govuk" => self.govuk.as_ref(),
            "sg-cookie-optin" => self.sg_cookie_optin.as_ref(),
            "magento" => self.magento.as_ref(),
            "squarespace" => self.squarespace.as_ref(),
            "jetpack" => self.jetpack.as_ref(),
            "matomo" => self.matomo.as_ref(),
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
    /// Consent that the tool records without a choice of the visitor: outside the regions where it asks (Cookiebot, Ketch), or after scrolling (Jetpack). `accept` counts it as a decision, `ignore` as no decision. Default: `"accept"` for Cookiebot, `"ignore"` for Ketch and Jetpack.
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
    /// Name of the consent cookie. One `*`, after four or more characters, matches any text: `"consent_*"`. Matching cookies are strictly necessary. Default: `"consent"`.
    pub(in crate::config) cookie: Option<Text>,
    /// Format of the cookie value. Default: `"json"`.
    pub(in crate::config) format: Option<RawFormat>,
    /// Encodings of the cookie value in the order of decoding, at most four. An encoding can occur twice. Default: `["url"]`.
    pub(in crate::config) decode: Option<Spanned<Vec<RawDecode>>>,
    /// JSON path of the answers, or of the string of `tcf` and `gpp`: object keys and list indexes, joined by dots. Default: the top level.
    pub(in crate::config) path: Option<String>,
    /// JSON path of the id within each entry of a list of objects. Default: none, the list contains the granted ids.
    pub(in crate::config) id: Option<Text>,
    /// JSON path of the answer within each entry. Default: with `id` none, every listed id is granted; else the entry itself.
    pub(in crate::config) answer: Option<Text>,
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
    Tcf,
    Gpp,
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
