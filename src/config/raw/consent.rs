//! What visitors allowed.

use std::collections::BTreeMap;

use super::shapes::OneOrMore;
use crate::config::spanned::{Day, Spanned};

type Text = Spanned<String>;

/// What holds without a decision.
#[derive(Debug, Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDefault {
    Deny,
    Allow,
}

/// What a signal of the browser does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawSignal {
    Deny,
    Ignore,
}

/// What visitors allowed, and what holds without their decision.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawConsent {
    /// Whose consent cookie is read, in order; the first with a decision wins. Default: `["consentry"]`.
    pub(in crate::config) sources: Option<Spanned<Vec<Text>>>,
    /// Without a decision: `deny` (opt-in) or `allow` (opt-out). Beside `region` only a site's own `deny` counts. Default: `"deny"`.
    pub(in crate::config) default: Option<RawDefault>,
    /// `Sec-GPC: 1` takes categories away (`deny`), or not (`ignore`). Default: `"deny"`.
    pub(in crate::config) gpc: Option<RawSignal>,
    /// Which. Default: `["targeting", "social"]`.
    pub(in crate::config) gpc_categories: Option<Vec<Text>>,
    /// `/.well-known/gpc.json` says that it is heeded, while it is. Default: `true`.
    pub(in crate::config) gpc_json: Option<bool>,
    /// The same for `DNT: 1`. Default: `"ignore"`.
    pub(in crate::config) dnt: Option<RawSignal>,
    /// Which. Default: `["analytics", "targeting", "social"]`.
    pub(in crate::config) dnt_categories: Option<Vec<Text>>,
    /// The default by region; regions that it does not allow are denied.
    pub(in crate::config) region: Option<RawRegion>,
    /// The request field that tells the origin what was granted, such as `"X-Consent"`; the visitor's own is removed. Fields with another meaning, such as `Host`, are refused. Default: none.
    pub(in crate::config) forward_header: Option<Text>,
    /// How long consent lasts, in days: an older decision grants nothing. Refusals stay. Default: `182`.
    pub(in crate::config) max_age_days: Option<Spanned<u32>>,
    /// How long a visitor who refused is not asked again, in days: at least `184` in the EU, `365` in US states. The refusal itself never expires. Default: `184`, or `max_age_days` if that is longer.
    pub(in crate::config) ask_again_days: Option<Spanned<u32>>,
    /// The date of the notice: a decision made for an older one grants nothing. Refusals stay. Default: none.
    #[schemars(with = "Option<Day>")]
    pub(in crate::config) notice_date: Option<Spanned<toml::value::Datetime>>,
    /// consentry's own cookie is for all hosts below this domain. Default: for the host that was visited.
    pub(in crate::config) cookie_domain: Option<Text>,
    /// File with the keys that sign consentry's own cookie, the same on every replica: one line each, of 32 or more characters. The first key signs, all of them verify; unsigned cookies grant nothing. Default: none, cookies are unsigned.
    pub(in crate::config) key_file: Option<Text>,
    /// How this tool's cookie is read.
    pub(in crate::config) onetrust: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) cookiebot: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) cookieyes: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) cookielawinfo: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) complianz: Option<RawSource>,
    /// How this tool's cookie is read.
    #[serde(rename = "vanilla-cookieconsent")]
    pub(in crate::config) vanilla_cookieconsent: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) klaro: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) tarteaucitron: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) osano: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) iubenda: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) borlabs: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) moove: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) cookiefirst: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) c15t: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) hubspot: Option<RawSource>,
    /// How this tool's cookie is read.
    #[serde(rename = "wp-consent-api")]
    pub(in crate::config) wp_consent_api: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) zaraz: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) didomi: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) axeptio: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) shopify: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) fides: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) cookieinformation: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) cookiescript: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) pandectes: Option<RawSource>,
    /// How this tool's cookie is read.
    #[serde(rename = "django-cookie-consent")]
    pub(in crate::config) django_cookie_consent: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) tealium: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) drupal: Option<RawSource>,
    /// How this tool's cookie is read.
    pub(in crate::config) trustarc: Option<RawSource>,
    /// How this tool's cookie is read.
    #[serde(rename = "commanders-act")]
    pub(in crate::config) commanders_act: Option<RawSource>,
    /// The US Privacy string of IAB.
    pub(in crate::config) usprivacy: Option<RawSource>,
    /// The TC string of IAB Europe.
    pub(in crate::config) tcf: Option<RawSource>,
    /// The GPP string of IAB.
    pub(in crate::config) gpp: Option<RawSource>,
    /// A tool that is not built in.
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

/// The default by region.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawRegion {
    /// The request field of a trusted proxy that tells it, such as `"CF-IPCountry"`.
    pub(in crate::config) header: Option<Text>,
    /// The default of each, such as `{ US = "allow", DE = "deny" }`.
    pub(in crate::config) regions: BTreeMap<String, RawDefault>,
}

/// How a consent tool's cookie is read.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawSource {
    /// The categories of the tool's ids, such as `{ matomo = "analytics", youtube = ["functional", "social"] }`; added to those that are known.
    pub(in crate::config) map: BTreeMap<String, Spanned<OneOrMore>>,
    /// The name of its cookie, without wildcards. Default: the tool's.
    pub(in crate::config) cookie: Option<Text>,
    /// A decision for another revision grants nothing. Default: any revision.
    pub(in crate::config) revision: Option<Spanned<Revision>>,
    /// Cookiebot, outside the regions where it asks: `accept` its word, or `ignore` it. Default: `"accept"`.
    pub(in crate::config) implied: Option<Spanned<RawImplied>>,
    /// Osano: a notice that was closed grants everything. Default: `false`.
    pub(in crate::config) dismiss_grants: Option<Spanned<bool>>,
    /// OneTrust: without that cookie there is no decision. Default: `true`.
    pub(in crate::config) require_alert_box_closed: Option<Spanned<bool>>,
}

/// What a consent that nobody was asked for is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawImplied {
    Accept,
    Ignore,
}

/// A tool that is not built in.
#[derive(Debug, Default, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawGeneric {
    /// The categories of its ids.
    pub(in crate::config) map: BTreeMap<String, Spanned<OneOrMore>>,
    /// The name of its cookie, without wildcards.
    pub(in crate::config) cookie: Option<Text>,
    /// What is in it.
    pub(in crate::config) format: Option<RawFormat>,
    /// How it is encoded, the outermost first. Default: `["url"]`.
    pub(in crate::config) decode: Option<Vec<RawDecode>>,
    /// Where in JSON the answers are: keys joined by dots. Default: at the top.
    pub(in crate::config) path: Option<String>,
    /// Where in JSON the time of the decision is. Default: nowhere.
    pub(in crate::config) time: Option<String>,
    /// What stands between the entries of a list. Default: `","`.
    pub(in crate::config) separator: Option<Text>,
    /// A regular expression with a group for the ids.
    pub(in crate::config) pattern: Option<Text>,
    /// The words that grant. Default: those that mostly do.
    pub(in crate::config) truthy: Option<Vec<String>>,
}

/// What is in a cookie.
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

/// How a cookie is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDecode {
    Url,
    Base64,
}

/// A revision as tools count them.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Revision {
    Number(i64),
    Text(String),
}
