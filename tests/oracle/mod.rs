//! An independent, strict and much simpler reader of consent cookies. A category can be granted only if the text
//! contains a grant of one of the tool's ids. Anything more that an adapter grants is a bug.
//!
//! It searches for evidence and ignores structure, so it may allow more than an adapter, never less.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How a tool encodes a grant.
enum GrantEncoding {
    /// By one of these templates, in which `#` is the id. Whitespace and quotes are ignored.
    Templates(&'static [&'static str]),
    /// By the id in a list.
    Listed,
    /// By bits of a TC string.
    Bits,
    /// Never by an id alone.
    Never,
}

use GrantEncoding::{Bits, Listed, Never, Templates};

/// The ids with the categories given by the tool's own documentation.
type Ids = &'static [(&'static str, &'static str)];

const F: &str = "functional";
const A: &str = "analytics";
const T: &str = "targeting";
const S: &str = "social";

/// Tool, encoding of a grant, words that grant everything, ids.
const TOOLS: &[(&str, GrantEncoding, &[&str], Ids)] = &[
    ("consentry", Listed, &[], &[(F, F), (A, A), (T, T), (S, S)]),
    (
        "onetrust",
        Templates(&["#:1"]),
        &[],
        &[
            ("C0002", A),
            ("C0003", F),
            ("C0004", T),
            ("C0005", S),
            ("2", A),
            ("3", F),
            ("4", T),
            ("STACK42", T),
            ("V2STACK42", T),
        ],
    ),
    (
        "cookiebot",
        Templates(&["#:true"]),
        &["CookieConsent=-1"],
        &[("preferences", F), ("statistics", A), ("marketing", T)],
    ),
    (
        "cookieyes",
        Templates(&["#:yes"]),
        &[],
        &[("functional", F), ("analytics", A), ("performance", A), ("advertisement", T)],
    ),
    (
        "cookielawinfo",
        // A cookie for each category, or the copy of all answers.
        Templates(&["cookielawinfo-checkbox-#=yes", "#:true"]),
        &[],
        &[
            ("functional", F),
            ("functional-cookies", F),
            ("preferences", F),
            ("analytics", A),
            ("performance", A),
            ("advertisement", T),
            ("advertising", T),
            ("non-necessary", F),
            ("non-necessary", A),
            ("non-necessary", T),
        ],
    ),
    (
        "complianz",
        Templates(&["cmplz_#=allow"]),
        &[],
        &[("preferences", F), ("statistics", A), ("marketing", T)],
    ),
    (
        "wp-consent-api",
        Templates(&["wp_consent_#=allow"]),
        &[],
        &[("preferences", F), ("statistics", A), ("statistics-anonymous", A), ("marketing", T)],
    ),
    (
        "vanilla-cookieconsent",
        Listed,
        &[],
        &[
            ("functionality", F),
            ("functional", F),
            ("preferences", F),
            ("analytics", A),
            ("statistics", A),
            ("performance", A),
            ("ads", T),
            ("advertisement", T),
            ("advertising", T),
            ("marketing", T),
            ("targeting", T),
            ("social", S),
        ],
    ),
    ("klaro", Templates(&["#:true"]), &[], &[]),
    (
        "tarteaucitron",
        Templates(&["!#=true"]),
        &[],
        &[
            ("gtag", A),
            ("matomo", A),
            ("facebookpixel", T),
            ("adsense", T),
            ("youtube", S),
            ("facebook", S),
            ("zopim", F),
        ],
    ),
    ("osano", Never, &["cookieconsent_status=allow"], &[]),
    ("iubenda", Templates(&["#:true"]), &["consent:true"], &[("2", F), ("4", A), ("5", T)]),
    (
        "didomi",
        Listed,
        &[],
        &[
            ("cookies", T),
            ("select_basic_ads", T),
            ("create_ads_profile", T),
            ("select_personalized_ads", T),
            ("measure_ad_performance", T),
            ("market_research", A),
            ("measure_content_performance", A),
            ("improve_products", A),
            ("create_content_profile", F),
            ("select_personalized_content", F),
        ],
    ),
    (
        "trustarc",
        Templates(&["#", "notice_preferences=", "notice_gdpr_prefs="]),
        &[],
        &[("2", F), ("3", T)],
    ),
    ("axeptio", Templates(&["#:true"]), &[], &[]),
    (
        "borlabs",
        // A group, or a service in its list.
        Templates(&["#:[", "[#]", "[#,", ",#,", ",#]"]),
        &[],
        &[("preferences", F), ("statistics", A), ("marketing", T), ("external-media", S)],
    ),
    (
        "moove",
        Templates(&["#:1"]),
        &[],
        &[("thirdparty", A), ("performance", A), ("advanced", T), ("preference", F)],
    ),
    (
        "cookiefirst",
        Templates(&["#:true"]),
        &[],
        &[("performance", A), ("functional", F), ("advertising", T)],
    ),
    ("cookiescript", Listed, &[], &[("functionality", F), ("performance", A), ("targeting", T)]),
    (
        "cookieinformation",
        Listed,
        &[],
        &[("cookie_cat_functional", F), ("cookie_cat_statistic", A), ("cookie_cat_marketing", T)],
    ),
    (
        "c15t",
        Templates(&["c.#:1"]),
        &[],
        &[("functionality", F), ("experience", F), ("measurement", A), ("marketing", T)],
    ),
    ("shopify", Templates(&["#:1"]), &[], &[("a", A), ("m", T), ("p", F), ("s", T)]),
    ("hubspot", Templates(&["#:true"]), &[], &[("1", A), ("2", T), ("3", F)]),
    ("drupal", Listed, &["cookie-agreed=1", "cookie-agreed=2"], &[]),
    ("tealium", Templates(&["#:1"]), &[], &[]),
    ("fides", Templates(&["#:true"]), &[], &[]),
    ("zaraz", Templates(&["#:true"]), &[], &[]),
    ("pandectes", Never, &["status:allow"], &[]),
    ("django-cookie-consent", Templates(&["#="]), &[], &[]),
    ("commanders-act", Listed, &["ALL"], &[]),
    ("google-fc", Bits, &[], &[]),
    (
        "webtoffee",
        Templates(&["#:yes"]),
        &[],
        &[("functional", F), ("analytics", A), ("performance", A), ("advertisement", T)],
    ),
    (
        "cookiehub",
        Templates(&["id:#,value:true"]),
        &["allAllowed:true"],
        &[("preferences", F), ("analytics", A), ("marketing", T)],
    ),
    // The meaning of a purpose is in a list of canonical purposes.
    (
        "ketch",
        Listed,
        &[],
        &[
            ("analytics", A),
            ("prod_enhancement", F),
            ("personalization", F),
            ("functional", F),
            ("behavioral_advertising", T),
            ("data_broking", T),
            ("email_mktg", T),
            ("social_media", S),
        ],
    ),
    (
        "piwik-pro",
        Templates(&["#:{status:1"]),
        &[],
        &[
            ("analytics", A),
            ("ab_testing_and_personalization", F),
            ("user_feedback", F),
            ("conversion_tracking", T),
            ("remarketing", T),
            ("marketing_automation", T),
        ],
    ),
    (
        "finsweet",
        Templates(&["#:true"]),
        &[],
        &[("personalization", F), ("analytics", A), ("marketing", T)],
    ),
    ("cookie-notice", Never, &["cookie_notice_accepted=true"], &[]),
    ("hu-consent", Templates(&["#:true"]), &[], &[("2", F), ("3", A), ("4", T)]),
    ("react-cookie-consent", Never, &["CookieConsent=true", "CookieConsent-legacy=true"], &[]),
    ("consentmanager", Bits, &[], &[]),
    ("wix", Templates(&["#:1"]), &[], &[("func", F), ("anl", A), ("adv", T)]),
    (
        "real-cookie-banner",
        // A group, a service in its list, or a signal of Google Consent Mode.
        Templates(&["#:[", "[#]", "[#,", ",#,", ",#]"]),
        &[],
        &[
            ("functionality_storage", F),
            ("personalization_storage", F),
            ("analytics_storage", A),
            ("ad_storage", T),
        ],
    ),
    (
        "civic",
        Templates(&["#:accepted"]),
        &[],
        &[
            ("analytics", A),
            ("performance", A),
            ("statistics", A),
            ("marketing", T),
            ("advertising", T),
            ("targeting", T),
            ("functional", F),
            ("functionality", F),
            ("preferences", F),
            ("social", S),
            ("socialmedia", S),
        ],
    ),
    ("adobe", Templates(&["#=in"]), &[], &[("general", A), ("general", T)]),
    (
        "securiti",
        Templates(&["#:1", "#:granted"]),
        &[],
        &[
            ("functionality_storage", F),
            ("personalization_storage", F),
            ("analytics_storage", A),
            ("ad_storage", T),
        ],
    ),
    (
        "segment",
        Templates(&["#:true"]),
        &[],
        &[("functional", F), ("marketingAndAnalytics", A), ("advertising", T)],
    ),
    (
        "transcend",
        Templates(&["#:true"]),
        &[],
        &[("Functional", F), ("Analytics", A), ("Advertising", T)],
    ),
    (
        "govuk",
        Templates(&["#:true"]),
        &[],
        &[("settings", F), ("usage", A), ("analytics", A), ("campaigns", T), ("marketing", T)],
    ),
    (
        "sg-cookie-optin",
        Templates(&["#:1"]),
        &[],
        &[
            ("analytics", A),
            ("statistics", A),
            ("statistik", A),
            ("statistiken", A),
            ("marketing", T),
            ("iframes", S),
        ],
    ),
    // The ids are those of websites, and each accepts everything.
    ("magento", Never, &[":1"], &[]),
    (
        "squarespace",
        Templates(&["ss_#CookiesAllowed=true"]),
        &[],
        &[("performance", A), ("marketing", T)],
    ),
    ("jetpack", Templates(&["#="]), &[], &[("personalized-ads-consent", T)]),
    ("matomo", Templates(&["mtm_consent=", "mtm_cookie_consent="]), &[], &[("matomo", A)]),
    ("usprivacy", Never, &[], &[]),
    ("tcf", Bits, &[], &[]),
    ("gpp", Bits, &[], &[]),
];

