//! Parser for a `Set-Cookie` field line (RFC 6265bis section 5.6).

use super::effect::{Effect, Lifetime, ResponseTime};
use super::{split_pair, trim};

/// A `Set-Cookie` field line: name, value, and unparsed attributes.
///
/// Parsing never fails. Every cookie that a browser could store has a name here, possibly an empty
/// one. Lines that no browser would store are harmless. A line is a single cookie, including any
/// commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// The name, trimmed of SP and HTAB. Empty for a nameless cookie.
    pub name: &'a [u8],
    /// The value, trimmed of SP and HTAB. Quotes are preserved.
    pub value: &'a [u8],
    attributes: &'a [u8],
}

/// The attributes of a `Set-Cookie` line that define the scope and lifetime of the cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `Domain` without a leading dot. `None` for a host-only cookie.
    pub domain: Option<&'a [u8]>,
    /// `Path`, if it starts with `/`. `None` for the default path.
    pub path: Option<&'a [u8]>,
    /// `Secure` is present.
    pub secure: bool,
    /// `Partitioned` is present.
    pub partitioned: bool,
    /// `Max-Age` in seconds, if valid.
    pub max_age: Option<i64>,
    /// `Expires` in Unix seconds, if valid.
    pub expires: Option<i64>,
    lifetime: Lifetime,
}

impl<'a> SetCookie<'a> {
    /// Parses name and value of a field line. Attributes are parsed by [`scope`](Self::scope).
    ///
    /// ```
    /// let cookie = consentry::cookie::SetCookie::parse(b"_ga=1; Path=/; Max-Age=0");
    /// assert_eq!(cookie.name, b"_ga");
    /// assert!(cookie.scope().deletes(1_795_500_000));
    /// ```
    pub fn parse(line: &'a [u8]) -> Self {
        let end = memchr::memchr(b';', line).unwrap_or(line.len());
        let (pair, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
        let (name, value) = split_pair(trim(pair));
        Self { name, value, attributes: rest.get(1..).unwrap_or_default() }
    }

    /// Whether browsers send the cookie under this name. A nameless cookie is sent as its value
    /// alone: the cookie that `=a=b` sets is sent as `a=b`.
    pub fn is_sent_as(&self, name: &[u8]) -> bool {
        self.name == name || self.name.is_empty() && split_pair(self.value).0 == name
    }

    /// Name and raw attributes without the value. Equal for lines that set a cookie in the same
    /// way.
    pub fn fingerprint(&self) -> (&'a [u8], &'a [u8]) {
        (self.name, self.attributes)
    }

    /// Parses the attributes. The last of several wins, valid or not; unknown attributes are
    /// ignored.
    pub fn scope(&self) -> Scope<'a> {
        let mut scope = Scope::default();
        let mut rest = self.attributes;
        while !rest.is_empty() {
            // Attributes are short, so a bytewise search is faster.
            let end = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
            let (attribute, after) = rest.split_at_checked(end).unwrap_or_default();
            rest = after.get(1..).unwrap_or_default();
            scope.take(trim(attribute));
        }
        scope
    }
}

/// Attributes that define access to the cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// `HttpOnly` is present: scripts cannot read the cookie.
    pub http_only: bool,
    /// `SameSite` in lower case, if it is one of the three known values.
    pub same_site: Option<&'static str>,
}

impl SetCookie<'_> {
    /// Parses the access attributes. The last of several wins.
    pub fn access(&self) -> Access {
        let mut access = Access::default();
        for attribute in self.attributes.split(|byte| *byte == b';').map(trim) {
            if value_of(attribute, b"httponly").is_some() {
                access.http_only = true;
            } else if let Some(value) = value_of(attribute, b"samesite") {
                let known = ["strict", "lax", "none"].into_iter();
                access.same_site =
                    known.into_iter().find(|known| value.eq_ignore_ascii_case(known.as_bytes()));
            }
        }
        access
    }
}

impl<'a> Scope<'a> {
    /// Parses one trimmed attribute.
    fn take(&mut self, attribute: &'a [u8]) {
        let Some(initial) = attribute.first() else { return };
        // The first letter distinguishes most attributes, and most others are unknown.
        match initial.to_ascii_lowercase() {
            b'd' => {
                if let Some(value) = value_of(attribute, b"domain") {
                    let domain = value.strip_prefix(b".").unwrap_or(value);
                    self.domain = (!domain.is_empty()).then_some(domain);
                }
            }
            b'e' => {
                if let Some(value) = value_of(attribute, b"expires") {
                    self.expires = self.lifetime.add_expires(value);
                }
            }
            b'm' => {
                if let Some(value) = value_of(attribute, b"max-age") {
                    self.max_age = self.lifetime.add_max_age(value);
                }
            }
            b'p' => {
                if let Some(value) = value_of(attribute, b"path") {
                    self.path = value.starts_with(b"/").then_some(value);
                } else if value_of(attribute, b"partitioned").is_some() {
                    self.partitioned = true;
                }
            }
            b's' => self.secure |= value_of(attribute, b"secure").is_some(),
            _ => {}
        }
    }
}

