//! Effect of a `Set-Cookie` line in browsers: whether the cookie is stored or deleted (RFC 6265bis
//! section 5.7).
//!
//! Browsers differ in their treatment of repeated and malformed attributes, and their clocks differ
//! from this server's. The parser therefore considers all interpretations and reports the outcome
//! on which all browsers agree.

use super::date::{is_plain, parse_cookie_date, parse_fixed_date};

/// Clock skew allowed for browsers, in seconds. A cookie with a shorter lifetime may have expired
/// on arrival.
const CLOCK_TOLERANCE_SECONDS: i64 = 24 * 60 * 60;

/// The effect of a `Set-Cookie` line in browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Every browser stores the cookie.
    Stores,
    /// Every browser deletes the cookie.
    Deletes,
    /// Some browsers may delete the cookie while others store it.
    Unclear,
}

/// The clocks by which browsers may evaluate the `Expires` attributes of a response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseTime {
    earliest: i64,
    latest: i64,
}

impl ResponseTime {
    /// A response without `Date`, received at `now` (Unix seconds).
    pub fn new(now: i64) -> Self {
        Self { earliest: now, latest: now.saturating_add(CLOCK_TOLERANCE_SECONDS) }
    }

    /// Adds a `Date` field: browsers correct `Expires` by the clock skew of the origin. If the date
    /// is not in the preferred format, no `Expires` is certain to be in the future.
    pub fn with_date(self, date: &[u8]) -> Self {
        let date = parse_fixed_date(date);
        Self {
            earliest: self.earliest.min(date.unwrap_or(i64::MIN)),
            latest: self
                .latest
                .max(date.map_or(i64::MAX, |date| date.saturating_add(CLOCK_TOLERANCE_SECONDS))),
        }
    }

    /// The latest clock, in Unix seconds.
    pub fn latest(self) -> i64 {
        self.latest
    }
}

/// The lifetime attributes of one line, in all interpretations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// The earliest expiry (Unix seconds) of any single attribute.
    pub(super) stores_until: i64,
    /// The longest valid `Max-Age`, in seconds.
    longest_age: Option<i64>,
    /// Whether every `Max-Age` deletes the cookie. `None` without `Max-Age`.
    ages_delete: Option<bool>,
    /// The latest `Expires`, in Unix seconds. The maximum value if an `Expires` is ambiguous,
    /// `None` without `Expires`.
    expires_by: Option<i64>,
    /// Whether a `Max-Age` or an `Expires` is valid.
    pub(super) is_persistent: bool,
}

impl Default for Lifetime {
    /// The lifetime of a line without lifetime attributes.
    fn default() -> Self {
        Self {
            stores_until: i64::MAX,
            longest_age: None,
            ages_delete: None,
            expires_by: None,
            is_persistent: false,
        }
    }
}

impl Lifetime {
    /// Adds a `Max-Age`. Returns its seconds if it is valid (section 5.6.2).
    pub(super) fn add_max_age(&mut self, value: &[u8]) -> Option<i64> {
        let seconds = parse_max_age(value);
        self.longest_age = self.longest_age.max(seconds);
        self.is_persistent |= seconds.is_some();
        if seconds.is_none_or(|seconds| seconds <= 0) {
            self.stores_until = i64::MIN;
        }
        let deletes = seconds.is_some_and(|seconds| seconds <= 0);
        self.ages_delete = Some(self.ages_delete.unwrap_or(true) && deletes);
        seconds
    }

    /// Adds an `Expires`. Returns its Unix seconds if it is valid (section 5.1.1).
    pub(super) fn add_expires(&mut self, value: &[u8]) -> Option<i64> {
        let fixed = parse_fixed_date(value);
        let expires = fixed.or_else(|| parse_cookie_date(value));
        self.is_persistent |= expires.is_some();
        // Formats other than the preferred one have several interpretations, unusual ones have
        // many.
        self.stores_until = self.stores_until.min(fixed.unwrap_or(i64::MIN));
        let certain = fixed.or_else(|| expires.filter(|_| is_plain(value)));
        self.expires_by = self.expires_by.max(Some(certain.unwrap_or(i64::MAX)));
        expires
    }

    /// The longest lifetime in any browser, in seconds. `None` for a session cookie.
    pub(super) fn longest(&self, time: ResponseTime) -> Option<i64> {
        self.longest_age.or_else(|| Some(self.expires_by?.saturating_sub(time.earliest)))
    }

    /// The effect in browsers.
    pub(super) fn effect(&self, time: ResponseTime) -> Effect {
        let deletes = self.ages_delete.unwrap_or_else(|| {
            self.expires_by.is_some_and(|at| at <= time.earliest && at != i64::MAX)
        });
        if deletes {
            Effect::Deletes
        } else if time.latest < self.stores_until {
            Effect::Stores
        } else {
            Effect::Unclear
        }
    }
}

