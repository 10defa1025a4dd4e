//! The built-in catalogue as data: its classifications by software, and names that must not be necessary.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use consentry::catalogue::names::{Kind, name_kind};
use consentry::catalogue::{Catalogue as Rules, CookieContext, CookieRule, RulePriority, builtin};
use consentry::config::settings::FilterSettings;
use consentry::config::{self, Overrides};
use consentry::consent::{Category, Consent, ConsentReader, Signals};
use consentry::cookie::{Cookies, ResponseTime, SetCookie};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use proptest::prelude::*;

const NOW: i64 = 1_795_500_000;

static SETTINGS: LazyLock<FilterSettings> = LazyLock::new(settings);
/// The settings that another process makes from the same config.
static OF_ANOTHER_PROCESS: LazyLock<FilterSettings> = LazyLock::new(settings);

fn settings() -> FilterSettings {
    // Only the rules count: nothing is presumed.
    let toml = "unclassified = 'block'\n[[site]]\nupstream = 'http://127.0.0.1:3000'\n";
    let config = config::parse(toml, None, &Overrides::default()).expect("a valid config");
    config.sites[0].filter.clone()
}

fn catalogue() -> &'static Rules {
    &SETTINGS.policy.catalogue
}

/// A visitor who has not decided.
fn undecided() -> Consent {
    let reader: &ConsentReader = &SETTINGS.reader;
    reader.read(&Cookies::new([&b""[..]]), Signals::default(), None, NOW)
}

/// The category of a cookie that is sent alone; `None` for an unclassified one.
fn category(name: &str) -> Option<&'static str> {
    let rule = catalogue().cookie(name.as_bytes())?;
    Some(SETTINGS.reader.categories.name(rule.entry.category))
}

/// Whether each cookie of a `Cookie` field passes before a decision.
fn sent(field: &str) -> Vec<bool> {
    let cookies = Cookies::new([field.as_bytes()]);
    let sight = CookieContext::request(&cookies);
    let consent = undecided();
    let passes = |pair: consentry::cookie::Pair<'_>| {
        SETTINGS.policy.sent_cookie((pair.name, pair.value), &sight, &consent).permitted
    };
    cookies.pairs().map(passes).collect()
}

/// Whether each `Set-Cookie` line of one response passes before a decision.
fn set(lines: &[&str]) -> Vec<bool> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(SET_COOKIE, HeaderValue::from_str(line).unwrap());
    }
    let sight = CookieContext::response(&headers, NOW);
    let consent = undecided();
    let passes = |line: &&str| {
        let cookie = SetCookie::parse(line.as_bytes());
        SETTINGS.policy.set_cookie(&cookie, &sight, || ResponseTime::new(NOW), &consent).permitted
    };
    lines.iter().map(passes).collect()
}

fn builtin_rules() -> impl Iterator<Item = &'static CookieRule> {
    let rules = (0..catalogue().cookie_rules()).filter_map(|at| catalogue().cookie_rule(at));
    rules.filter(|rule| matches!(rule.tier, RulePriority::Catalogue(_)))
}

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    cookie: Vec<BTreeMap<String, toml::Value>>,
}

#[test]
fn every_catalogue_file_is_embedded_and_names_are_unique() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/catalogue");
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(builtin::FILES.iter().map(|(file, _)| *file).collect::<Vec<_>>(), there);
    let mut seen = BTreeMap::new();
    for (file, text) in builtin::FILES {
        let read: File = toml::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for cookie in read.cookie {
            let name = cookie["name"].as_str().unwrap().to_owned();
            if let Some(other) = seen.insert(name.clone(), file) {
                panic!("{name} is in {other} and {file}");
            }
        }
    }
    assert!(seen.len() >= 3400, "{}", seen.len());
}

