//! What a cookie's name speaks of: one word list for suggestions, records of consent and rule conditions.
//!
//! A name is cut into words at everything that is not a letter (`cart_id`, `cart-id`, `cart.7`) and at changes
//! of case (`cartId`, `CSRFToken`). A word counts whole: `mystate` does not speak of "stat". Words without
//! separators (`sessionid`, `EUCOOKIELAW`) are cut too, if known words make up all of it.

use std::sync::LazyLock;

use super::tree::Tree;
use crate::consent::Category;

/// What a name speaks of. Of several kinds of a sort, a name is of the one listed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A record of the visitor's choice about cookies or privacy.
    ConsentRecord,
    /// Protection against cross-site request forgery.
    Csrf,
    /// A login, or the way to one.
    Login,
    /// A shopping basket.
    Basket,
    /// A session.
    Session,
    /// Session affinity of a load balancer.
    Affinity,
    /// Protection against bots and abuse.
    Protection,
    /// A choice of the visitor, such as a language.
    Preference,
    /// Advertising.
    Advertising,
    /// Social networks.
    Social,
    /// Statistics and tests.
    Statistics,
    /// Telling visitors apart.
    Identifier,
}

impl Kind {
    /// The category that a cookie of this kind most likely has.
    pub fn category(self) -> Category {
        match self {
            Self::ConsentRecord
            | Self::Csrf
            | Self::Login
            | Self::Basket
            | Self::Session
            | Self::Affinity
            | Self::Protection => Category::NECESSARY,
            Self::Preference => Category::FUNCTIONAL,
            Self::Advertising => Category::TARGETING,
            Self::Social => Category::SOCIAL,
            Self::Statistics | Self::Identifier => Category::ANALYTICS,
        }
    }

    /// Whether the kind is tracking: advertising, social networks or statistics.
    pub fn tracks(self) -> bool {
        matches!(self, Self::Advertising | Self::Social | Self::Statistics)
    }
}

/// What a single word speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Of consent, by itself.
    Consent,
    /// Of cookies or privacy: of consent only together with a `Topic`.
    Cookie,
    /// Of a notice or a choice: of consent only together with a `Cookie`.
    Topic,
    /// Of a kind.
    Of(Kind),
    /// Of a kind, unless another word of the name speaks of something that a site needs.
    Weakly(Kind),
    /// Of what a consent is about: `analytics_consent` is a record, `analytics_session` is not a session.
    Subject(Kind),
    /// Of an identifier: a record of consent has none in its name.
    Identifier,
    /// Of nothing: known so that words without separators can be cut.
    Neutral,
}

