//! Conditions of a cookie rule besides the name.
//!
//! Frameworks name cookies after the application (`_shop_session`), so their patterns fit other cookies too. A
//! rule with such a pattern requires the attributes that the software sets. Attributes are visible in a
//! `Set-Cookie` only. In a request the rule counts by name, with two limits that every replica can check
//! without state: the part that its wildcards match must not speak of tracking, and the cookies that the software sets
//! together must be sent together.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::fmt;

use super::names;
use super::presumed_list::listed_names;
use crate::cookie::{Cookies, SetCookie};
use crate::http::Fields;

/// The most searches for companions in one message: each reads all cookies of the message.
const MAX_SEARCHES: u32 = 32;
const DAY: i64 = 24 * 60 * 60;

/// Conditions of a cookie rule besides the name.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Requires {
    /// The `Set-Cookie` has `HttpOnly`.
    pub http_only: bool,
    /// The `Set-Cookie` gives a lifetime of at most this many days, or none: the cookie ends with the session.
    pub max_days: Option<u32>,
    /// One of these cookies is in the same message; empty for no such condition.
    pub with: Vec<Companion>,
}

/// The name of a cookie that comes with another; its `*` matches the same text as in the rule's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    before: Box<str>,
    /// What follows the `*`; `None` for an exact name.
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
    /// Reads a name with at most one `*`; `None` for any other.
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

/// What a message shows of a cookie besides its name.
#[derive(Debug)]
pub struct Sight<'a> {
    source: Source<'a>,
    searches: Cell<u32>,
    /// The cookies that came with the message's request.
    sent: Option<&'a Cookies<'a>>,
    listed: OnceCell<HashSet<Vec<u8>>>,
}

/// The `Set-Cookie` lines of a response.
pub trait SetCookieLines: fmt::Debug {
    /// Whether any line is such a one.
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
enum Source<'a> {
    Name,
    Benefit,
    Script,
    Request(&'a Cookies<'a>),
    Response(&'a dyn SetCookieLines, i64),
}

impl<'a> Sight<'a> {
    fn new(source: Source<'a>) -> Self {
        Self { source, searches: Cell::new(0), sent: None, listed: OnceCell::new() }
    }

    /// A name alone, as if the cookie were sent alone.
    pub fn name() -> Self {
        Self::new(Source::Name)
    }

    /// A cookie that these may hold or not, with every condition taken to hold: for what must not be deleted by mistake.
    pub fn benefit_of_doubt(cookies: &'a Cookies<'a>) -> Self {
        Self { sent: Some(cookies), ..Self::new(Source::Benefit) }
    }

    /// A cookie that a script writes, which cannot be `HttpOnly`.
    pub fn script() -> Self {
        Self::new(Source::Script)
    }

    /// The cookies of a request.
    pub fn request(cookies: &'a Cookies<'a>) -> Self {
        Self { sent: Some(cookies), ..Self::new(Source::Request(cookies)) }
    }

    /// The `Set-Cookie` lines among the headers (or trailers) of a response, at `now` (Unix seconds).
    pub fn response(lines: &'a dyn SetCookieLines, now: i64) -> Self {
        Self::new(Source::Response(lines, now))
    }

    /// Whether a list of presumed cookies in the request has this name.
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
            Source::Name | Source::Script => false,
            Source::Benefit => true,
            Source::Request(cookies) => cookies.pairs().any(|pair| is(pair.name)),
            Source::Response(lines, now) => lines.any(&|line| {
                let cookie = SetCookie::parse(line);
                is(cookie.name) && !cookie.scope().deletes(*now)
            }),
        }
    }
}

impl Requires {
    /// Whether the conditions hold. `wild` is the part of the name that the wildcards match; `set` is the
    /// `Set-Cookie` line where the cookie is being set.
    pub(super) fn hold(&self, wild: &[u8], set: Option<&SetCookie<'_>>, sight: &Sight<'_>) -> bool {
        if names::speaks_of_tracking(wild) {
            return false;
        }
        if self.http_only && matches!(sight.source, Source::Script) {
            return false;
        }
        if let (Some(cookie), Source::Response(_, now)) = (set, &sight.source)
            && !self.allows(cookie, *now)
        {
            return false;
        }
        self.with.is_empty()
            || self.with.iter().any(|companion| sight.has(|name| companion.is(name, wild)))
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
    fn at_most_32_companions_are_looked_for_among_the_cookies_of_a_request() {
        let cookies = Cookies::new([&b"a=1; b=2"[..]]);
        let sight = Sight::request(&cookies);
        let found: Vec<bool> = (0..40).map(|_| sight.has(|name| name == b"b")).collect();
        assert_eq!(found.iter().filter(|found| **found).count(), 32);
        assert!(found[31] && !found[32]);
    }
}
