//! Rules for cookies, beacons, hosts and header fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::consent::RawDefault;
use super::shapes::OneOrMany;
use super::values::{Day, Number};
use crate::catalogue::{Purpose, PurposeKind};
use crate::config::settings::{AlternativeServices, Detect};
use crate::config::spanned::{Spanned, Text};

tables! {
    /// Beacons: tracking pixels and pings.
    RawBeacons {
        /// Detection of responses that look like beacons: `off` disables it, `report` adds them to the inventory, `block` also blocks them.
        detect: Detect = Detect::Report,
        /// Pixels in e-mails, requested without consent cookies: `deny` answers them without the upstream, `allow` forwards them.
        email_opens: RawDefault = RawDefault::Deny,
        /// Filter lists in EasyList syntax, including `$removeparam`. Paths are relative to the folder of the config file.
        lists: Vec<Text>,
        /// Category of the requests and query parameters that match `lists`.
        list_category: Text = "analytics",
    }

    /// Deletion of cookies without consent that browsers still send.
    RawExpire {
        /// Delete cookies without consent in responses to page loads.
        enabled: bool = true,
        /// Maximum number of deletions in one response; the next page loads delete the rest.
        max_per_response: Number<0, 200> = Number(30),
        /// Data that the response to a withdrawal clears at once: `cookies`, and `storage` for everything stored by scripts.
        on_withdrawal: Vec<RawWithdrawal> = [RawWithdrawal::Cookies],
    }
}

/// Data to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawWithdrawal {
    Cookies,
    Storage,
}

