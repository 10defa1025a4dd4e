//! One `Set-Cookie` field line, read after RFC 6265bis section 5.6.

use super::{parse_cookie_date, split_pair, trim};

/// A `Set-Cookie` field line: its name, its value, and its attributes as yet unread.
///
/// Reading never fails: whatever a browser could store has a name here (perhaps the empty one),
/// and what no browser would store is harmless. A line is one cookie, commas included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// The cookie's name, trimmed of SP and HTAB; empty for a nameless cookie.
    pub name: &'a [u8],
    /// The cookie's value, trimmed of SP and HTAB; quotes stay.
    pub value: &'a [u8],
    attributes: &'a [u8],
}

/// The attributes of a `Set-Cookie` that say where and how long the cookie lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `Domain` without a leading dot; `None` for a host-only cookie.
    pub domain: Option<&'a [u8]>,
    /// `Path` when it starts with `/`; `None` means the default path.
    pub path: Option<&'a [u8]>,
    /// `Secure` is present.
    pub secure: bool,
    /// `Partitioned` is present.
    pub partitioned: bool,
    /// `Max-Age` in seconds, when valid.
    pub max_age: Option<i64>,
    /// The last readable `Expires`, or the first one, as sent.
    expires: Option<&'a [u8]>,
}

impl<'a> SetCookie<'a> {
    /// Reads the name and value of a field line; attributes wait until [`scope`](Self::scope).
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

    /// Name and attributes as sent, without the value: what two lines share that set one cookie in one way.
    pub fn manner(&self) -> (&'a [u8], &'a [u8]) {
        (self.name, self.attributes)
    }

    /// Reads the attributes. Of repeated ones the last counts; unknown ones are passed over.
    pub fn scope(&self) -> Scope<'a> {
        let mut scope = Scope::default();
        let mut rest = self.attributes;
        while !rest.is_empty() {
            // Attributes are short, as names are.
            let end = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
            let (attribute, after) = rest.split_at_checked(end).unwrap_or_default();
            rest = after.get(1..).unwrap_or_default();
            scope.take(trim(attribute));
        }
        scope
    }
}

/// What a browser keeps of an attribute besides where and how long the cookie lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// `HttpOnly` is present: no script can read the cookie.
    pub http_only: bool,
    /// `SameSite` in lower case, when it is one of the three known values.
    pub same_site: Option<&'static str>,
}

impl SetCookie<'_> {
    /// Reads the attributes that say who may use the cookie. Of repeated ones the last counts.
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
    /// Takes one attribute, trimmed.
    fn take(&mut self, attribute: &'a [u8]) {
        let Some(initial) = attribute.first() else { return };
        // Most attributes are told apart by their first letter, and most of the rest are unknown.
        match initial.to_ascii_lowercase() {
            b'd' => {
                if let Some(value) = value_of(attribute, b"domain") {
                    let domain = value.strip_prefix(b".").unwrap_or(value);
                    self.domain = (!domain.is_empty()).then_some(domain);
                }
            }
            b'e' => {
                if let Some(value) = value_of(attribute, b"expires") {
                    // The date is read when it is asked for; only a second one must be valid to count.
                    if self.expires.is_none() || parse_cookie_date(value).is_some() {
                        self.expires = Some(value);
                    }
                }
            }
            b'm' => {
                if let Some(value) = value_of(attribute, b"max-age") {
                    self.max_age = parse_max_age(value).or(self.max_age);
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

    /// `Expires` in Unix seconds, when it can be read.
    pub fn expires(&self) -> Option<i64> {
        self.expires.and_then(parse_cookie_date)
    }
}

/// The value of an attribute if it has this name (given in lower case); empty when it has none.
fn value_of<'a, const N: usize>(attribute: &'a [u8], wanted: &[u8; N]) -> Option<&'a [u8]> {
    let (name, rest) = attribute.split_first_chunk::<N>()?;
    // As a whole: octet by octet takes ten times as long.
    if name.map(|byte| byte.to_ascii_lowercase()) != *wanted {
        return None;
    }
    let rest = trim(rest);
    match rest.split_first() {
        None => Some(rest),
        // Browsers pass over attributes with values longer than this (RFC 6265bis section 5.6).
        Some((b'=', value)) => Some(trim(value)).filter(|value| value.len() <= 1024),
        Some(_) => None,
    }
}

impl Scope<'_> {
    /// From when on (Unix seconds) a browser that receives the line deletes the cookie; `None` for never.
    ///
    /// `Max-Age` wins over `Expires` (RFC 6265bis section 5.7, step 3).
    pub fn deletes_from(&self) -> Option<i64> {
        match self.max_age {
            Some(seconds) => (seconds <= 0).then_some(i64::MIN),
            None => self.expires(),
        }
    }

    /// How long the cookie lives from `now` on, in seconds; `None` until the browser is closed.
    pub fn lifetime(&self, now: i64) -> Option<i64> {
        self.max_age.or_else(|| self.expires().map(|at| at.saturating_sub(now)))
    }

    /// Whether a browser that receives the line at `now` (Unix seconds) deletes the cookie.
    pub fn deletes(&self, now: i64) -> bool {
        self.deletes_from().is_some_and(|from| from <= now)
    }
}

/// `Max-Age` is digits with an optional leading `-`; anything else is ignored (section 5.6.2).
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
    use super::*;

    const NOW: i64 = 1_795_500_000;

    #[test]
    fn name_and_value_are_read_as_browsers_read_them() {
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
    fn of_repeated_attributes_the_last_counts() {
        let scope = SetCookie::parse(
            b"a=1; Path=/x;path=/y; DOMAIN=.Shop.Example; Domain=example; SECURE; partitioned",
        )
        .scope();
        assert_eq!(scope.path, Some(&b"/y"[..]));
        assert_eq!(scope.domain, Some(&b"example"[..]));
        assert!(scope.secure && scope.partitioned);
    }

    #[test]
    fn a_path_without_a_leading_slash_means_the_default_path() {
        assert_eq!(SetCookie::parse(b"a=1; Path=/x; Path=y").scope().path, None);
    }

    #[test]
    fn deletions_are_recognised_by_max_age_before_expires() {
        let cases: &[(&str, bool)] = &[
            ("a=1", false),
            ("a=; Max-Age=0", true),
            ("a=; Max-Age=-1", true),
            ("a=; max-age = 0 ", true),
            ("a=; Max-Age=00000000000000000000000", true),
            ("a=1; Max-Age=99999999999999999999999", false),
            ("a=; Max-Age=", false),
            ("a=; Max-Age=-", false),
            ("a=; Max-Age=+0", false),
            ("a=; Max-Age=0x", false),
            ("a=; Max-Age=0; Max-Age=junk", true),
            ("a=; Max-Age=60; Max-Age=0", true),
            ("a=; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", false),
            ("a=; Expires=Thu, 01-Jan-1970 00:00:00 GMT", true),
            ("a=; expires=Thu, 01-Jan-70 00:00:01 GMT;path=/", true),
            ("a=1; Expires=Wed, 24 Nov 2027 09:00:00 GMT", false),
            ("a=1; Expires=junk", false),
            ("a=1; Expires=junk; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=junk", true),
            ("a=1; Max-Agex=0", false),
            ("a=1; xMax-Age=0", false),
            ("a=1;max-age\t=\t0", true),
        ];
        for (line, deletes) in cases {
            assert_eq!(SetCookie::parse(line.as_bytes()).scope().deletes(NOW), *deletes, "{line}");
        }
    }
}
