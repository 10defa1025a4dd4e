//! Presumption of necessity: classifies unclassified cookies as strictly necessary by their
//! attributes and names.
//!
//! docs/presumption.md lists the criteria with their reasons. Known trackers have rules, and rules
//! take precedence: the presumption only applies to cookies without a rule.

use super::names::{Kind, speaks_of};
use super::presumed_list::can_be_listed;
use super::requires::CookieContext;
use crate::cookie::{ResponseTime, SetCookie};

/// Maximum lifetime, in seconds, of a cookie that is presumed necessary by its attributes alone.
const MAX_LIFETIME_SECONDS: i64 = 24 * 60 * 60;

/// Why an unclassified cookie is presumed strictly necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presumption {
    /// The origin sets a session cookie with `HttpOnly`.
    HttpOnlySession,
    /// The origin sets the cookie with `HttpOnly` for at most 24 hours.
    HttpOnlyDay,
    /// The name indicates a session, a login or a similar function, and the attributes fit.
    Name,
    /// The visitor's list of presumed cookies contains the name.
    Listed,
    /// The name indicates CSRF protection.
    CsrfName,
}

impl Presumption {
    /// Every value, in declaration order.
    pub const ALL: [Self; 5] =
        [Self::HttpOnlySession, Self::HttpOnlyDay, Self::Name, Self::Listed, Self::CsrfName];

    /// The index in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpOnlySession => "http_only_session",
            Self::HttpOnlyDay => "http_only_day",
            Self::Name => "name",
            Self::Listed => "listed",
            Self::CsrfName => "csrf_name",
        }
    }

    /// A human-readable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::HttpOnlySession => {
                "the origin sets it, HttpOnly and until the browser is closed, as sessions are"
            }
            Self::HttpOnlyDay => {
                "the origin sets it, HttpOnly and for at most 24 hours, as sessions are"
            }
            Self::Name => {
                "its name speaks of a session, a login, a cart or a protection, and it is set as these are"
            }
            Self::Listed => "the origin has set it for this visitor as a session is set",
            Self::CsrfName => "its name speaks of protection against cross-site request forgery",
        }
    }
}

/// Why the cookie of an unclassified `Set-Cookie` line is strictly necessary. `None` if it is not.
pub(crate) fn presumed_set(cookie: &SetCookie<'_>, time: ResponseTime) -> Option<Presumption> {
    let kind = speaks_of(cookie.name);
    if !can_be_listed(cookie.name) || kind.is_some_and(Kind::tracks) {
        return None;
    }
    let lifetime = cookie.scope().longest_lifetime(time);
    // A deletion is no evidence.
    if lifetime.is_some_and(|seconds| seconds <= 0) {
        return None;
    }
    let (ends_with_session, short) =
        (lifetime.is_none(), lifetime.is_none_or(|seconds| seconds <= MAX_LIFETIME_SECONDS));
    let named = kind.is_some_and(Kind::is_needed);
    match (cookie.access().http_only, kind) {
        (true, _) if ends_with_session => Some(Presumption::HttpOnlySession),
        (true, _) if short => Some(Presumption::HttpOnlyDay),
        (true, _) if named => Some(Presumption::Name),
        (false, _) if named && ends_with_session => Some(Presumption::Name),
        (false, Some(Kind::Csrf)) if short => Some(Presumption::Name),
        _ => None,
    }
}

