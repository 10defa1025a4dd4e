//! What a cookie that no rule knows most likely is, by its name, by who sets it and how. A proposal for
//! whoever writes the config, with its reason; nothing is decided by it.

use crate::consent::Category;

/// What was seen of a cookie. Never its value.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The name, or the pattern that many share.
    pub name: &'a str,
    /// The origin sets it, by `Set-Cookie`.
    pub set_by_origin: bool,
    /// No script can read it.
    pub http_only: bool,
    /// How long it lives, in seconds; `None` until the browser is closed.
    pub lifetime: Option<i64>,
}

/// The category that is proposed, and why.
pub type Suggestion = (Category, &'static str);

/// Words in names, with what they speak for. Earlier rows win.
const WORDS: [(Category, &[&str], &str); 6] = [
    (
        Category::NECESSARY,
        &[
            "csrf",
            "xsrf",
            "session",
            "sess",
            "auth",
            "login",
            "jwt",
            "sso",
            "cart",
            "basket",
            "checkout",
            "captcha",
            "consent",
            "cookie_notice",
        ],
        "its name speaks of a session, a login, a cart or a protection",
    ),
    (
        Category::FUNCTIONAL,
        &[
            "lang", "locale", "currency", "theme", "pref", "region", "country", "timezone", "font",
            "layout", "wishlist", "recent", "chat",
        ],
        "its name speaks of a choice or a comfort",
    ),
    (
        Category::TARGETING,
        &[
            "advert",
            "campaign",
            "click",
            "gclid",
            "fbclid",
            "msclkid",
            "affiliate",
            "referr",
            "retarget",
            "promo",
            "pixel",
            "coupon",
            "_ads",
            "ads_",
            "adid",
        ],
        "its name speaks of advertising",
    ),
    (
        Category::SOCIAL,
        &["share", "social", "facebook", "twitter", "linkedin", "like_"],
        "its name speaks of social networks",
    ),
    (
        Category::ANALYTICS,
        &[
            "analytic",
            "utm",
            "stat",
            "visit",
            "track",
            "metric",
            "hit",
            "pageview",
            "experiment",
            "abtest",
            "variant",
            "heatmap",
            "first_seen",
            "landing",
        ],
        "its name speaks of counting or testing",
    ),
    (
        Category::ANALYTICS,
        &["uid", "uuid", "guid", "_id", "vid"],
        "its name speaks of telling visitors apart",
    ),
];

const DAY: i64 = 24 * 60 * 60;

/// Proposes a category.
pub fn suggest(evidence: &Evidence<'_>) -> Suggestion {
    let name = evidence.name.to_ascii_lowercase();
    let word = WORDS.iter().find(|(_, words, _)| words.iter().any(|word| name.contains(word)));
    let lives_long = evidence.lifetime.is_some_and(|seconds| seconds > 31 * DAY);
    match word {
        // A tracker may call itself a session; a session is not kept for months.
        Some((Category::NECESSARY, _, _)) if lives_long && !evidence.http_only => (
            Category::ANALYTICS,
            "its name speaks of a session, but it lives for months and scripts can read it",
        ),
        Some((Category::NECESSARY, _, _)) if !evidence.set_by_origin => (
            Category::FUNCTIONAL,
            "its name speaks of a session, but a script or another site sets it",
        ),
        Some((category, _, reason)) => (*category, reason),
        None if evidence.set_by_origin && evidence.http_only && evidence.lifetime.is_none() => (
            Category::NECESSARY,
            "the origin sets it, HttpOnly and until the browser is closed, as sessions are",
        ),
        None if lives_long => {
            (Category::ANALYTICS, "it lives for months, as what tells visitors apart does")
        }
        None if !evidence.set_by_origin => {
            (Category::ANALYTICS, "a script or another site sets it, and nothing tells what for")
        }
        None => (
            Category::FUNCTIONAL,
            "the origin sets it for a short while, and nothing tells what for",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lifetimes_and_who_sets_a_cookie_speak_for_a_category() {
        let evidence = |name, set_by_origin, http_only, lifetime| {
            suggest(&Evidence { name, set_by_origin, http_only, lifetime }).0
        };
        for (category, name, set, http_only, lifetime) in [
            (Category::NECESSARY, "shop_session", true, true, None),
            (Category::NECESSARY, "X-CSRF", true, false, None),
            (Category::NECESSARY, "blob", true, true, None),
            (Category::ANALYTICS, "my_session", true, false, Some(365 * DAY)),
            (Category::FUNCTIONAL, "my_session", false, false, None),
            (Category::FUNCTIONAL, "site_lang", true, false, Some(365 * DAY)),
            (Category::TARGETING, "spring_campaign", true, false, None),
            (Category::SOCIAL, "share_count", false, false, None),
            (Category::ANALYTICS, "utm_source", false, false, None),
            (Category::ANALYTICS, "blob", true, true, Some(365 * DAY)),
            (Category::ANALYTICS, "blob", false, false, None),
            (Category::FUNCTIONAL, "blob", true, false, Some(DAY)),
        ] {
            assert_eq!(
                evidence(name, set, http_only, lifetime),
                category,
                "{name} {set} {http_only} {lifetime:?}"
            );
        }
    }
}
