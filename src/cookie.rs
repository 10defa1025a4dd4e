//! Parsers for `Cookie` and `Set-Cookie`, exactly as browsers parse them (RFC 6265bis section 5).
//!
//! The parsers borrow their input and do not allocate. The filter copies remaining cookies from the
//! original bytes and never re-serialises them. Used by `consent` and `catalogue`.

mod date;
mod deletion;
mod domain;
mod effect;
mod lifetime_cap;
mod set_cookie;

use http::header::COOKIE;

use crate::http::Fields;
use crate::http::framing::trim;

pub use date::parse_cookie_date;
pub use deletion::{Deletion, PrefixAttributes};
pub use domain::{cookie_domains, domain_matches, registrable_domain};
pub use effect::{Effect, ResponseTime};
pub use lifetime_cap::cap_lifetime;
pub use set_cookie::{Access, Scope, SetCookie};

/// One `name=value` pair of a `Cookie` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The name before the first `=`, trimmed of SP and HTAB. Empty for a nameless cookie.
    pub name: &'a [u8],
    /// The value after the first `=`, trimmed of SP and HTAB. Quotes are preserved.
    pub value: &'a [u8],
    /// Start of the trimmed pair in the field, in bytes.
    pub start: usize,
    /// End (exclusive) of the trimmed pair in the field, in bytes.
    pub end: usize,
}

/// Iterates over the pairs of one `Cookie` field value. Empty segments are skipped.
///
/// Splits at every `;`, trims SP and HTAB only, and uses the first `=` as the separator. A segment
/// without `=` is a nameless cookie whose value is the whole segment (RFC 6265bis 5.6).
///
/// ```
/// let names: Vec<_> = consentry::cookie::pairs(b"a=1;b=2=3; token").map(|p| p.name).collect();
/// assert_eq!(names, [&b"a"[..], b"b", b""]);
/// ```
pub fn pairs(field: &[u8]) -> Pairs<'_> {
    Pairs { field, next: 0 }
}

/// The iterator behind [`pairs`].
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    field: &'a [u8],
    next: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            let rest = self.field.get(self.next..).filter(|rest| !rest.is_empty())?;
            let length = memchr::memchr(b';', rest).unwrap_or(rest.len());
            let segment = rest.get(..length)?;
            let at = self.next;
            self.next = at + length + 1;
            let trimmed = trim(segment);
            if trimmed.is_empty() {
                continue;
            }
            let blanks = segment.iter().take_while(|byte| is_blank(**byte)).count();
            let start = at + blanks;
            let (name, value) = split_pair(trimmed);
            return Some(Pair { name, value, start, end: start + trimmed.len() });
        }
    }
}

/// Splits at the first `=`. Without one, the pair is the value of a nameless cookie.
fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    // Names are short, so a bytewise search is faster than a vectorised one.
    match pair.iter().position(|byte| *byte == b'=').and_then(|at| pair.split_at_checked(at)) {
        Some((name, value)) => (trim(name), trim(value.get(1..).unwrap_or_default())),
        None => (&[], pair),
    }
}

/// Name and value of the pair that starts at this position. `None` inside of a pair, and for a
/// nameless cookie.
fn pair_at(field: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let before = field.get(..at)?.iter().rev().find(|byte| !is_blank(**byte));
    if before.is_some_and(|byte| *byte != b';') {
        return None;
    }
    let rest = field.get(at..)?;
    let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
    let (name, value) = split_pair(trim(rest.get(..end)?));
    (!name.is_empty()).then_some((name, value))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The name without a cookie name prefix (`__Host-`, `__Secure-`, `__Http-`, `__Host-Http-`).
/// `None` without a prefix.
///
/// Browsers compare prefixes case-insensitively (RFC 6265bis section 4.1.3), so a rule for `_ga`
/// must also match `__secure-_ga`.
pub fn without_prefix(name: &[u8]) -> Option<&[u8]> {
    if !name.starts_with(b"__") {
        return None;
    }
    [&b"__Host-Http-"[..], b"__Host-", b"__Secure-", b"__Http-"].into_iter().find_map(|prefix| {
        let (head, rest) = name.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(rest)
    })
}

/// All `Cookie` fields of one request. HTTP/2 may split them (RFC 9113 section 8.2.3).
#[derive(Debug, Clone, Default)]
pub struct Cookies<'a> {
    first: &'a [u8],
    rest: Vec<&'a [u8]>,
}