/// Every tool supported by the oracle.
pub fn tools() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, ..)| *name)
}

/// The maximum set of categories that a strict reader would grant. `map` contains the entries from the config.
pub fn maximum_grants(
    tool: &str,
    header: &[u8],
    map: &BTreeMap<String, Vec<String>>,
) -> BTreeSet<String> {
    let (_, says, everything, ids) = TOOLS.iter().find(|(name, ..)| *name == tool).expect("a tool");
    let mut texts = readings(header);
    if tool == "civic" {
        // Ids are of any case.
        texts += &texts.to_ascii_lowercase();
    }
    let all = || ["functional", "analytics", "targeting", "social"].map(str::to_owned).into();
    // JSON may escape letters, so the literal text is not sufficient.
    if everything.iter().any(|word| texts.contains(word)) || texts.contains('\\') {
        return all();
    }
    let mut granted = BTreeSet::new();
    for (id, category) in ids.iter().copied().chain(configured(map)) {
        let said = match says {
            Templates(templates) => {
                let id = without_whitespace_and_quotes(id);
                let says = |template: &&str| texts.contains(&template.replace('#', &id));
                templates.iter().any(says) || tool == "shopify" && has_capital(&texts, &id)
            }
            Listed => {
                let ends = |letter: Option<char>| {
                    letter.is_none_or(|letter| !(letter.is_alphanumeric() || letter == '_'))
                };
                texts.match_indices(id).any(|(at, _)| {
                    ends(texts[..at].chars().next_back())
                        && ends(texts[at + id.len()..].chars().next())
                })
            }
            Bits | Never => false,
        };
        if said {
            granted.insert(category.to_owned());
        }
    }
    if matches!(says, Bits) || matches!(tool, "didomi" | "civic") {
        granted.extend(purposes(header, map));
    }
    if tool == "real-cookie-banner" {
        // The ids in its map are groups, not purposes.
        granted.extend(purposes(header, &BTreeMap::new()));
    }
    // If a tool has no social category, social follows targeting.
    if granted.contains(T) {
        granted.insert(S.to_owned());
    }
    granted
}

