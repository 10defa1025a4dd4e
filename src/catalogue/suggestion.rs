//! Suggested categories for unclassified cookies, by name, attributes, and the cookies set
//! together.
//!
//! A suggestion has a reason and no effect by itself. Following all suggestions must not break a
//! login, so cookies that an application sets during a login are suggested as necessary.

use super::names::{Kind, speaks_of};
use super::presumption::Presumption;
use crate::consent::Category;

/// Observations of a cookie, without its value.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The name, or the pattern shared by several names.
    pub name: &'a str,
    /// The origin sets it with `Set-Cookie`.
    pub set_by_origin: bool,
    /// Scripts cannot read it.
    pub http_only: bool,
    /// Lifetime in seconds. `None` for a session cookie.
    pub lifetime: Option<i64>,
    /// How the origin sets it together with a session.
    pub together: Option<SessionCompanion>,
    /// Why it is currently presumed strictly necessary, if it is.
    pub presumed: Option<Presumption>,
}

/// How a cookie is set together with another cookie that looks like a session. Later values are
/// stronger evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionCompanion {
    /// In the same response.
    Session,
    /// In the response to a `POST`, like logins.
    Login,
}

impl SessionCompanion {
    /// All values, the weakest evidence first.
    pub const ALL: [Self; 2] = [Self::Session, Self::Login];
}