impl<'a> Cookies<'a> {
    /// Collects the fields in order. Does not allocate for a single field.
    pub fn new(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut fields = fields.into_iter();
        Self { first: fields.next().unwrap_or_default(), rest: fields.collect() }
    }

    /// The `Cookie` fields of a request.
    pub fn of(fields: &'a impl Fields) -> Self {
        Self::new(fields.values(&COOKIE))
    }

    fn fields(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    /// All pairs of all fields, in order.
    pub fn pairs(&self) -> impl Iterator<Item = Pair<'a>> + '_ {
        self.fields().flat_map(pairs)
    }

    /// The values of all cookies with this name (case-sensitive), in order.
    pub fn values<'n>(&'n self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + 'n {
        self.beginning_with(name).filter(move |(rest, _)| rest.is_empty()).map(|(_, value)| value)
    }

    /// All cookies whose names start with this non-empty prefix: the rest of the name, and the
    /// value, in order.
    pub fn beginning_with<'n>(
        &'n self,
        start: &'n [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'n {
        self.fields().flat_map(move |field| {
            // Searches for the raw bytes, which is much faster than parsing every pair.
            let found = memchr::memmem::find_iter(field, start);
            found.filter_map(move |at| {
                let (name, value) = pair_at(field, at)?;
                name.strip_prefix(start).filter(|_| !start.is_empty()).map(|rest| (rest, value))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        pairs(field.as_bytes()).map(|pair| (text(pair.name), text(pair.value))).collect()
    }

    #[test]
    fn pairs_are_split_at_semicolons_and_at_the_first_equals_sign() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            (" ; ;\t;", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;b=2;", &[("a", "1"), ("b", "2")]),
            ("a=b=c==", &[("a", "b=c==")]),
            ("  a\t=\t1  ;b", &[("a", "1"), ("", "b")]),
            ("=value", &[("", "value")]),
            ("a=", &[("a", "")]),
            ("a=\"x,y z\"", &[("a", "\"x,y z\"")]),
            ("a=1, b=2", &[("a", "1, b=2")]),
            ("\u{a0}_ga=1", &[("\u{a0}_ga", "1")]),
        ];
        for (field, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(read(field), expected, "{field:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn values_by_name_match_the_pairs_of_that_name(field in "[ab=; \t]{0,24}", name in "[ab]( ?[ab]){0,2}") {
            let cookies = Cookies::new([field.as_bytes()]);
            let by_pair: Vec<_> = cookies
                .pairs()
                .filter(|pair| pair.name == name.as_bytes())
                .map(|pair| pair.value)
                .collect();
            let by_name: Vec<_> = cookies.values(name.as_bytes()).collect();
            proptest::prop_assert_eq!(by_name, by_pair);
            let by_pair: Vec<_> = cookies
                .pairs()
                .filter_map(|pair| Some((pair.name.strip_prefix(name.as_bytes())?, pair.value)))
                .collect();
            let by_start: Vec<_> = cookies.beginning_with(name.as_bytes()).collect();
            proptest::prop_assert_eq!(by_start, by_pair);
        }
    }

    #[test]
    fn a_pair_has_the_range_of_its_trimmed_bytes() {
        let field = b" a=1 ;\tb = 2";
        let spans: Vec<_> = pairs(field).map(|pair| &field[pair.start..pair.end]).collect();
        assert_eq!(spans, [&b"a=1"[..], b"b = 2"]);
    }

    #[test]
    fn prefixes_are_recognised_in_any_case() {
        assert_eq!(without_prefix(b"__Secure-_ga"), Some(&b"_ga"[..]));
        assert_eq!(without_prefix(b"__hOST-sid"), Some(&b"sid"[..]));
        assert_eq!(without_prefix(b"__Host-Http-sid"), Some(&b"sid"[..]));
        assert_eq!(without_prefix(b"_ga"), None);
        assert_eq!(without_prefix(b"__Sec"), None);
    }

    #[test]
    fn cookies_are_found_across_several_fields() {
        let cookies = Cookies::new([&b"a=1; b=2"[..], b"a=3"]);
        assert_eq!(cookies.values(b"a").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!(cookies.values(b"A").count(), 0);
    }
}