/// The words by what they speak of. Plurals and forms count as words of their own.
const WORDS: [(Word, &str); 21] = [
    (
        Word::Consent,
        "consent consents consented consentement consentimiento consenso zustimmung einwilligung toestemming \
         samtykke samtycke gdpr rgpd dsgvo lgpd ccpa cpra usprivacy eprivacy euconsent tcf tcstring gpp gpc dnt \
         optin optout optins optouts optedin optedout donotsell donottrack datenschutz akzeptiert",
    ),
    (Word::Cookie, "cookie cookies privacy cnil privacidad privacidade"),
    (
        Word::Topic,
        "accept accepted acceptance accepts ack acknowledged advice agree agreed agreement alert allow allowed \
         approve approved aviso banner bar block blocked box choice choices closed compliance confirm confirmation confirmed control decision \
         decline declined denied deny dialog directive disclaimer dismiss dismissed hide hint hinweis informativa law layer level \
         manager message modal note notice notices notification notify ok overlay panel permission permissions \
         policies policy popup pref preference preferences prefs refuse refused reject rejected richtlinie selection \
         setting settings show shown toast understood wall warning",
    ),
    (Word::Of(Kind::Csrf), "csrf xsrf antiforgery forgery authenticity nonce crumb csurf"),
    (
        Word::Of(Kind::Login),
        "auth oauth authn authenticated authentication authenticator authorization authorized login loggedin logged \
         logon signin sso saml oidc openid jwt token tokens credential credentials identity remember rememberme \
         passwd password otp totp mfa twofactor webauthn passkey impersonate impersonation pkce",
    ),
    (
        Word::Of(Kind::Basket),
        "cart carts basket baskets checkout minicart warenkorb panier carrito carrello",
    ),
    (Word::Of(Kind::Session), "session sessions sess sessid sid jsession phpsessid aspsession"),
    (
        Word::Of(Kind::Affinity),
        "affinity sticky stickiness route routeid srv serverid lb loadbalancer balancer balanceid backend haproxy",
    ),
    (
        Word::Of(Kind::Protection),
        "captcha recaptcha hcaptcha turnstile waf antibot botcheck clearance",
    ),
    (
        Word::Of(Kind::Preference),
        "lang language languages locale locales currency theme themes darkmode region country timezone tz font \
         fontsize layout wishlist favourites favorites recent recently chat sidebar colour color",
    ),
    (
        Word::Of(Kind::Advertising),
        "adv advert adverts advertiser advertisement campaign campaigns click clicks clickid gclid fbclid \
         msclkid adid affiliate affiliates retarget retargeting remarketing pixel pixels sponsor conversion \
         conversions audience audiences adserver doubleclick adsense",
    ),
    (
        Word::Weakly(Kind::Advertising),
        "promo promos coupon coupons referral referrals referrer referer referred",
    ),
    (Word::Subject(Kind::Advertising), "ad ads advertising marketing targeting"),
    (Word::Of(Kind::Social), "facebook twitter linkedin instagram pinterest tiktok snapchat"),
    (Word::Weakly(Kind::Social), "share shares sharing like likes"),
    (Word::Subject(Kind::Social), "social"),
    (
        Word::Of(Kind::Statistics),
        "analytic stat utm tracker trackers track tracked visit visits visitor visitors visitorid metric metrics hits \
         pageview pageviews experiment experiments abtest abtesting abtests variant variants heatmap heatmaps \
         telemetry impression impressions funnel attribution engagement clickstream",
    ),
    (Word::Weakly(Kind::Statistics), "hit count counter counts views landing source insights"),
    (
        Word::Subject(Kind::Statistics),
        "analytics statistics stats tracking performance measurement",
    ),
    (Word::Identifier, "uid uids uuid guid vid userid deviceid fingerprint clientid"),
    (
        Word::Neutral,
        "ab admin all anonymous api app asp browser cache client cmp code customer data date day device do eu expires first \
         flag form front has http https id in info is item items key last machine me member my name net new not old \
         on opt opted or out page php portal remote saved seen sell server service shop sig sign site state status store string \
         system tab tc temp test the time type up update us user users value version view web",
    ),
];

/// Words shorter than this count only as a whole, or among these where words have no separators.
const SHORT_BYTES: usize = 3;
const SHORT_WORDS: [&str; 4] = ["eu", "id", "my", "ok"];

/// Words that mean something only one after the other.
const PHRASES: [(Word, &[&str]); 27] = [
    (Word::Consent, &["opt", "in"]),
    (Word::Consent, &["opt", "out"]),
    (Word::Consent, &["opted", "in"]),
    (Word::Consent, &["opted", "out"]),
    (Word::Consent, &["tc", "string"]),
    (Word::Consent, &["do", "not", "sell"]),
    (Word::Consent, &["do", "not", "share"]),
    (Word::Consent, &["do", "not", "track"]),
    (Word::Consent, &["tracking", "preferences"]),
    (Word::Consent, &["tracking", "preference"]),
    (Word::Consent, &["tracking", "settings"]),
    (Word::Consent, &["tracking", "allowed"]),
    (Word::Topic, &["cookie", "info"]),
    (Word::Topic, &["cookies", "info"]),
    (Word::Topic, &["eu", "cookie"]),
    (Word::Topic, &["eu", "cookies"]),
    (Word::Of(Kind::Login), &["sign", "in"]),
    (Word::Of(Kind::Affinity), &["server", "id"]),
    (Word::Of(Kind::Statistics), &["ab", "test"]),
    (Word::Of(Kind::Statistics), &["page", "view"]),
    (Word::Of(Kind::Statistics), &["page", "views"]),
    (Word::Of(Kind::Statistics), &["first", "seen"]),
    (Word::Of(Kind::Statistics), &["last", "seen"]),
    (Word::Identifier, &["user", "id"]),
    (Word::Identifier, &["device", "id"]),
    (Word::Identifier, &["client", "id"]),
    (Word::Identifier, &["browser", "id"]),
];

