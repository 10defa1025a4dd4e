//! Classification of cookie names. Suggestions, consent records and rule conditions share one word
//! list.
//!
//! A name is split into words at every non-letter (`cart_id`, `cart-id`, `cart.7`) and at changes
//! of case (`cartId`, `CSRFToken`). Words match as a whole: `mystate` does not match "stat". Words
//! without separators (`sessionid`, `EUCOOKIELAW`) are split too, if known words cover them
//! completely.

use super::lexicon::{MAX_WORDS, PHRASES, SHORT_BYTES, WORDS, Word, words};
pub use super::name_kind::Kind;

/// The kind of a name. `None` if it has no known word.
///
/// Tracking takes precedence over necessary kinds: `tracking_session` is statistics.
pub fn speaks_of(name: &[u8]) -> Option<Kind> {
    let found = Meanings::of(name);
    if found.is_record() {
        return Some(Kind::ConsentRecord);
    }
    let needed = || found.needed.or(found.weak).or(found.preference);
    found.tracks().or_else(needed).or(found.identifier.then_some(Kind::Identifier))
}

/// Whether a name indicates tracking, regardless of its other words.
pub fn speaks_of_tracking(name: &[u8]) -> bool {
    Meanings::of(name).tracks().is_some()
}

/// Two case-insensitive regular expressions for scripts, which have no word list: names of possible
/// consent records, and names that contain an identifier.
///
/// They match more names than [`speaks_of`]. Cookies that scripts write under such a name are still
/// checked when they are sent.
pub fn record_expressions() -> (String, String) {
    let words = |wanted: Word, keep: fn(&&str) -> bool| alternatives(|word| word == wanted, keep);
    // Longer words match anywhere. "optin" is excluded, because other words start with it.
    let long = words(Word::Consent, |word| word.len() > SHORT_BYTES && !word.starts_with("opt"));
    let short = words(Word::Consent, |word| word.len() <= SHORT_BYTES);
    let (cookie, topic) = (words(Word::Cookie, |_| true), words(Word::Topic, |_| true));
    let records = format!(
        "{long}|(^|[^a-z])({short})([^a-z]|$)|opt[-_.]?(in|out)s?([^a-z]|$)|({cookie})[-_.]?({topic})|({topic})[-_.]?({cookie})"
    );
    let identifiers = words(Word::Identifier, |_| true);
    (records, format!("(^|[^a-z])({identifiers})([^a-z]|$)|uuid"))
}

/// Three regular expressions for scripts: names that may indicate CSRF protection; names of CSRF
/// protection, sessions or logins; and names that indicate tracking. They match more names than
/// [`speaks_of`], like [`record_expressions`].
pub fn presumption_expressions() -> [String; 3] {
    let is_token = |word| word == Word::Of(Kind::Csrf);
    let tokens = alternatives(is_token, |_| true);
    let is_login =
        |word| is_token(word) || [Kind::Session, Kind::Login].map(Word::Of).contains(&word);
    let logins = alternatives(is_login, |_| true);
    let tracks = |word| matches!(word, Word::Of(kind) | Word::Subject(kind) if kind.tracks());
    let long = alternatives(tracks, |word| word.len() > SHORT_BYTES);
    let short = alternatives(tracks, |word| word.len() <= SHORT_BYTES);
    let whole = |words: &str| format!("(^|[^a-z])({words})([^a-z]|$)");
    [tokens, whole(&logins), format!("{long}|{}", whole(&short))]
}

/// The words with these meanings, as regular expression alternatives.
fn alternatives(wanted: impl Fn(Word) -> bool, keep: impl Fn(&&str) -> bool) -> String {
    let rows = WORDS.iter().filter(|(word, _)| wanted(*word));
    let words = rows.flat_map(|(_, texts)| texts.split_ascii_whitespace()).filter(keep);
    words.collect::<Vec<_>>().join("|")
}

/// The meanings found in a name.
#[derive(Debug, Default)]
struct Meanings {
    consent: bool,
    cookie: bool,
    topic: bool,
    identifier: bool,
    tracking: Option<Kind>,
    /// A tracking word follows the last consent word.
    tracking_last: bool,
    subject: Option<Kind>,
    weak: Option<Kind>,
    needed: Option<Kind>,
    preference: Option<Kind>,
}