/// The suggested category and the reason.
pub type Suggestion = (Category, &'static str);

const DAY: i64 = 24 * 60 * 60;
const MONTH: i64 = 31 * DAY;

/// Suggests a category.
pub fn suggest(evidence: &Evidence<'_>) -> Suggestion {
    if let Some(grounds) = evidence.presumed {
        return (Category::NECESSARY, grounds.reason());
    }
    let kind = speaks_of(evidence.name.as_bytes());
    let lives_long = evidence.lifetime.is_some_and(|seconds| seconds > MONTH);
    let readable = !evidence.http_only;
    match kind {
        Some(Kind::ConsentRecord) => {
            return (Category::NECESSARY, "its name speaks of the visitor's choice about cookies");
        }
        // A tracker may be named like a session, but sessions that last for months are hidden from
        // scripts.
        Some(kind) if kind.category() == Category::NECESSARY && lives_long && readable => {
            return (
                Category::ANALYTICS,
                "its name speaks of a session, but it lives for months and scripts can read it",
            );
        }
        // Scripts read CSRF tokens and write carts, but cannot write HttpOnly cookies.
        Some(Kind::Session | Kind::Affinity | Kind::Protection) if !evidence.set_by_origin => {
            return (
                Category::FUNCTIONAL,
                "its name speaks of a session, but a script or another site sets it",
            );
        }
        Some(kind) if kind.category() == Category::NECESSARY || kind.tracks() => {
            return (kind.category(), reason(kind));
        }
        Some(_) | None => {}
    }
    if let Some(reason) = set_with_a_login(evidence, kind) {
        return (Category::NECESSARY, reason);
    }
    match kind {
        Some(kind) => (kind.category(), reason(kind)),
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

/// Why a cookie belongs to an observed login. `None` if it does not.
fn set_with_a_login(evidence: &Evidence<'_>, kind: Option<Kind>) -> Option<&'static str> {
    let hidden = evidence.http_only;
    let short = evidence.lifetime.is_none_or(|seconds| seconds <= MONTH);
    match evidence.together? {
        SessionCompanion::Login if hidden || short && kind != Some(Kind::Preference) => Some(
            "the origin sets it together with a session in the response to a POST, as logins do",
        ),
        SessionCompanion::Session if hidden && short && kind != Some(Kind::Identifier) => {
            Some("the origin sets it together with a session, and hides it from scripts")
        }
        SessionCompanion::Login | SessionCompanion::Session => None,
    }
}

fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::ConsentRecord => "its name speaks of the visitor's choice about cookies",
        Kind::Csrf
        | Kind::Login
        | Kind::Basket
        | Kind::Session
        | Kind::Affinity
        | Kind::Protection => "its name speaks of a session, a login, a cart or a protection",
        Kind::Preference => "its name speaks of a choice or a comfort",
        Kind::Advertising => "its name speaks of advertising",
        Kind::Social => "its name speaks of social networks",
        Kind::Statistics => "its name speaks of counting or testing",
        Kind::Identifier => "its name speaks of telling visitors apart",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(
        name: &str,
        set_by_origin: bool,
        http_only: bool,
        lifetime: Option<i64>,
        together: Option<SessionCompanion>,
    ) -> Category {
        let presumed = None;
        suggest(&Evidence { name, set_by_origin, http_only, lifetime, together, presumed }).0
    }

    #[test]
    fn suggestions_follow_name_lifetime_and_setter() {
        for (expected, name, set, http_only, lifetime) in [
            (Category::NECESSARY, "shop_session", true, true, None),
            (Category::NECESSARY, "X-CSRF", true, false, None),
            (Category::NECESSARY, "X-CSRF", false, false, None),
            (Category::NECESSARY, "myCart", false, false, Some(7 * DAY)),
            (Category::NECESSARY, "spa_token", false, false, None),
            (Category::NECESSARY, "blob", true, true, None),
            (Category::NECESSARY, "mystate", true, true, None),
            (Category::ANALYTICS, "my_session", true, false, Some(365 * DAY)),
            (Category::NECESSARY, "my_session", true, true, Some(365 * DAY)),
            (Category::FUNCTIONAL, "my_session", false, false, None),
            (Category::ANALYTICS, "tracking_session", true, true, None),
            (Category::FUNCTIONAL, "site_lang", true, false, Some(365 * DAY)),
            (Category::TARGETING, "spring_campaign", true, false, None),
            (Category::SOCIAL, "share_count", false, false, None),
            (Category::ANALYTICS, "utm_source", false, false, None),
            (Category::ANALYTICS, "blob", true, true, Some(365 * DAY)),
            (Category::ANALYTICS, "blob", false, false, None),
            (Category::FUNCTIONAL, "blob", true, false, Some(DAY)),
        ] {
            let found = category(name, set, http_only, lifetime, None);
            assert_eq!(found, expected, "{name} {set} {http_only} {lifetime:?}");
        }
    }

    #[test]
    fn consent_records_are_suggested_as_necessary_for_every_setter() {
        for name in
            ["cookie_optin", "eu-consent", "tracking-preferences", "eucookielaw", "cky-consent"]
        {
            for (set, http_only) in [(true, true), (true, false), (false, false)] {
                let found = category(name, set, http_only, Some(365 * DAY), None);
                assert_eq!(found, Category::NECESSARY, "{name}");
            }
        }
        let found = category("gdpr_uid", false, false, Some(365 * DAY), None);
        assert_eq!(found, Category::ANALYTICS);
    }

    #[test]
    fn cookies_set_together_by_a_login_are_suggested_as_necessary() {
        let (login, session) = (Some(SessionCompanion::Login), Some(SessionCompanion::Session));
        for (expected, name, http_only, lifetime, together) in [
            (Category::NECESSARY, "wikidbUserID", true, Some(180 * DAY), login),
            (Category::NECESSARY, "pmaUser-1", true, Some(30 * DAY), login),
            (Category::NECESSARY, "username-localhost-8888", true, Some(30 * DAY), login),
            (Category::NECESSARY, "shown", false, None, login),
            (Category::NECESSARY, "pma_lang", true, Some(30 * DAY), login),
            (Category::NECESSARY, "blob", true, Some(30 * DAY), session),
            // Cookies set with a login for tracking, convenience or months are not part of the
            // login.
            (Category::ANALYTICS, "visitor_stats", true, None, login),
            (Category::TARGETING, "campaign", false, Some(DAY), login),
            (Category::FUNCTIONAL, "theme", false, None, login),
            (Category::ANALYTICS, "blob", false, Some(365 * DAY), login),
            (Category::ANALYTICS, "uid", true, Some(30 * DAY), session),
            (Category::ANALYTICS, "blob", true, Some(365 * DAY), session),
        ] {
            let found = category(name, true, http_only, lifetime, together);
            assert_eq!(found, expected, "{name} {http_only} {lifetime:?} {together:?}");
        }
    }
}