/// Names are read up to this length, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The most words of a name that count.
const MAX_WORDS: usize = 32;
/// The count of words where no words fit.
const UNREACHED: usize = usize::MAX;

/// What a name speaks of; `None` if no word of it is known.
///
/// Tracking wins over what a site needs: `tracking_session` speaks of statistics.
pub fn speaks_of(name: &[u8]) -> Option<Kind> {
    let found = Found::of(name);
    if found.is_record() {
        return Some(Kind::ConsentRecord);
    }
    let needed = || found.needed.or(found.weak).or(found.preference);
    found.tracks().or_else(needed).or(found.identifier.then_some(Kind::Identifier))
}

/// Whether a name speaks of tracking, whatever else it speaks of.
pub fn speaks_of_tracking(name: &[u8]) -> bool {
    Found::of(name).tracks().is_some()
}

/// Two regular expressions for scripts that know no word list: names that may speak of a record of consent, and
/// those of them that name an identifier. To be applied without regard to case.
///
/// Wider than [`speaks_of`]: what a script may store under such a name is still judged when it is sent.
pub fn record_expressions() -> (String, String) {
    let words = |wanted: Word, keep: fn(&&str) -> bool| {
        let rows = WORDS.iter().filter(|(word, _)| *word == wanted);
        let words = rows.flat_map(|(_, texts)| texts.split_ascii_whitespace()).filter(keep);
        words.collect::<Vec<_>>().join("|")
    };
    // Longer words count anywhere, but "optin" is the beginning of other words too.
    let long = words(Word::Consent, |word| word.len() > SHORT_BYTES && !word.starts_with("opt"));
    let short = words(Word::Consent, |word| word.len() <= SHORT_BYTES);
    let (cookie, topic) = (words(Word::Cookie, |_| true), words(Word::Topic, |_| true));
    let records = format!(
        "{long}|(^|[^a-z])({short})([^a-z]|$)|opt[-_.]?(in|out)s?([^a-z]|$)|({cookie})[-_.]?({topic})|({topic})[-_.]?({cookie})"
    );
    let identifiers = words(Word::Identifier, |_| true);
    (records, format!("(^|[^a-z])({identifiers})([^a-z]|$)|uuid"))
}

/// What the words of a name speak of.
#[derive(Debug, Default)]
struct Found {
    consent: bool,
    cookie: bool,
    topic: bool,
    identifier: bool,
    tracking: Option<Kind>,
    /// A word of tracking follows the last word of consent.
    tracking_last: bool,
    subject: Option<Kind>,
    weak: Option<Kind>,
    needed: Option<Kind>,
    preference: Option<Kind>,
}

impl Found {
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

    /// Whether the name is that of a record of consent: `pixel_consent` is, `consent_pixel` is not, nor is a name
    /// with an identifier. "Cookie notice" names no record beside a session or a login, which have cookies too.
    fn is_record(&self) -> bool {
        let speaks = self.consent || self.cookie && self.topic && self.needed.is_none();
        speaks && !self.tracking_last && !self.identifier
    }
}

/// Of two kinds of a sort, keeps the one that `Kind` lists first.
fn keep_first(known: &mut Option<Kind>, kind: Kind) {
    *known = Some(known.map_or(kind, |known| known.min(kind)));
}