tables! {
    /// Categories of tracking technologies that use header fields. `"off"` forwards the fields of a technology unchanged.
    RawTechnologies {
        /// `NEL` and its `Report-To` groups.
        nel: Text = "analytics",
        /// Reports to other sites: `Reporting-Endpoints` and `Report-To`.
        reporting: Text = "analytics",
        /// `Attribution-Reporting-*`.
        attribution_reporting: Text = "targeting",
        /// `Observe-Browsing-Topics` and `Sec-Browsing-Topics`.
        topics: Text = "targeting",
        /// `Ad-Auction-*`, `Sec-Ad-Auction-*` and the fields of fenced frames.
        ad_auctions: Text = "targeting",
        /// `Shared-Storage-*` and `Sec-Shared-Storage-*`.
        shared_storage: Text = "targeting",
        /// `Private-State-Token*`, `Sec-Private-State-Token*` and their earlier names.
        private_state_tokens: Text = "targeting",
        /// Client hints beyond the low-entropy ones: `Accept-CH`, `Critical-CH`, `Sec-CH-*`.
        client_hints: Text = "functional",
        /// Compression dictionaries: `Use-As-Dictionary`, `Available-Dictionary`, `Dictionary-ID`.
        dictionaries: Text = "functional",
        /// Value of `Service-Worker-Navigation-Preload`; replaced by `true` without consent.
        navigation_preload: Text = "functional",
        /// `CMCD-*`, sent by media players.
        media_metrics: Text = "analytics",
        /// Identifiers inserted by mobile networks, such as `X-UIDH`.
        subscriber_ids: Text = "targeting",
        /// `ETag` and `Last-Modified` in beacon responses; browsers send them back as identifiers.
        beacon_etag: Text = "analytics",
        /// `Set-Login`; required by the login dialogs of browsers.
        login_status: Text = "off",
        /// `Secure-Session-*` and token binding; logins may depend on them.
        device_bound_sessions: Text = "off",
        /// Advertising features of pages: `Permissions-Policy` denies Topics, attribution reporting and ad auctions without consent. Features that the origin's field names are unchanged.
        permissions_policy: Text = "off",
        /// `Referer` of requests to other sites: `Referrer-Policy` of pages becomes `strict-origin-when-cross-origin` without consent, unless the origin's policy is as strict.
        referrer_policy: Text = "off",
        /// `Alt-Svc` and other fields that direct browsers to another server: `clear` removes them and makes browsers forget earlier ones, `keep` forwards them.
        alternative_services: AlternativeServices = AlternativeServices::Clear,
    }

    /// Custom category.
    #[schemars(extend("required" = ["name"]))]
    RawCategory {
        /// Name of the category.
        name: Option<Text>,
    }

    /// Cookie rule.
    #[schemars(extend("required" = ["name", "category"]))]
    RawCookie {
        /// Cookie name. `*` matches any characters; `{digits}`, `{hex}`, `{upper}`, `{alnum}` and `{word}` match one or more characters of a class. `{hex:32}` matches exactly 32, `{hex:8-32}` from 8 to 32.
        name: Option<Text>,
        /// Category.
        category: Option<Text>,
        /// Provider, as shown to visitors. `this site` is shown as the website itself, in the visitor's language.
        vendor: Option<String>,
        /// Vendor id in the IAB Global Vendor List. If a TC string is the source of the decision, this vendor needs consent too. Default: none.
        tcf_vendor: Option<u16>,
        /// Kind of purpose, shown to visitors in their language.
        kind: Option<PurposeKind>,
        /// Purpose, shown to visitors instead of the text of `kind`: one text, or a table with a text per language.
        purpose: Option<RawPurpose>,
        /// Lifetime, shown to visitors if the cookie was not seen: `session`, `persistent`, or a number and a unit such as `13 months`. Other texts are shown as they are.
        lifetime: Option<String>,
        /// `Path` of the cookie, for deletions. A withdrawal deletes the cookie at this path even if the browser does not send it. Default: `/` if `domain` is set, otherwise the paths seen in the site's own `Set-Cookie`.
        path: Option<Text>,
        /// `Domain` of the cookie, for deletions. Default: none (a host-only cookie) if `path` is set, otherwise the domains seen in the site's own `Set-Cookie`.
        domain: Option<Text>,
        /// Conditions besides the name, for patterns that can match other cookies too. Default: none.
        requires: Option<RawRequires>,
    }

    /// Conditions of a cookie rule besides the name.
    RawRequires {
        /// The `Set-Cookie` must have `HttpOnly`. Requests show no attributes, so there the name decides, unless the part matched by `*` contains a tracking term.
        http_only: bool,
        /// Maximum lifetime in the `Set-Cookie`, in days. `0` requires a `Set-Cookie` without a lifetime. Default: unlimited.
        max_days: Option<Number<0, 36_500>>,
        /// Companion cookies: one of them must be in the same request or response. `*` matches the same text as in `name`.
        with: Vec<Text>,
    }

    /// Beacon rule. A request must meet all conditions that are set.
    #[schemars(extend("required" = ["path", "category"]))]
    RawBeacon {
        /// Request path without the query. `*` matches any characters. Other spellings of the same path match too: see `docs/catalogue.md`.
        path: Option<Text>,
        /// Request method. Default: any.
        method: Option<Text>,
        /// Query parameter, or a list of parameters that must all be present: `key` or `key=value`. The value can contain `*` and the placeholders of cookie names. Default: any.
        query: Option<Spanned<OneOrMany<String>>>,
        /// Value of `Sec-Fetch-Dest`. Default: any.
        fetch_dest: Option<Text>,
        /// Value of `Sec-Fetch-Mode`. Default: any.
        fetch_mode: Option<Text>,
        /// Value of `Accept`, the whole field. Default: any.
        accept: Option<Text>,
        /// Name of a header field that must be present, such as `X-Faro-Session-Id`.
        header: Option<Text>,
        /// Media type in `Content-Type`; parameters are ignored. Default: any.
        content_type: Option<Text>,
        /// Start of the request body, as sent. `*` matches any bytes. The proxy reads the first 512 bytes before it forwards a request that may match. Requests without `Content-Length` do not match, and no request does with `consentry ext-proc` and in the tower layer. Default: any.
        body: Option<Text>,
        /// Pixel in an e-mail: `beacons.email_opens` decides.
        email_open: bool,
        /// Apply the rule to page loads too. Other rules forward a page load and strip only its cookies without consent. `fetch_dest = "document"`, or the value of a frame, has the same effect.
        navigation: bool,
        /// Category.
        category: Option<Text>,
        /// Provider, as shown to visitors. `this site` is shown as the website itself, in the visitor's language.
        vendor: Option<String>,
        /// Vendor id in the IAB Global Vendor List. If a TC string is the source of the decision, this vendor needs consent too. Default: none.
        tcf_vendor: Option<u16>,
        /// Kind of purpose, shown to visitors in their language.
        kind: Option<PurposeKind>,
        /// Purpose, shown to visitors instead of the text of `kind`: one text, or a table with a text per language.
        purpose: Option<RawPurpose>,
    }

    /// Rule for a query parameter that identifies a person, a click or a session. A URL must meet all conditions that are set.
    #[schemars(extend("required" = ["name", "category"]))]
    RawParameter {
        /// Name of the parameter, case-sensitive. `*` and the placeholders of cookie names are allowed. `*` alone, with the category `necessary`, keeps the whole query of the URLs that meet the conditions.
        name: Option<Text>,
        /// Ignore the case of ASCII letters in `name`.
        ignore_case: bool,
        /// Category. `necessary` keeps the parameter.
        category: Option<Text>,
        /// Request path without the query, or a list of paths. `*` matches any characters. Case is ignored. Default: any.
        path: Option<Spanned<OneOrMany<String>>>,
        /// Another query parameter, or a list of parameters that must all be present, as in beacon rules. Default: any.
        query: Option<Spanned<OneOrMany<String>>>,
        /// Value of the parameter. `*` and the placeholders of cookie names are allowed. Default: any.
        value: Option<Text>,
        /// Apply the rule to page loads and `Referer` only.
        page_load: bool,
        /// Provider.
        vendor: Option<String>,
        /// Vendor id in the IAB Global Vendor List. If a TC string is the source of the decision, this vendor needs consent too. Default: none.
        tcf_vendor: Option<u16>,
        /// Address of the documentation that describes the parameter.
        source: Option<String>,
    }

    /// Rule for a third-party host in pages.
    #[schemars(extend("required" = ["name", "category"]))]
    RawHost {
        /// Host name; subdomains match too.
        name: Option<Text>,
        /// Category.
        category: Option<Text>,
        /// Vendor.
        vendor: Option<String>,
    }

    /// Provider of cookies.
    #[schemars(extend("required" = ["name"]))]
    RawVendor {
        /// Name, as in the `vendor` of rules.
        name: String,
        /// Address of the provider's documentation or source code.
        source: String,
    }

    /// Catalogue file.
    RawCatalogue {
        /// Date of the last review of the entries in this file.
        reviewed: Option<Day>,
        /// Providers, with the source of their entries.
        vendor: Vec<RawVendor>,
        /// Cookie rules.
        cookie: Vec<Spanned<RawCookie>>,
        /// Beacon rules.
        beacon: Vec<Spanned<RawBeacon>>,
        /// Rules for third-party hosts in pages.
        host: Vec<Spanned<RawHost>>,
        /// Rules for query parameters.
        parameter: Vec<Spanned<RawParameter>>,
    }
}

/// Purpose in words: one text, or a text per language tag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum RawPurpose {
    /// Text for all languages.
    Text(String),
    /// Texts by language tag, such as `de` or `pt-BR`.
    ByLanguage(BTreeMap<String, String>),
}

impl RawPurpose {
    pub(in crate::config) fn purpose(&self) -> Purpose {
        match self {
            Self::Text(text) => Purpose::Text(text.as_str().into()),
            Self::ByLanguage(texts) => {
                let texts =
                    texts.iter().map(|(tag, text)| (tag.to_ascii_lowercase(), text.clone()));
                Purpose::ByLanguage(Arc::new(texts.collect()))
            }
        }
    }
}