impl Meanings {
    fn of(name: &[u8]) -> Self {
        let mut found = Self::default();
        let mut texts = [""; MAX_WORDS];
        let mut count = 0;
        words(name, |text, word| {
            found.add(word);
            let Some(slot) = texts.get_mut(count) else { return };
            *slot = text;
            count += 1;
            let texts = texts.get(..count).unwrap_or_default();
            for (word, _) in PHRASES.iter().filter(|(_, phrase)| texts.ends_with(phrase)) {
                found.add(*word);
            }
        });
        found
    }

    fn add(&mut self, word: Word) {
        self.tracking_last &= !matches!(word, Word::Consent | Word::Cookie | Word::Topic);
        match word {
            Word::Consent => self.consent = true,
            Word::Cookie => self.cookie = true,
            Word::Topic => self.topic = true,
            Word::Identifier => self.identifier = true,
            Word::Neutral => {}
            Word::Weakly(kind) => keep_first(&mut self.weak, kind),
            Word::Subject(kind) => keep_first(&mut self.subject, kind),
            Word::Of(Kind::Preference) => self.preference = Some(Kind::Preference),
            Word::Of(kind) if kind.tracks() => {
                keep_first(&mut self.tracking, kind);
                self.tracking_last = true;
            }
            Word::Of(kind) => keep_first(&mut self.needed, kind),
        }
    }

    fn tracks(&self) -> Option<Kind> {
        self.tracking.or(self.subject)
    }

    /// Whether the name is that of a consent record. `pixel_consent` is, `consent_pixel` is not,
    /// and neither are names with an identifier. A cookie notice word next to a session or login
    /// word is no evidence, because those have cookies too.
    fn is_record(&self) -> bool {
        let speaks = self.consent || self.cookie && self.topic && self.needed.is_none();
        speaks && !self.tracking_last && !self.identifier
    }
}