/// Parses a `Max-Age`: digits with an optional leading `-`. Anything else is invalid (section
/// 5.6.2).
fn parse_max_age(value: &[u8]) -> Option<i64> {
    let (negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if negative {
        return Some(-1);
    }
    let seconds = digits.iter().fold(0_i64, |seconds, digit| {
        seconds.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::Effect::{Deletes, Stores, Unclear};
    use super::*;
    use crate::cookie::SetCookie;

    /// Tue, 24 Nov 2026.
    const NOW: i64 = 1_795_500_000;

    fn effect(line: &str, time: ResponseTime) -> Effect {
        SetCookie::parse(line.as_bytes()).scope().effect(time)
    }

    #[test]
    fn a_line_stores_or_deletes_only_if_every_parser_agrees() {
        let cases: &[(&str, Effect)] = &[
            ("a=1", Stores),
            ("a=", Stores),
            ("a=1; Max-Age=60", Stores),
            ("a=1; Max-Age=99999999999999999999999", Stores),
            ("a=1; Max-Age=1; Max-Age=2", Stores),
            ("a=1; Expires=Wed, 24 Nov 2027 09:00:00 GMT", Stores),
            ("a=1; Expires=Wed, 24-Nov-2027 09:00:00 GMT; Max-Age=60", Stores),
            ("a=1; Max-Agex=0; xMax-Age=0; Max-Age-x=0", Stores),
            ("a=; Max-Age=0", Deletes),
            ("a=1; Max-Age=-1", Deletes),
            ("a=; max-age = 0 ", Deletes),
            ("a=1;max-age\t=\t0", Deletes),
            ("a=; Max-Age=00000000000000000000000", Deletes),
            ("a=1; Max-Age=-1; Expires=Wed, 24 Nov 2032 09:00:00 GMT", Deletes),
            ("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Deletes),
            ("a=; Expires=Thu, 01-Jan-1970 00:00:00 GMT", Deletes),
            ("a=; expires=Thu, 01-Jan-70 00:00:01 GMT;path=/", Deletes),
            (
                "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=Sat, 01 Jan 2000 00:00:00 GMT",
                Deletes,
            ),
            ("a=; Max-Age=", Unclear),
            ("a=1; Max-Age", Unclear),
            ("a=; Max-Age=-", Unclear),
            ("a=1; Max-Age=+60", Unclear),
            ("a=1; Max-Age=60.5", Unclear),
            ("a=1; Max-Age=0x", Unclear),
            ("a=1; Max-Age=0; Max-Age=junk", Unclear),
            ("a=1; Max-Age=junk; Max-Age=0", Unclear),
            ("a=1; Max-Age=60; Max-Age=0", Unclear),
            ("a=1; Max-Age=0; Max-Age=60", Unclear),
            ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Unclear),
            ("a=1; Max-Age=junk; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Unclear),
            ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires", Unclear),
            (
                "a=1; Expires=Wed, 24 Nov 2032 09:00:00 GMT; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                Unclear,
            ),
            ("a=1; Expires=0", Unclear),
            ("a=1; Expires=-1", Unclear),
            ("a=1; Expires=junk", Unclear),
            ("a=1; Expires=\"Wed, 24 Nov 2032 09:00:00 GMT\"", Unclear),
            ("a=1; Expires=Wednesday, 24-Nov-32 09:00:00 GMT", Unclear),
            ("a=1; Expires=1970xx Jan 2 2037 00:00:00", Unclear),
            ("a=1; Expires=Thu, 24 Nov 2026 18:00:00 GMT", Unclear),
        ];
        for (line, expected) in cases {
            assert_eq!(effect(line, ResponseTime::new(NOW)), *expected, "{line}");
        }
    }

    #[test]
    fn expires_is_also_compared_with_the_date_of_the_response() {
        let expires = |year: u16| format!("a=1; Expires=Thu, 01 Jan {year} 00:00:00 GMT");
        let at = |date: &str| ResponseTime::new(NOW).with_date(date.as_bytes());
        for (year, date, expected) in [
            (2021, "Fri, 01 Jan 2021 00:00:00 GMT", Deletes),
            (2022, "Fri, 01 Jan 2021 00:00:00 GMT", Unclear),
            (2028, "Fri, 01 Jan 2021 00:00:00 GMT", Stores),
            (2028, "Fri, 01 Jan 2027 00:00:00 GMT", Stores),
            (2028, "Fri, 01 Jan 2030 00:00:00 GMT", Unclear),
            (2020, "Fri, 01 Jan 2030 00:00:00 GMT", Deletes),
            (2028, "Fri, 01 Jan 2021", Unclear),
            (2020, "", Unclear),
        ] {
            assert_eq!(effect(&expires(year), at(date)), expected, "{year} {date}");
        }
        let twice = at("Fri, 01 Jan 2021 00:00:00 GMT").with_date(b"Fri, 01 Jan 2030 00:00:00 GMT");
        assert_eq!(effect(&expires(2028), twice), Unclear);
        assert_eq!(effect("a=1; Max-Age=0", at("junk")), Deletes, "no date matters to Max-Age");
    }
}