/// The ids from the config, each with one of its categories.
fn configured(map: &BTreeMap<String, Vec<String>>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().flat_map(|(id, categories)| {
        categories.iter().map(move |category| (id.as_str(), category.as_str()))
    })
}

/// All readings of the header: literal, percent-decoded, and base64-decoded, without whitespace and quotes.
pub fn readings(header: &[u8]) -> String {
    let once = percent_decoded(header);
    let mut texts = vec![header.to_vec(), once.clone(), percent_decoded(&once)];
    for part in once.split(|byte| matches!(byte, b';' | b'=' | b' ' | b'"')) {
        texts.extend(STANDARD_NO_PAD.decode(part));
    }
    let joined = texts.join(&0);
    without_whitespace_and_quotes(&String::from_utf8_lossy(&joined))
}

/// The text without whitespace and quotes.
fn without_whitespace_and_quotes(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace() && !matches!(letter, '\'' | '"')).collect()
}

/// Whether the letter of a purpose is a capital one before the dot of Shopify's current format.
fn has_capital(texts: &str, letter: &str) -> bool {
    texts.split("_tracking_consent=3").skip(1).any(|rest| {
        let consent = rest.split('.').next().unwrap_or_default();
        consent.contains(&letter.to_ascii_uppercase())
    })
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(bytes).collect()
}

/// The categories granted by the purposes of any TC string in the header.
fn purposes(header: &[u8], map: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let defaults = [("5", F), ("6", F), ("8", A), ("9", A), ("2", T), ("3", T), ("4", T)];
    let defaults = defaults.into_iter().filter(|(id, _)| !map.contains_key(*id));
    let wanted: Vec<(usize, &str)> = defaults
        .chain(configured(map))
        .filter_map(|(id, category)| Some((id.parse().ok()?, category)))
        .collect();
    let mut granted = BTreeSet::new();
    let decoded = percent_decoded(header);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    for part in decoded.split(|byte| !is_part(byte)) {
        // The incomplete last base64 group does not reach the purposes.
        let whole = part.get(..part.len() / 4 * 4).unwrap_or_default();
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(whole) else { continue };
        let bit = |at: usize| bytes.get(at / 8).is_some_and(|octet| octet >> (7 - at % 8) & 1 == 1);
        let purpose = |number: usize| number > 0 && bit(151 + number);
        let version = (0..6).fold(0, |version, at| version * 2 + u8::from(bit(at)));
        // Purpose 1 is not requested in some countries, as bit 200 indicates.
        if version != 2 || !(purpose(1) || bit(200)) {
            continue;
        }
        for category in [F, A, T, S] {
            let mut of_it = wanted.iter().filter(|(_, other)| *other == category).peekable();
            if of_it.peek().is_some() && of_it.all(|(number, _)| purpose(*number)) {
                granted.insert(category.to_owned());
            }
        }
    }
    granted
}
