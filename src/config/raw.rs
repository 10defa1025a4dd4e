//! What the user typed: the shape of the TOML, every key optional, meanings unchecked.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::settings::{
    AccessFormat, BalanceMethod, Detect, Durability, LogFormat, LogLevel, Mode, Position,
    VisitorAddress,
};

type Text = Spanned<String>;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) listen: Option<Short<RawListen>>,
    pub(super) workers: Option<Spanned<u32>>,
    pub(super) mode: Option<Mode>,
    pub(super) unclassified: Option<RawUnclassified>,
    pub(super) catalogue: Option<Vec<Text>>,
    pub(super) consent: RawConsent,
    pub(super) centre: RawCentre,
    pub(super) timeouts: RawTimeouts,
    pub(super) limits: RawLimits,
    pub(super) retries: RawRetries,
    pub(super) log: RawLog,
    pub(super) beacons: RawBeacons,
    pub(super) expire: RawExpire,
    pub(super) technologies: RawTechnologies,
    pub(super) tls: RawTls,
    pub(super) upstream_tls: RawUpstreamTls,
    pub(super) banner: RawBanner,
    pub(super) page: RawPage,
    pub(super) receipts: Option<Spanned<RawReceipts>>,
    pub(super) category: Vec<Spanned<RawCategory>>,
    pub(super) cookie: Vec<Spanned<RawCookie>>,
    pub(super) beacon: Vec<Spanned<RawBeacon>>,
    pub(super) host: Vec<Spanned<RawHost>>,
    pub(super) site: Vec<Spanned<RawSite>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawListen {
    pub(super) http: Option<Text>,
    pub(super) https: Option<Text>,
    pub(super) admin: Option<Text>,
    pub(super) admin_token_file: Option<Text>,
    pub(super) reuse_port: Option<bool>,
    pub(super) proxy_protocol: Option<bool>,
    pub(super) trusted_proxies: Vec<Text>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    pub(super) certificates: Vec<Spanned<RawCertificate>>,
    pub(super) min_version: Option<RawTlsVersion>,
    pub(super) client_ca: Option<Text>,
    pub(super) client_auth: Option<RawClientAuth>,
    pub(super) redirect: Option<bool>,
    pub(super) redirect_port: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstreamTls {
    pub(super) ca_file: Option<Text>,
    pub(super) client_cert: Option<Text>,
    pub(super) client_key: Option<Text>,
    pub(super) server_name: Option<Text>,
    pub(super) insecure_skip_verify: Option<bool>,
    pub(super) http2: Option<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCertificate {
    pub(super) cert: Option<Text>,
    pub(super) key: Option<Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(super) enum RawTlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawClientAuth {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawUnclassified {
    Block,
    Allow,
}

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDefault {
    Deny,
    Allow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSignal {
    Deny,
    Ignore,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConsent {
    pub(super) sources: Option<Spanned<Vec<Text>>>,
    pub(super) default: Option<RawDefault>,
    pub(super) gpc: Option<RawSignal>,
    pub(super) gpc_categories: Option<Vec<Text>>,
    pub(super) gpc_json: Option<bool>,
    pub(super) dnt: Option<RawSignal>,
    pub(super) dnt_categories: Option<Vec<Text>>,
    pub(super) region: Option<RawRegion>,
    pub(super) forward_header: Option<Text>,
    pub(super) max_age_days: Option<Spanned<u32>>,
    pub(super) notice_date: Option<Spanned<toml::value::Datetime>>,
    pub(super) cookie_domain: Option<Text>,
    pub(super) onetrust: Option<RawSource>,
    pub(super) cookiebot: Option<RawSource>,
    pub(super) cookieyes: Option<RawSource>,
    pub(super) cookielawinfo: Option<RawSource>,
    pub(super) complianz: Option<RawSource>,
    #[serde(rename = "vanilla-cookieconsent")]
    pub(super) vanilla_cookieconsent: Option<RawSource>,
    pub(super) klaro: Option<RawSource>,
    pub(super) tarteaucitron: Option<RawSource>,
    pub(super) osano: Option<RawSource>,
    pub(super) iubenda: Option<RawSource>,
    pub(super) borlabs: Option<RawSource>,
    pub(super) moove: Option<RawSource>,
    pub(super) cookiefirst: Option<RawSource>,
    pub(super) c15t: Option<RawSource>,
    pub(super) hubspot: Option<RawSource>,
    #[serde(rename = "wp-consent-api")]
    pub(super) wp_consent_api: Option<RawSource>,
    pub(super) zaraz: Option<RawSource>,
    pub(super) didomi: Option<RawSource>,
    pub(super) axeptio: Option<RawSource>,
    pub(super) shopify: Option<RawSource>,
    pub(super) fides: Option<RawSource>,
    pub(super) cookieinformation: Option<RawSource>,
    pub(super) cookiescript: Option<RawSource>,
    pub(super) pandectes: Option<RawSource>,
    #[serde(rename = "django-cookie-consent")]
    pub(super) django_cookie_consent: Option<RawSource>,
    pub(super) tealium: Option<RawSource>,
    pub(super) drupal: Option<RawSource>,
    pub(super) trustarc: Option<RawSource>,
    #[serde(rename = "commanders-act")]
    pub(super) commanders_act: Option<RawSource>,
    pub(super) usprivacy: Option<RawSource>,
    pub(super) tcf: Option<RawSource>,
    pub(super) gpp: Option<RawSource>,
    pub(super) generic: Option<RawGeneric>,
}

impl RawConsent {
    /// The table of a source.
    pub(super) fn source(&self, name: &str) -> Option<&RawSource> {
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

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCentre {
    pub(super) prefix: Option<Text>,
    pub(super) language: Option<Text>,
    pub(super) locales: Option<Text>,
    pub(super) earlier_notices: Option<Vec<Spanned<toml::value::Datetime>>>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBanner {
    pub(super) enabled: Option<bool>,
    pub(super) position: Option<Position>,
    pub(super) colours: BTreeMap<String, Text>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPage {
    pub(super) guard: Option<bool>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawReceipts {
    pub(super) url: Option<Text>,
    pub(super) ca_file: Option<Text>,
    pub(super) spool: Option<Text>,
    pub(super) spool_max: Option<Spanned<u32>>,
    pub(super) durability: Option<Durability>,
    pub(super) retention_days: Option<Spanned<u32>>,
    pub(super) ip: Option<bool>,
    pub(super) user_agent: Option<bool>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRegion {
    pub(super) header: Option<Text>,
    pub(super) regions: BTreeMap<String, RawDefault>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSource {
    pub(super) map: BTreeMap<String, Spanned<OneOrMore>>,
    pub(super) cookie: Option<Text>,
    pub(super) revision: Option<Spanned<Revision>>,
    pub(super) implied: Option<Spanned<RawImplied>>,
    pub(super) dismiss_grants: Option<Spanned<bool>>,
    pub(super) require_alert_box_closed: Option<Spanned<bool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawImplied {
    Accept,
    Ignore,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGeneric {
    pub(super) map: BTreeMap<String, Spanned<OneOrMore>>,
    pub(super) cookie: Option<Text>,
    pub(super) format: Option<RawFormat>,
    pub(super) decode: Option<Vec<RawDecode>>,
    pub(super) path: Option<String>,
    pub(super) time: Option<String>,
    pub(super) separator: Option<Text>,
    pub(super) pattern: Option<Text>,
    pub(super) truthy: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawFormat {
    Json,
    Query,
    List,
    Map,
    Regex,
    Flag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDecode {
    Url,
    Base64,
}

/// A revision as tools count them: a number or a text.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Revision {
    Number(i64),
    Text(String),
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTimeouts {
    pub(super) connect: Option<Text>,
    pub(super) request_head: Option<Text>,
    pub(super) idle: Option<Text>,
    pub(super) first_byte: Option<Text>,
    pub(super) upstream_idle: Option<Text>,
    pub(super) drain: Option<Text>,
    pub(super) drain_delay: Option<Text>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    pub(super) header_bytes: Option<Spanned<u32>>,
    pub(super) header_fields: Option<Spanned<u32>>,
    pub(super) idle_upstream_connections: Option<Spanned<u32>>,
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) body_bytes: Option<Spanned<u64>>,
    pub(super) concurrent_requests: Option<Spanned<u32>>,
    pub(super) queue: Option<Spanned<u32>>,
    pub(super) queue_timeout: Option<Text>,
    pub(super) requests_per_second: Option<Spanned<u32>>,
    pub(super) burst: Option<Spanned<u32>>,
}

impl RawLimits {
    /// What holds for every site that does not say otherwise.
    pub(super) fn of_sites(&self) -> RawSiteLimits {
        RawSiteLimits {
            body_bytes: self.body_bytes.clone(),
            concurrent_requests: self.concurrent_requests.clone(),
            queue: self.queue.clone(),
            queue_timeout: self.queue_timeout.clone(),
            requests_per_second: self.requests_per_second.clone(),
            burst: self.burst.clone(),
        }
    }
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSiteLimits {
    pub(super) body_bytes: Option<Spanned<u64>>,
    pub(super) concurrent_requests: Option<Spanned<u32>>,
    pub(super) queue: Option<Spanned<u32>>,
    pub(super) queue_timeout: Option<Text>,
    pub(super) requests_per_second: Option<Spanned<u32>>,
    pub(super) burst: Option<Spanned<u32>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRetries {
    pub(super) percent: Option<Spanned<u32>>,
    pub(super) least: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstream {
    pub(super) url: Option<Text>,
    pub(super) weight: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHealth {
    pub(super) path: Option<Text>,
    pub(super) interval: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) healthy_after: Option<Spanned<u32>>,
    pub(super) unhealthy_after: Option<Spanned<u32>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) access: Option<bool>,
    pub(super) format: Option<LogFormat>,
    pub(super) access_format: Option<AccessFormat>,
    pub(super) visitor_address: Option<VisitorAddress>,
    pub(super) level: Option<LogLevel>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBeacons {
    pub(super) detect: Option<Detect>,
    pub(super) email_opens: Option<RawDefault>,
    pub(super) lists: Vec<Text>,
    pub(super) list_category: Option<Text>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawExpire {
    pub(super) enabled: Option<bool>,
    pub(super) max_per_response: Option<Spanned<u32>>,
    pub(super) on_withdrawal: Option<Vec<RawWithdrawal>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawWithdrawal {
    Cookies,
    Storage,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTechnologies {
    pub(super) nel: Option<Text>,
    pub(super) attribution_reporting: Option<Text>,
    pub(super) topics: Option<Text>,
    pub(super) client_hints: Option<Text>,
    pub(super) login_status: Option<Text>,
    pub(super) beacon_etag: Option<Text>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCategory {
    pub(super) name: Option<Text>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCookie {
    pub(super) name: Option<Text>,
    pub(super) category: Option<Text>,
    pub(super) vendor: Option<String>,
    pub(super) tcf_vendor: Option<u16>,
    pub(super) purpose: Option<String>,
    pub(super) lifetime: Option<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBeacon {
    pub(super) path: Option<Text>,
    pub(super) method: Option<Text>,
    pub(super) query: Option<String>,
    pub(super) fetch_dest: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) email_open: bool,
    pub(super) category: Option<Text>,
    pub(super) vendor: Option<String>,
    pub(super) tcf_vendor: Option<u16>,
    pub(super) purpose: Option<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHost {
    pub(super) name: Option<Text>,
    pub(super) category: Option<Text>,
    pub(super) vendor: Option<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSite {
    pub(super) name: Option<Text>,
    pub(super) hosts: Option<Spanned<Vec<Text>>>,
    pub(super) paths: Option<Spanned<Vec<Text>>>,
    pub(super) upstream: Option<Spanned<OneOrMore<Short<RawUpstream>>>>,
    pub(super) balance: Option<BalanceMethod>,
    pub(super) sticky_cookie: Option<Text>,
    pub(super) health: Option<RawHealth>,
    pub(super) limits: RawSiteLimits,
    pub(super) mode: Option<Mode>,
    pub(super) unclassified: Option<RawUnclassified>,
    pub(super) consent: RawConsent,
    pub(super) centre: RawCentre,
    pub(super) banner: RawBanner,
    pub(super) page: RawPage,
    pub(super) upstream_tls: Option<RawUpstreamTls>,
    pub(super) cookie: Vec<Spanned<RawCookie>>,
    pub(super) beacon: Vec<Spanned<RawBeacon>>,
    pub(super) host: Vec<Spanned<RawHost>>,
}

/// A catalogue file: cookies, beacons and hosts, nothing else.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCatalogue {
    pub(super) cookie: Vec<Spanned<RawCookie>>,
    pub(super) beacon: Vec<Spanned<RawBeacon>>,
    pub(super) host: Vec<Spanned<RawHost>>,
}

/// A text that stands for its table with one key, or the table itself.
#[derive(Debug, Clone)]
pub(super) enum Short<T> {
    Text(String),
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ShortVisitor<T> {
            type Value = Short<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a table")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Short::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short::Table)
            }
        }
        deserializer.deserialize_any(ShortVisitor(PhantomData))
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub(super) struct OneOrMore<T = String>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = OneOrMore<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value, or a list of them")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(|one| OneOrMore(vec![one]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMore(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMore)
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}