/// Why an unclassified cookie of a request is strictly necessary. `None` if it is not.
///
/// Requests contain no cookie attributes. Cookies set by the origin are in the list; of
/// script-written cookies, a site needs only CSRF tokens.
pub(crate) fn presumed_sent(name: &[u8], sight: &CookieContext<'_>) -> Option<Presumption> {
    if sight.lists(name) {
        return Some(Presumption::Listed);
    }
    (speaks_of(name) == Some(Kind::Csrf)).then_some(Presumption::CsrfName)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_500_000;

    fn grounds(line: &str) -> Option<Presumption> {
        presumed_set(&SetCookie::parse(line.as_bytes()), ResponseTime::new(NOW))
    }

    fn sent(name: &str) -> Option<Presumption> {
        presumed_sent(name.as_bytes(), &CookieContext::name())
    }

    #[test]
    fn cookies_are_presumed_necessary_by_attributes_or_by_name_and_attributes() {
        use Presumption::{HttpOnlyDay, HttpOnlySession, Name};
        for (expected, lines) in [
            (
                Some(HttpOnlySession),
                &[
                    "blob=1; HttpOnly",
                    "8f14e45fceea167a5a36dedd4bea2543=1; path=/; HttpOnly",
                    "mystate=1; httponly; SameSite=None; Secure; Partitioned",
                    "shop_sess=1; HttpOnly",
                    "uid=1; HttpOnly",
                ][..],
            ),
            (
                Some(HttpOnlyDay),
                &[
                    "blob=1; HttpOnly; Max-Age=86400",
                    "blob=1; HttpOnly; Expires=Tue, 24 Nov 2026 22:00:00 GMT; Max-Age=60",
                    "cart=1; HttpOnly; Max-Age=60",
                ],
            ),
            (
                Some(Name),
                &[
                    "acme_sess=1; HttpOnly; Max-Age=31536000",
                    "acme_auth=1; Max-Age=31536000; HttpOnly; Secure",
                    "acme_basket=1; HttpOnly; Max-Age=2592000",
                    "acme_sid=1; Path=/",
                    "acme_csrf=1; SameSite=Lax",
                    "acme_xsrf=1; Max-Age=7200",
                ],
            ),
            (
                None,
                &[
                    "blob=1",
                    "blob=1; Max-Age=60",
                    "blob=1; HttpOnly; Max-Age=86401",
                    "acme_sess=1; Max-Age=86400",
                    "acme_csrf=1; Max-Age=31536000",
                    "_tracking_session=1; HttpOnly",
                    "visitor_id=1; HttpOnly",
                    "utm_token=1; HttpOnly",
                    "lang=de",
                    "blob=1; HttpOnly; Max-Age=0",
                    "acme_sess=1; HttpOnly; Max-Age=-1; Max-Age=junk",
                    "=1; HttpOnly",
                    "1; HttpOnly",
                ],
            ),
        ] {
            for line in lines {
                assert_eq!(grounds(line), expected, "{line}");
            }
        }
    }

    #[test]
    fn a_lifetime_is_the_longest_that_any_browser_would_parse() {
        // Two years by the origin's clock, but less than a day by this one.
        let line = b"blob=1; HttpOnly; Expires=Tue, 24 Nov 2026 22:00:00 GMT";
        let time = ResponseTime::new(NOW);
        assert_eq!(presumed_set(&SetCookie::parse(line), time), Some(Presumption::HttpOnlyDay));
        for date in ["Sun, 24 Nov 2024 22:00:00 GMT", "junk"] {
            let time = time.with_date(date.as_bytes());
            assert_eq!(presumed_set(&SetCookie::parse(line), time), None, "{date}");
        }
    }

    #[test]
    fn without_attributes_only_csrf_names_are_presumed_necessary() {
        for name in ["csrf_token", "XSRF-TOKEN-2", "acme.csrf", "antiForgeryToken"] {
            assert_eq!(sent(name), Some(Presumption::CsrfName), "{name}");
        }
        for name in ["acme_sess", "auth_token", "stats_csrf", "cart", ""] {
            assert_eq!(sent(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn tracking_names_and_long_lived_unknown_names_are_never_presumed_necessary(
            word in "track|visitor|analytics|ads|campaign|stats|pixel",
            suffix in "(_(session|sid|csrf|auth|cart|x1))?",
            attributes in "(; HttpOnly)?(; Max-Age=[1-9][0-9]{0,8})?(; Secure)?",
            days in 2i64..4000,
        ) {
            prop_assert_eq!(grounds(&format!("{word}{suffix}=1{attributes}")), None);
            prop_assert_eq!(grounds(&format!("blob=1; HttpOnly; Max-Age={}", days * 86_400)), None);
        }
    }
}