/// The value of an attribute with this name (given in lower case). Empty if the attribute has no
/// value.
fn value_of<'a, const N: usize>(attribute: &'a [u8], expected: &[u8; N]) -> Option<&'a [u8]> {
    let (name, rest) = attribute.split_first_chunk::<N>()?;
    // Compares the whole name at once, which is ten times as fast as bytewise.
    if name.map(|byte| byte.to_ascii_lowercase()) != *expected {
        return None;
    }
    let rest = trim(rest);
    match rest.split_first() {
        None => Some(rest),
        // Browsers ignore attributes with longer values (RFC 6265bis section 5.6).
        Some((b'=', value)) => Some(trim(value)).filter(|value| value.len() <= 1024),
        Some(_) => None,
    }
}

impl Scope<'_> {
    /// The effect of the line in browsers.
    pub fn effect(&self, time: ResponseTime) -> Effect {
        self.lifetime.effect(time)
    }

    /// The time (Unix seconds) until which the line has the effect [`Effect::Stores`].
    pub fn stores_until(&self) -> i64 {
        self.lifetime.stores_until
    }

    /// The lifetime from `now` on, in seconds. `None` for a session cookie.
    pub fn lifetime(&self, now: i64) -> Option<i64> {
        self.max_age.or_else(|| self.expires.map(|at| at.saturating_sub(now)))
    }

    /// Whether a valid attribute limits the lifetime. Otherwise the cookie is a session cookie.
    pub(super) fn is_persistent(&self) -> bool {
        self.lifetime.is_persistent
    }

    /// The longest lifetime in any browser, in seconds. `None` for a session cookie.
    pub fn longest_lifetime(&self, time: ResponseTime) -> Option<i64> {
        self.lifetime.longest(time)
    }

    /// Whether every browser that receives the line at `now` (Unix seconds) deletes the cookie.
    pub fn deletes(&self, now: i64) -> bool {
        self.effect(ResponseTime::new(now)) == Effect::Deletes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_cookie_is_sent_under_the_name_in_its_value() {
        for (line, expected) in [
            ("a=1", true),
            (" a =1; Path=/", true),
            ("a=; Max-Age=0", true),
            ("=a=1", true),
            ("= a =1; Secure", true),
            ("=a", false),
            ("a", false),
            ("==a=1", false),
            ("A=1", false),
            ("__Host-a=1", false),
            ("b=a=1", false),
        ] {
            assert_eq!(SetCookie::parse(line.as_bytes()).is_sent_as(b"a"), expected, "{line}");
        }
    }

    #[test]
    fn name_and_value_are_parsed_like_browsers_parse_them() {
        let cases: &[(&[u8], &[u8], &[u8])] = &[
            (b"a=1", b"a", b"1"),
            (b" a = 1 ; Path=/", b"a", b"1"),
            (b"token", b"", b"token"),
            (b"=token; Secure", b"", b"token"),
            (b"=_ga=1", b"", b"_ga=1"),
            (b"a=b=c; x", b"a", b"b=c"),
            (b"a=1, b=2; Path=/", b"a", b"1, b=2"),
            (b"\xc3\xa9=\xff", b"\xc3\xa9", b"\xff"),
            (b"\xc2\xa0_ga=1", b"\xc2\xa0_ga", b"1"),
            (b"; Path=/", b"", b""),
            (b"", b"", b""),
        ];
        for (line, name, value) in cases {
            let read = SetCookie::parse(line);
            assert_eq!((read.name, read.value), (*name, *value), "{:?}", line);
        }
    }

    #[test]
    fn the_last_of_repeated_attributes_applies() {
        let scope = SetCookie::parse(
            b"a=1; Path=/x;path=/y; DOMAIN=.Shop.Example; Domain=example; SECURE; partitioned",
        )
        .scope();
        assert_eq!(scope.path, Some(&b"/y"[..]));
        assert_eq!(scope.domain, Some(&b"example"[..]));
        assert!(scope.secure && scope.partitioned);
    }

    #[test]
    fn the_last_of_repeated_lifetimes_applies_even_if_invalid() {
        let cases: &[(&str, Option<i64>, Option<i64>)] = &[
            ("a=1; Max-Age=60", Some(60), None),
            ("a=1; Max-Age=0; Max-Age=60", Some(60), None),
            ("a=1; Max-Age=60; Max-Age=junk", None, None),
            ("a=1; Max-Age=+60", None, None),
            ("a=1; Max-Age=-5", Some(-1), None),
            ("a=1; Max-Age=99999999999999999999", Some(i64::MAX), None),
            ("a=1; Expires=Thu, 01 Jan 1970 00:00:09 GMT", None, Some(9)),
            ("a=1; Expires=Thu, 01 Jan 1970 00:00:09 GMT; Expires=x", None, None),
            ("a=1; Expires=x; Expires=Thu, 01 Jan 1970 00:00:09 GMT", None, Some(9)),
        ];
        for (line, max_age, expires) in cases {
            let scope = SetCookie::parse(line.as_bytes()).scope();
            assert_eq!((scope.max_age, scope.expires), (*max_age, *expires), "{line}");
        }
    }

    #[test]
    fn a_path_without_a_leading_slash_means_the_default_path() {
        assert_eq!(SetCookie::parse(b"a=1; Path=/x; Path=y").scope().path, None);
    }
}
