//! Word list for `names`, and the segmentation of names into words.

use std::sync::LazyLock;

use super::name_kind::Kind;
use super::prefix_tree::PrefixTree;

/// The meaning of a single word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Indicates consent by itself.
    Consent,
    /// Cookies or privacy. Indicates consent only together with a `Topic`.
    Cookie,
    /// A notice or a choice. Indicates consent only together with a `Cookie`.
    Topic,
    /// Indicates this kind.
    Of(Kind),
    /// Indicates this kind, unless another word of the name indicates a necessary cookie.
    Weakly(Kind),
    /// The subject of a consent: `analytics_consent` is a consent record, but `analytics_session`
    /// is not a session.
    Subject(Kind),
    /// An identifier. Names of consent records never contain one.
    Identifier,
    /// No meaning. Listed to split words without separators.
    Neutral,
}

/// The words by meaning. Plurals and inflected forms are separate words.
pub(super) const WORDS: [(Word, &str); 21] = [
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

/// Shorter words must be separate. Without separators, only those in `SHORT_WORDS` match.
pub(super) const SHORT_BYTES: usize = 3;
const SHORT_WORDS: [&str; 4] = ["eu", "id", "my", "ok"];

/// Phrases of consecutive words with a meaning of their own.
pub(super) const PHRASES: [(Word, &[&str]); 27] = [
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

/// Maximum length of a name, in bytes. The rest is ignored.
const MAX_NAME_BYTES: usize = 128;
/// Maximum length of a run of letters to split, in bytes.
const MAX_RUN_BYTES: usize = 48;
/// Maximum number of words of a name.
pub(super) const MAX_WORDS: usize = 32;
/// Marks positions that no sequence of words reaches.
const UNREACHED: usize = usize::MAX;

/// The word list as a prefix tree.
pub(super) struct Lexicon {
    tree: PrefixTree,
    pub(super) words: Vec<(&'static str, Word)>,
}

impl Lexicon {
    fn meaning(&self, text_of_word: &str) -> Word {
        let mut found = Word::Neutral;
        self.tree.walk(text_of_word.bytes(), |word| match self.words.get(word) {
            Some((text, word)) if text.len() == text_of_word.len() => found = *word,
            _ => {}
        });
        found
    }
}

pub(super) static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut lexicon = Lexicon { tree: PrefixTree::default(), words: Vec::new() };
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

/// Calls `show` with each known word of a name, in order. An unknown word is an empty text, so that
/// phrases do not extend across it.
pub(super) fn words(name: &[u8], mut show: impl FnMut(&'static str, Word)) {
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

/// Splits a run of letters into the smallest number of known words that cover it completely.
fn cut(run: &[u8], show: &mut impl FnMut(&'static str, Word)) {
    if run.is_empty() {
        return;
    }
    if run.len() > MAX_RUN_BYTES {
        return show("", Word::Neutral);
    }
    // For each prefix length: the smallest number of words that cover the prefix, and the last of
    // them.
    let mut best = [(UNREACHED, ""); MAX_RUN_BYTES + 1];
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