/// The word list as a tree.
struct Lexicon {
    tree: Tree,
    words: Vec<(&'static str, Word)>,
}

impl Lexicon {
    fn meaning(&self, wanted: &str) -> Word {
        let mut found = Word::Neutral;
        self.tree.walk(wanted.bytes(), |word| match self.words.get(word) {
            Some((text, word)) if text.len() == wanted.len() => found = *word,
            _ => {}
        });
        found
    }
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut lexicon = Lexicon { tree: Tree::default(), words: Vec::new() };
    for (word, texts) in WORDS {
        for text in texts.split_ascii_whitespace() {
            if let Some(items) = lexicon.tree.insert(text.bytes()) {
                items.push(lexicon.words.len());
                lexicon.words.push((text, word));
            }
        }
    }
    lexicon
});

/// Calls `show` with each known word of a name, in order; an unknown word is the empty text, so that phrases do
/// not reach across it.
fn words(name: &[u8], mut show: impl FnMut(&'static str, Word)) {
    let name = name.get(..MAX_NAME_BYTES).unwrap_or(name);
    let mut lower = [0_u8; MAX_NAME_BYTES];
    let mut start = 0;
    for end in 0..=name.len() {
        let here = name.get(end).copied().unwrap_or_default();
        if here.is_ascii_alphabetic() {
            if let Some(slot) = lower.get_mut(end) {
                *slot = here.to_ascii_lowercase();
            }
            let before =
                end.checked_sub(1).and_then(|at| name.get(at)).copied().unwrap_or_default();
            let after = name.get(end + 1).copied().unwrap_or_default();
            let border = here.is_ascii_uppercase()
                && (before.is_ascii_lowercase()
                    || before.is_ascii_uppercase() && after.is_ascii_lowercase());
            if !border || end == start {
                continue;
            }
            cut(lower.get(start..end).unwrap_or_default(), &mut show);
            start = end;
        } else {
            cut(lower.get(start..end).unwrap_or_default(), &mut show);
            start = end + 1;
        }
    }
}

/// Cuts a run of letters into as few known words as make up all of it.
fn cut(run: &[u8], show: &mut impl FnMut(&'static str, Word)) {
    if run.is_empty() {
        return;
    }
    // By the length of a beginning: how few words make it up, and the last of them.
    let mut best = [(UNREACHED, ""); MAX_NAME_BYTES + 1];
    best[0] = (0, "");
    for at in 0..run.len() {
        let Some((count, _)) = best.get(at).copied().filter(|(count, _)| *count < MAX_WORDS) else {
            continue;
        };
        LEXICON.tree.walk(run.iter().skip(at).copied(), |word| {
            let Some((text, _)) = LEXICON.words.get(word) else { return };
            let whole = text.len() == run.len();
            let counts = whole || text.len() >= SHORT_BYTES || SHORT_WORDS.contains(text);
            if let Some(slot) = best.get_mut(at + text.len())
                && counts
                && count + 1 < slot.0
            {
                *slot = (count + 1, text);
            }
        });
    }
    let count = best.get(run.len()).map_or(UNREACHED, |(count, _)| *count);
    let mut cut = [""; MAX_WORDS];
    let Some(cut) = cut.get_mut(..count) else { return show("", Word::Neutral) };
    let mut end = run.len();
    for slot in cut.iter_mut().rev() {
        *slot = best.get(end).map_or("", |(_, text)| *text);
        end = end.saturating_sub(slot.len());
    }
    for text in cut {
        show(text, LEXICON.meaning(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn names_speak_by_whole_words_in_every_way_of_writing() {
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
        assert_eq!(kind(&"session".repeat(18)), Some(Kind::Session));
    }

    #[test]
    fn what_a_site_needs_wins_over_weak_words_and_preferences() {
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
    fn records_of_consent_speak_of_it_in_many_ways() {
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
        // These need the list of phrases.
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
    fn a_tracker_is_no_record_for_naming_consent() {
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
        fn tracking_is_never_what_a_site_needs(
            before in "[a-z]{0,6}", tracking in "track|tracker|visitor|ads|campaign|analytics|stats|pixel",
            needed in "session|csrf|token|cart|auth|sid", separator in "[-_.]",
        ) {
            let name = format!("{before}{separator}{tracking}{separator}{needed}");
            prop_assert!(kind(&name).is_some_and(Kind::tracks), "{name}");
        }
    }
}