/// Keeps the kind that comes first in the declaration of `Kind`.
fn keep_first(known: &mut Option<Kind>, kind: Kind) {
    *known = Some(known.map_or(kind, |known| known.min(kind)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::lexicon::LEXICON;
    use proptest::prelude::*;

    fn kind(name: &str) -> Option<Kind> {
        speaks_of(name.as_bytes())
    }

    #[test]
    fn no_word_is_listed_twice() {
        let mut words: Vec<&str> = LEXICON.words.iter().map(|(text, _)| *text).collect();
        words.sort_unstable();
        let twice: Vec<_> = words.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        for (_, phrase) in PHRASES {
            assert!(phrase.iter().all(|word| words.contains(word)), "{phrase:?}");
        }
    }

    #[test]
    fn names_are_classified_by_whole_words_in_every_case_style() {
        for (expected, names) in [
            (
                Some(Kind::Session),
                "session PHPSESSID JSESSIONID.a1 sess_8f shopSession app-session sessionid USERSESSIONID sid1",
            ),
            (
                Some(Kind::Csrf),
                "csrftoken XSRF-TOKEN X-CSRF csrf[a] __csrf_token-1 antiForgeryToken MMCSRF1_csrf",
            ),
            (
                Some(Kind::Login),
                "auth_token authToken myAuthToken remember-me OAuth_State loginName sso jwt id_token user_signin sign-in",
            ),
            (Some(Kind::Basket), "cart cartId basket_session oscar_open_basket shopcart"),
            (Some(Kind::Affinity), "SERVERID lb_affinity sticky server-id srv_id"),
            (Some(Kind::Protection), "captcha_ok"),
            (Some(Kind::Preference), "lang site_lang userLocale darkmode themeColor"),
            (
                Some(Kind::Advertising),
                "proximity_ads spring_campaign adsSession clickSession utm_campaign ad-id",
            ),
            (Some(Kind::Social), "share_x facebook_session social_token"),
            (
                Some(Kind::Statistics),
                "_tracking_session SESSIONTRACK visitor_session trackid visit-token stats_csrf analytics_session utm_source \
                 abTest page_views hit_count first_seen",
            ),
            (Some(Kind::Identifier), "uid user_id deviceId my_uuid"),
            (
                None,
                "mystate stationid author comment_author cartoon obsessed adonis statement trackit residence _ga wikidb \
                 president tokenized loadtime plugin",
            ),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(kind(name), expected, "{name}");
            }
        }
        assert_eq!(kind(""), None);
        assert_eq!(speaks_of(b"\xff\xfesession"), Some(Kind::Session));
        assert_eq!(kind(&"session".repeat(6)), Some(Kind::Session));
        assert_eq!(kind(&"session".repeat(7)), None);
    }

    #[test]
    fn strictly_necessary_words_win_over_weak_words_and_preferences() {
        assert_eq!(kind("cart_coupon"), Some(Kind::Basket));
        assert_eq!(kind("login_lang"), Some(Kind::Login));
        assert_eq!(kind("session_auth"), Some(Kind::Login));
        assert_eq!(kind("csrf_session"), Some(Kind::Csrf));
        assert!(speaks_of_tracking(b"gdpr_tracker") && !speaks_of_tracking(b"share_session"));
    }

    const RECORDS: &str = "consent user_consent consentDate gdpr GDPR_accepted ccpaApplies optin opt-out marketing_opt_in cookie_policy \
         cookieNotice cookie-bar cookiebanner cookies_settings COOKIE_PREFERENCES eucookielaw EUCookie cookies_policy \
         cookies_preferences_set cookie_optin cky-consent CookieConsentPolicy eu-consent tracking-preferences \
         analytics_consent ads_consented hide-cookie-notice acceptedCookies privacy_settings privacyNoticeSeen do_not_sell \
         rgpd dsgvo_hinweis allow-cookies cookieok cookie_level oauth2_consent_csrf consent_session_id \
         __privaci_cookie_consents cookie_popup_closed pixel_consent visitor-cookie-choice social_cookies_accepted";

    #[test]
    fn consent_records_are_recognised_by_name() {
        for name in RECORDS.split_whitespace() {
            assert_eq!(kind(name), Some(Kind::ConsentRecord), "{name}");
        }
    }

    #[test]
    fn scripts_recognise_records_without_the_word_list() {
        let (records, identifiers) = record_expressions();
        let compile =
            |source: &str| regex_lite::Regex::new(&format!("(?i){source}")).expect("valid");
        let (records, identifiers) = (compile(&records), compile(&identifiers));
        let is_record = |name: &str| records.is_match(name) && !identifiers.is_match(name);
        // These names need the phrase list.
        let apart = ["EUCookie", "tracking-preferences", "do_not_sell", "privacyNoticeSeen"];
        for name in RECORDS.split_whitespace().filter(|name| !apart.contains(name)) {
            assert!(is_record(name), "{name}");
        }
        for name in
            "gdpr_uid consent_uuid cookie_guid session cookie privacy theme _ga optional cookietest"
                .split_whitespace()
        {
            assert!(!is_record(name), "{name}");
        }
    }

    #[test]
    fn a_tracker_that_mentions_consent_is_not_a_consent_record() {
        for name in "gdpr_uid consent_uuid consentVisitorId gdpr_user_id consent_tracker cookie_notice_clicks \
            gdprCampaign consent_pixel cookie_policy_guid consent-device-id privacy_visits cookie_session cookie_test \
            cookies_enabled cookie privacy notice_bar preferences banner_closed accept auth_cookie_info session_cookie_ok"
            .split_whitespace()
        {
            assert_ne!(kind(name), Some(Kind::ConsentRecord), "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(name in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = speaks_of(&name);
        }

        #[test]
        fn tracking_names_are_never_strictly_necessary(
            before in "[a-z]{0,6}", tracking in "track|tracker|visitor|ads|campaign|analytics|stats|pixel",
            needed in "session|csrf|token|cart|auth|sid", separator in "[-_.]",
        ) {
            let name = format!("{before}{separator}{tracking}{separator}{needed}");
            // Consent records may contain the subject of the consent.
            prop_assume!(kind(&name) != Some(Kind::ConsentRecord));
            prop_assert!(kind(&name).is_some_and(Kind::tracks), "{name}");
        }
    }
}