/// A name that a pattern matches, with a sample for each wildcard and placeholder.
fn example(pattern: &str) -> String {
    let mut example = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['*', '{']) {
        let (literal, from) = rest.split_at(at);
        example.push_str(literal);
        if let Some(after) = from.strip_prefix('*') {
            example.push_str("0x7");
            rest = after;
            continue;
        }
        let (inner, after) = from[1..].split_once('}').unwrap();
        let (class, count) = inner.split_once(':').unwrap_or((inner, "3"));
        let count = count.split('-').next().unwrap().parse().unwrap();
        let filler = if class == "upper" { "QADTCRCB" } else { "7" };
        example.extend(filler.chars().cycle().take(count));
        rest = after;
    }
    example + rest
}

#[test]
fn no_catalogue_pattern_matches_cookies_of_another_vendor() {
    let rules: Vec<_> = builtin_rules().collect();
    // A wildcard that matches other vendors' names would misclassify the next one of them. A wildcard with
    // conditions applies only if no other rule does.
    let reaching =
        rules.iter().filter(|other| !other.pattern.is_exact() && other.requires.is_none());
    let reaching: Vec<_> =
        reaching.map(|other| (other, Rules::compile([CookieRule::clone(other)], []))).collect();
    let mut wrong = Vec::new();
    for rule in &rules {
        let name = example(rule.pattern.as_str());
        let cookies = Cookies::default();
        let in_doubt = CookieContext::assuming_companions(&cookies);
        let found = catalogue()
            .cookie_in(name.as_bytes(), &in_doubt)
            .unwrap_or_else(|| panic!("{name}: no rule matches its own name"));
        let same = found.pattern == rule.pattern || found.entry.category == rule.entry.category;
        if found.tier != RulePriority::Consent && rule.requires.is_none() && !same {
            wrong.push(format!(
                "{} is classified by {}",
                rule.pattern.as_str(),
                found.pattern.as_str()
            ));
        }
        for (other, one) in &reaching {
            let foreign = other.entry.vendor != rule.entry.vendor
                && other.entry.category != rule.entry.category;
            if foreign && one.cookie(name.as_bytes()).is_some() {
                wrong.push(format!(
                    "`{}` of {:?} reaches `{name}` of {:?}",
                    other.pattern.as_str(),
                    other.entry.vendor,
                    rule.entry.vendor
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn generic_names_are_necessary_or_functional_or_have_a_vendor() {
    let generic = "id user uid uuid guid session sess sid token auth data info state key value test visit visitor visitor_id \
        ref referrer source track tracking stats count counter name login account cart basket cookie ID User UID Session Token";
    for name in generic.split_whitespace() {
        if let Some(rule) = catalogue().cookie(name.as_bytes()) {
            let necessary = rule.entry.category == Category::NECESSARY;
            assert!(necessary || rule.entry.vendor.is_some(), "{name}");
        }
    }
    for rule in builtin_rules() {
        let own = matches!(rule.entry.category, Category::NECESSARY | Category::FUNCTIONAL);
        assert!(own || rule.entry.vendor.is_some(), "{} has no vendor", rule.pattern.as_str());
    }
}

/// Names collected on real sites, which docs/catalogue.md describes.
#[test]
fn the_catalogue_classifies_nearly_all_sample_names() {
    let names: Vec<&str> = include_str!("data/cookie-names.txt").lines().collect();
    let known = names.iter().filter(|name| category(name).is_some()).count();
    assert!(names.len() > 350 && known * 100 >= names.len() * 97, "{known} of {}", names.len());
}

/// Names of sessions, sign-ins, CSRF protection, load balancers and bot protection. A second column marks
/// preferences of the visitor (`functional`), or ambiguous names (`unclassified`).
#[test]
fn session_names_and_their_companions_are_necessary() {
    let lines: Vec<&str> = include_str!("data/session-names.txt").lines().collect();
    let mut wrong = Vec::new();
    for line in &lines {
        let (name, expected) = line.split_once('\t').unwrap_or((line, "necessary"));
        let found = category(name).unwrap_or("unclassified");
        if found != expected {
            wrong.push(format!("{name} is {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(lines.len() == 286, "{}", lines.len());
}

#[test]
fn sessions_csrf_load_balancers_bot_protection_and_consent_are_necessary() {
    let names = "PHPSESSID JSESSIONID connect.sid ASP.NET_SessionId .AspNetCore.Session .AspNetCore.Antiforgery.x laravel_session \
        XSRF-TOKEN csrftoken sessionid _csrf wordpress_logged_in_abc wp_woocommerce_session_1 woocommerce_cart_hash AWSALB AWSALBCORS \
        AWSALBTG AWSALBTGCORS AWSELB ARRAffinity ARRAffinitySameSite ASLBSA ASLBSACORS BIGipServerpool1 __RequestVerificationToken \
        route ROUTEID SERVERID INGRESSCOOKIE GCLB __cf_bm cf_clearance _cfuvid datadome incap_ses_1_2 visid_incap_3 ak_bmsc bm_sz _abck \
        OptanonConsent OptanonAlertBoxClosed CookieConsent cc_cookie euconsent-v2 didomi_token consentry";
    for name in names.split_whitespace() {
        assert_eq!(category(name), Some("necessary"), "{name}");
    }
}

#[test]
fn trackers_are_not_necessary_and_similar_names_are_distinguished() {
    for (name, expected) in [
        ("_ga", "analytics"),
        ("_ga_ABC", "analytics"),
        ("_gat_UA-1", "analytics"),
        ("_gac_UA-1", "targeting"),
        ("_gid", "analytics"),
        ("_gcl_au", "targeting"),
        ("AMCV_123%40AdobeOrg", "analytics"),
        ("_hjSession_1", "analytics"),
        ("_fbp", "targeting"),
        ("FPID", "analytics"),
        ("_vwo_uuid", "analytics"),
        // No wide pattern of a framework matches them.
        ("_ga_session", "analytics"),
        ("ai_session", "analytics"),
        ("_hjSessionUser_session", "analytics"),
    ] {
        assert_eq!(category(name), Some(expected), "{name}");
    }
    assert_eq!(category("x_ga"), None);
}

#[test]
fn google_account_cookies_are_not_a_site_session() {
    for name in "HSID SSID APISID SAPISID SIDCC __Secure-1PSID __Secure-3PSID __Secure-1PAPISID __Secure-3PAPISID \
        __Secure-1PSIDTS __Secure-3PSIDTS __Secure-1PSIDCC __Secure-3PSIDCC"
        .split_whitespace()
    {
        assert_eq!(category(name), Some("targeting"), "{name}");
    }
}

/// Names by software: several instances of each, and similar names of other software.
#[test]
fn software_patterns_match_every_instance_and_nothing_else() {
    let md5 = "8f14e45fceea167a5a36dedd4bea2543";
    let sha1 = "59ba36addc2b2f9401580f014c7f58ea4e30989d";
    for (instances, neighbours) in [
        (
            "wordpress_{md5} wordpress_sec_{md5} wordpress_logged_in_{md5}",
            "wordpress_ads wordpress_visitor_{md5}",
        ),
        ("SESS{md5} SSESS{md5} SESS0123456789abcdef", "SESSIONTRACK SESS{md5}x SESS SSESStracking"),
        ("oca1b2c3d4e5 oc0123456789", "oc12345 oca1b2c3d4e5f occampaigns"),
        ("DW{md5} DokuWiki", "DW{md5}0 DWtrack"),
        ("TS01abcdef TS01a2b3c4_28 TS3f2504e0027_77 TS8f7d5b", "TS0track TSvisitors TS01abcdeg"),
        ("ASPSESSIONIDQADTCRCB ASPSESSIONIDACBDTRST", "ASPSESSIONIDtrack ASPSESSIONIDABCDEFGHI"),
        ("proximity_{md5}", "proximity_ads proximity_"),
        ("JSESSIONID.a1b2c3d4 JSESSIONID.node0", "JSESSIONIDTRACK"),
        (
            "username-localhost-8888 username-my-host-example username-10-0-0-7-9999",
            "username_track username-",
        ),
        ("pmaUser-1 pmaUser-2_https pmaAuth-1 phpMyAdmin", "pmaTrack-1 pmaUser"),
        (
            "myshop_session acme_corp_session _app_session shop-session intranet.sid",
            "session_x my_sessions shopsession",
        ),
        ("_myapp_key _shop_web_key _acme_web_user_remember_me", "_key _visitor_key"),
        ("remember_web_{sha1} remember_admin_{sha1}", "remember_ads_{md5} remember_"),
        ("csrf[frontend.account] csrf[a]", "csrf[ csrf]a"),
        ("SAP_SESSIONID_ABC_100 SAP_SESSIONID_PRD_001 MYSAPSSO2", "SAP_SESSIONID"),
        ("better-auth.session_token better-auth.session_data better-auth.state", "better-auth"),
        ("mellon-cookie mellon-shop", "mellontrack"),
        ("idsrv idsrv.session idsrv.external", "idsrvtrack"),
        ("koa:sess koa.sess koa:sess.sig express:sess.sig session.sig", "_ga.sigx x.sig"),
        ("Yz3k_2132_auth Yz3k_2132_saltkey", "Yz3k_2132_track Yz3_2132_auth Yz3k_21x2_auth"),
        ("sid_customer_07a72 sid_admin_fffff", "sid_customer sid_track_07a72"),
        ("QBT_SID_8080 QBT_SID_9090", "QBT_SID_ QBT_SID_track"),
        ("glpi_{md5} glpi_{md5}_rememberme", "glpi_ads"),
        ("_1d52e _a0f3c", "_track _1d52eg _1d52e0"),
        ("__session_a1B2c3D4 __client_uat_a-B_c3D4", "__session_tracking __session_a1B2c3D"),
        ("session-1 session-12 session-", "session-token session-track session-ads"),
        ("IPCZQX0389199b41 IPCZQX034ee7c6fd", "IPCZQX_track"),
        ("eas.sid X-Qlik-Session X-Qlik-Session-app", "X-Qlik"),
        ("jupyterhub-user-anna jupyterhub-session-id", "jupyterhub-track"),
        ("VouchCookie VouchCookie_1of2", "VouchCookieTrack"),
        ("techaro.lol-anubis-auth techaro.lol-anubis-cookie-verification-x", "anubis"),
    ] {
        let fill = |names: &str| names.replace("{md5}", md5).replace("{sha1}", sha1);
        for name in fill(instances).split_whitespace() {
            assert_eq!(category(name), Some("necessary"), "{name}");
        }
        for name in fill(neighbours).split_whitespace() {
            assert_ne!(category(name), Some("necessary"), "{name}");
        }
    }
}

#[test]
fn a_signature_cookie_has_the_category_of_its_signed_cookie() {
    for (name, expected) in [
        ("session.sig", Some("necessary")),
        ("myapp_session.sig", Some("necessary")),
        ("__Host-session.sig", Some("necessary")),
        ("_ga.sig", Some("analytics")),
        ("_tracking_session.sig", None),
        ("unknown.sig", None),
        (".sig", None),
    ] {
        assert_eq!(category(name), expected, "{name}");
    }
}

const TRACKER_SHAPES: &str = "_tracking_session SESSIONTRACK TS0track proximity_ads _ads_session visitor_session \
    campaign-session stats.sid _analytics_session utm-session clicks.sid _visitor_key _pixel_key session-track SSESStracking \
    PHPSESSID_track PHPSESSID_ads JSESSIONID_visits sessionid_visitor NSC_track NSC_ads ocvisitors12 .AspNetCore.Tracking \
    .AspNet.Analytics sb-track-auth-token MoodleSessionTrack username-visitor service-tracking wordpress_ads wordpress_visitor \
    __session_tracker q_session_track X-Mapping-ads APSCOOKIE_campaign mellon-ads adsToken trackUserID visitor_sid ad_u";

#[test]
fn wide_patterns_do_not_match_trackers_of_the_same_shape() {
    for name in TRACKER_SHAPES.split_whitespace() {
        assert_ne!(category(name), Some("necessary"), "{name}");
        assert_eq!(sent(&format!("{name}=1")), [false], "{name} in a request");
        for attributes in ["", "; HttpOnly", "; HttpOnly; Max-Age=63072000", "; Max-Age=600"] {
            let line = format!("{name}=1; Path=/{attributes}");
            assert_eq!(set(&[&line]), [false], "{line}");
        }
    }
}

#[test]
fn wide_patterns_match_only_with_the_attributes_of_the_software() {
    for (line, passes) in [
        ("_shop_session=1; HttpOnly", true),
        ("_shop_session=1; HttpOnly; Secure; SameSite=Lax; Max-Age=1209600", true),
        ("_shop_session=1", false),
        ("_shop_session=1; Max-Age=63072000", false),
        ("_shop_session=1; HttpOnly; Max-Age=63072000", false),
        ("_shop_session=1; HttpOnly; Expires=Fri, 24 Nov 2028 09:00:00 GMT", false),
        ("__Host-shop_session=1; HttpOnly; Secure; Path=/", true),
        ("__Host-shop_session=1; Secure; Path=/", false),
        ("shop-session=1; httponly", true),
        ("shop-session=1", false),
        (".AspNetCore.Shop=1; HttpOnly", true),
        (".AspNetCore.Shop=1", false),
        ("_1d52e=1", true),
        ("_1d52e=1; Max-Age=3600", false),
        ("NSC_xqm-bqq=1", true),
        ("NSC_xqm-bqq=1; Max-Age=31536000", false),
        // The name is sufficient, without conditions.
        ("PHPSESSID=1", true),
        ("laravel_session=1", true),
    ] {
        assert_eq!(set(&[line]), [passes], "{line}");
        // A request contains no attributes, so the name decides.
        let (name, _) = line.split_once('=').unwrap();
        assert_eq!(sent(&format!("{name}=1")), [true], "{name}");
    }
}

#[test]
fn companion_cookies_match_only_together() {
    let http_only = |names: &[&str]| -> Vec<bool> {
        let lines: Vec<String> =
            names.iter().map(|name| format!("{name}=1; HttpOnly; Max-Age=15552000")).collect();
        set(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for names in [
        &["shopdbUserID", "shopdbUserName", "shopdbToken"][..],
        &["intranetUserID", "intranetUserName"],
        &["board_sid", "board_u", "board_k"],
        &["forum_userid", "forum_password"],
    ] {
        let all = vec![true; names.len()];
        assert_eq!(http_only(names), all, "{names:?}");
        let field: Vec<String> = names.iter().map(|name| format!("{name}=1")).collect();
        assert_eq!(sent(&field.join("; ")), all, "{names:?}");
        for name in names {
            assert_eq!(sent(&format!("{name}=1")), [false], "{name} alone");
            assert_eq!(http_only(&[name]), [false], "{name} alone");
        }
    }
    // The prefix must be the same, and script-readable cookies do not match.
    assert_eq!(sent("aUserID=1; bUserName=1"), [false, false]);
    assert_eq!(set(&["aUserID=1", "aUserName=1"]), [false, false]);
    // More cookies than any application sends: the search stops.
    let many: Vec<String> = (0..200).map(|number| format!("a{number}UserID=1")).collect();
    assert!(sent(&many.join("; ")).iter().all(|passes| !passes));
}

/// Literals that do not identify any software.
const GENERIC: [&str; 26] = [
    "sessionid",
    "session",
    "sess",
    "sid",
    "csrftoken",
    "csrf",
    "xsrf",
    "token",
    "auth",
    "login",
    "user",
    "web",
    "cart",
    "state",
    "remember",
    "service",
    "id",
    "key",
    "access",
    "oauth2",
    "host",
    "secure",
    "visitor",
    "cookie",
    "consent",
    "name",
];

#[test]
fn necessary_wildcards_name_their_software_or_have_conditions() {
    let mut wrong = Vec::new();
    let rules = builtin_rules().filter(|rule| rule.entry.category == Category::NECESSARY);
    for rule in rules.filter(|rule| rule.requires.is_none() && rule.pattern.as_str().contains('*'))
    {
        let pattern = rule.pattern.as_str();
        let mut literal =
            pattern.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), " ");
        for word in GENERIC {
            literal = literal.replace(word, " ");
        }
        let record = name_kind(pattern.as_bytes()) == Some(Kind::ConsentRecord);
        if literal.bytes().filter(u8::is_ascii_alphanumeric).count() < 3 && !record {
            wrong.push(pattern);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rules_with_consent_record_names_are_necessary() {
    let wrong: Vec<&str> = builtin_rules()
        .filter(|rule| rule.entry.category != Category::NECESSARY)
        .map(|rule| rule.pattern.as_str())
        .filter(|name| name_kind(name.as_bytes()) == Some(Kind::ConsentRecord))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn consent_records_of_every_tool_pass_in_both_directions() {
    for name in "cookiehub consent-policy __privaci_cookie_consents usnatUUID ccpaUUID ccpaApplies dnsDisplayed signedLspa \
        _sp_v1_data _cmp_a wt_consent fs-cc eu-consent orejime tracking-preferences cookies_policy cookies_preferences_set \
        cookie_optin cky-consent CookieConsentPolicy eucookielaw TCPID __hs_notify_banner_dismiss \
        my_cookie_banner acme-consent gdprAccepted ccpa_opt_out newsletter-opt-in cookieBarClosed hide_cookie_notice \
        cookiesettings privacyPreferences shop_cookie_choice GDPR dsgvo"
        .split_whitespace()
    {
        for value in ["1", "accepted", "%7B%22analytics%22%3Afalse%7D"] {
            assert_eq!(sent(&format!("{name}={value}")), [true], "{name}={value}");
            let line = format!("{name}={value}; Max-Age=31536000");
            assert_eq!(set(&[&line]), [true], "{line}");
        }
        let consent = undecided();
        assert!(SETTINGS.policy.stored_cookie(name.as_bytes(), &Cookies::default(), &consent).permitted, "{name} is not deleted");
    }
}

#[test]
fn a_tracker_that_mentions_consent_does_not_pass() {
    let uuid = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    for pair in [
        "gdpr_uid=1",
        "consent_tracker=1",
        "cookie_notice_clicks=3",
        "consentVisitorId=7",
        &format!("cookie_notice={uuid}"),
        &format!("gdpr={uuid}"),
        "eu_cookie_banner=8f14e45fceea167a5a36dedd4bea2543",
        "my_consent=GA1.1.1234567890.1700000000",
    ] {
        assert_eq!(sent(pair), [false], "{pair}");
        assert_eq!(set(&[&format!("{pair}; Max-Age=34560000")]), [false], "{pair}");
    }
}

/// Whether the rule for a name has conditions on attributes.
fn conditional(name: &str) -> bool {
    catalogue().cookie(name.as_bytes()).is_some_and(|rule| rule.requires.is_some())
}

proptest! {
    #[test]
    fn long_lived_script_readable_cookies_are_never_a_framework_session(app in "[a-z]{1,12}", shape in 0..4_usize) {
        let name = match shape {
            0 => format!("_{app}_session"),
            1 => format!("{app}-session"),
            2 => format!("{app}.sid"),
            _ => format!("_{app}_key"),
        };
        prop_assume!(conditional(&name));
        prop_assert_eq!(set(&[&format!("{name}=1; Max-Age=31536000")]), [false]);
        prop_assert_eq!(set(&[&format!("{name}=1; HttpOnly")]), [true]);
    }

    #[test]
    fn decisions_are_the_same_in_every_process(name in "[a-zA-Z_.-]{1,24}", value in "[a-z0-9]{0,40}") {
        let policy = &OF_ANOTHER_PROCESS.policy;
        let field = format!("{name}={value}");
        let cookies = Cookies::new([field.as_bytes()]);
        let decision = policy.sent_cookie(
            (name.as_bytes(), value.as_bytes()), &CookieContext::request(&cookies), &undecided(),
        );
        prop_assert_eq!(sent(&field), [decision.permitted]);
    }
}
