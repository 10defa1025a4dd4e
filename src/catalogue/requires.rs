//! Conditions of a cookie rule besides the name.
//!
//! Frameworks name cookies after the application (`_shop_session`), so their patterns match other
//! cookies too. A rule with such a pattern requires the attributes that the framework sets. Only
//! `Set-Cookie` lines contain attributes. In a request the rule matches by name, with two
//! restrictions that every replica can check without state. The part matched by wildcards must not
//! indicate tracking. Cookies that the framework sets together must be sent together.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::fmt;

use super::names;
use super::presumed_list::listed_names;
use crate::cookie::{Cookies, SetCookie};
use crate::http::Fields;

/// Maximum number of companion searches per message, each of which reads all cookies of the
/// message.
const MAX_SEARCHES: u32 = 32;
const DAY: i64 = 24 * 60 * 60;

/// Conditions of a cookie rule besides the name.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Requires {
    /// The `Set-Cookie` must have `HttpOnly`.
    pub http_only: bool,
    /// Maximum lifetime in days. Session cookies always match.
    pub max_days: Option<u32>,
    /// One of these cookies must be in the same message. Empty: no condition.
    pub with: Vec<Companion>,
}

/// A cookie name that must accompany another one. Its `*` matches the same text as in the rule's
/// pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    before: Box<str>,
    /// The text after the `*`. `None` for an exact name.
    after: Option<Box<str>>,
}

impl serde::Serialize for Companion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.after {
            None => serializer.serialize_str(&self.before),
            Some(after) => serializer.collect_str(&format_args!("{}*{after}", self.before)),
        }
    }
}

impl Companion {
    /// Parses a name with at most one `*`. `None` otherwise.
    pub fn new(text: &str) -> Option<Self> {
        let (before, after) = match text.split_once('*') {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
        let valid = !text.is_empty() && !after.is_some_and(|after| after.contains('*'));
        valid.then(|| Self { before: before.into(), after: after.map(Box::from) })
    }

    fn is(&self, name: &[u8], wild: &[u8]) -> bool {
        let Some(rest) = name.strip_prefix(self.before.as_bytes()) else { return false };
        match &self.after {
            None => rest.is_empty(),
            Some(after) => rest.strip_suffix(after.as_bytes()) == Some(wild),
        }
    }
}

/// The context of a cookie: the message that contains it.
#[derive(Debug)]
pub struct CookieContext<'a> {
    source: ContextSource<'a>,
    searches: Cell<u32>,
    /// The cookies of the request.
    sent: Option<&'a Cookies<'a>>,
    listed: OnceCell<HashSet<Vec<u8>>>,
}

/// The `Set-Cookie` lines of a response.
pub trait SetCookieLines: fmt::Debug {
    /// Whether the predicate holds for any line.
    fn any(&self, is: &dyn Fn(&[u8]) -> bool) -> bool;
}

impl SetCookieLines for http::HeaderMap {
    fn any(&self, is: &dyn Fn(&[u8]) -> bool) -> bool {
        Fields::values(self, &http::header::SET_COOKIE).any(is)
    }
}

impl SetCookieLines for Vec<&[u8]> {
    fn any(&self, is: &dyn Fn(&[u8]) -> bool) -> bool {
        self.iter().any(|line| is(line))
    }
}

#[derive(Debug)]
enum ContextSource<'a> {
    Name,
    Benefit,
    Script,
    Request(&'a Cookies<'a>),
    Response(&'a dyn SetCookieLines, i64),
}

impl<'a> CookieContext<'a> {
    fn new(source: ContextSource<'a>) -> Self {
        Self { source, searches: Cell::new(0), sent: None, listed: OnceCell::new() }
    }

    /// A name alone, as if the cookie were sent alone.
    pub fn name() -> Self {
        Self::new(ContextSource::Name)
    }

    /// A cookie that the browser may store, in addition to those it sent. All conditions count as
    /// met, so that no cookie is deleted by mistake.
    pub fn assuming_companions(cookies: &'a Cookies<'a>) -> Self {
        Self { sent: Some(cookies), ..Self::new(ContextSource::Benefit) }
    }

    /// A cookie that a script writes, which cannot be `HttpOnly`.
    pub fn script() -> Self {
        Self::new(ContextSource::Script)
    }

    /// The cookies of a request.
    pub fn request(cookies: &'a Cookies<'a>) -> Self {
        Self { sent: Some(cookies), ..Self::new(ContextSource::Request(cookies)) }
    }

    /// The `Set-Cookie` lines in the headers or trailers of a response, at `now` (Unix seconds).
    pub fn response(lines: &'a dyn SetCookieLines, now: i64) -> Self {
        Self::new(ContextSource::Response(lines, now))
    }

    /// Whether a list of presumed cookies in the request contains this name.
    pub(super) fn lists(&self, name: &[u8]) -> bool {
        let Some(cookies) = self.sent else { return false };
        self.listed.get_or_init(|| listed_names(cookies)).contains(name)
    }

    fn has(&self, is: impl Fn(&[u8]) -> bool) -> bool {
        let searches = self.searches.get();
        self.searches.set(searches.saturating_add(1));
        if searches >= MAX_SEARCHES {
            return false;
        }
        match &self.source {
            ContextSource::Name | ContextSource::Script => false,
            ContextSource::Benefit => true,
            ContextSource::Request(cookies) => cookies.pairs().any(|pair| is(pair.name)),
            ContextSource::Response(lines, now) => lines.any(&|line| {
                let cookie = SetCookie::parse(line);
                is(cookie.name) && !cookie.scope().deletes(*now)
            }),
        }
    }
}

impl Requires {
    /// Whether the conditions are met. `wild` is the part of the name matched by wildcards. `set`
    /// is the `Set-Cookie` line, if the cookie is being set.
    pub(super) fn are_met(
        &self,
        wild: &[u8],
        set: Option<&SetCookie<'_>>,
        context: &CookieContext<'_>,
    ) -> bool {
        if names::is_tracking_name(wild) {
            return false;
        }
        if self.http_only && matches!(context.source, ContextSource::Script) {
            return false;
        }
        if let (Some(cookie), ContextSource::Response(_, now)) = (set, &context.source)
            && !self.allows(cookie, *now)
        {
            return false;
        }
        self.with.is_empty()
            || self.with.iter().any(|companion| context.has(|name| companion.is(name, wild)))
    }

    fn allows(&self, cookie: &SetCookie<'_>, now: i64) -> bool {
        if self.http_only && !cookie.access().http_only {
            return false;
        }
        self.max_days.is_none_or(|days| {
            let lifetime = cookie.scope().lifetime(now);
            lifetime.is_none_or(|seconds| seconds <= i64::from(days).saturating_mul(DAY))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_32_companion_cookies_are_looked_up_per_request() {
        let cookies = Cookies::new([&b"a=1; b=2"[..]]);
        let context = CookieContext::request(&cookies);
        let found: Vec<bool> = (0..40).map(|_| context.has(|name| name == b"b")).collect();
        assert_eq!(found.iter().filter(|found| **found).count(), 32);
        assert!(found[31] && !found[32]);
    }
}
