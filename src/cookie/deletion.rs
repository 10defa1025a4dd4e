//! `Set-Cookie` lines that delete a cookie (RFC 6265bis section 5.7): same name, `Domain`, `Path` and partition.

use http::HeaderValue;

use super::{SetCookie, without_prefix};

/// Maximum length of an attribute value, in bytes. Browsers ignore longer ones (RFC 6265bis section
/// 5.6).
const MAX_ATTRIBUTE_BYTES: usize = 1024;

/// A deletion of one cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deletion<'a> {
    /// The cookie's name.
    pub name: &'a [u8],
    /// `Domain` without a leading dot. `None` for a host-only cookie.
    pub domain: Option<&'a [u8]>,
    /// `Path`. `None` for the default path of the request.
    pub path: Option<&'a [u8]>,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`.
    pub same_site: Option<&'static str>,
    /// `Partitioned`.
    pub partitioned: bool,
}

impl Deletion<'_> {
    /// The `Set-Cookie` line for browsers. `None` if no valid line can delete the cookie.
    pub fn line(&self) -> Option<HeaderValue> {
        self.written(b"; Max-Age=0")
    }

    /// The `Set-Cookie` line for all clients: some only support `Expires`.
    fn line_with_expires(&self) -> Option<HeaderValue> {
        self.written(b"; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    }

    fn written(&self, lifetime: &[u8]) -> Option<HeaderValue> {
        let writable = |value: &[u8]| value.len() <= MAX_ATTRIBUTE_BYTES && !value.contains(&b';');
        if !self.domain.is_none_or(writable) || !self.path.is_none_or(writable) {
            return None;
        }
        let mut line = Vec::with_capacity(128);
        line.extend_from_slice(self.name);
        // Browsers reject a line with neither name nor value.
        line.extend_from_slice(if self.name.is_empty() { b"=deleted" } else { b"=" });
        line.extend_from_slice(lifetime);
        // Browsers reject a second leading dot, or a blank after the first. The dot preserves the
        // rejection, which would be lost without it.
        let is_odd = |domain: &[u8]| matches!(domain.first(), Some(b'.' | b' ' | b'\t'));
        let domain =
            self.domain.map(|domain| (if is_odd(domain) { "Domain=." } else { "Domain=" }, domain));
        let values = [
            self.path.map(|path| ("Path=", path)),
            domain,
            self.same_site.map(|same_site| ("SameSite=", same_site.as_bytes())),
        ];
        for (attribute, value) in values.into_iter().flatten() {
            line.extend_from_slice(b"; ");
            line.extend_from_slice(attribute.as_bytes());
            line.extend_from_slice(value);
        }
        let flags: [(&[u8], bool); 3] = [
            (b"; Secure", self.secure),
            (b"; HttpOnly", self.http_only),
            (b"; Partitioned", self.partitioned),
        ];
        for (flag, _) in flags.iter().filter(|(_, present)| *present) {
            line.extend_from_slice(flag);
        }
        HeaderValue::from_bytes(&line).ok()
    }
}

impl SetCookie<'_> {
    /// The line that deletes the cookie of this line, with the same `Domain`, `Path` and flags.
    /// `None` for a line with neither name nor value, which browsers reject.
    pub fn deletion(&self) -> Option<HeaderValue> {
        if self.name.is_empty() && self.value.is_empty() {
            return None;
        }
        let (scope, access) = (self.scope(), self.access());
        let deletion = Deletion {
            name: self.name,
            domain: scope.domain,
            path: scope.path,
            secure: scope.secure,
            http_only: access.http_only,
            same_site: access.same_site,
            partitioned: scope.partitioned,
        };
        deletion.line_with_expires()
    }
}

/// The attributes that a cookie name prefix requires (RFC 6265bis section 4.1.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrefixAttributes {
    /// `Secure`.
    pub secure: bool,
    /// `Path=/`, and no `Domain`.
    pub host_only: bool,
    /// `HttpOnly`.
    pub http_only: bool,
}

impl PrefixAttributes {
    /// The attributes required by the prefix of a name, case-insensitive.
    pub fn of(name: &[u8]) -> Self {
        let prefix = without_prefix(name).map_or(0, |rest| name.len() - rest.len());
        let prefix = name.get(..prefix).unwrap_or_default().to_ascii_lowercase();
        Self {
            secure: !prefix.is_empty(),
            host_only: prefix.starts_with(b"__host-"),
            http_only: prefix.ends_with(b"http-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_copies_only_name_domain_path_and_flags_of_its_line() {
        const GONE: &str = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        let cases: &[(&[u8], &str, &str)] = &[
            (b"a=secret", "a=", ""),
            (b"a=secret; Max-Age=60; Expires=soon; uid=secret", "a=", ""),
            (b" a = 1 ;path=/x; DOMAIN=.Shop.example", "a=", "; Path=/x; Domain=Shop.example"),
            (b"a=1; Path=/x; Path=y; Domain=b; Domain", "a=", ""),
            (
                b"__Host-a=1; secure; HTTPONLY; samesite=None; Path=/; Partitioned",
                "__Host-a=",
                "; Path=/; SameSite=none; Secure; HttpOnly; Partitioned",
            ),
            (b"a=1; SameSite=odd", "a=", ""),
            (b"a=1; Domain=..b", "a=", "; Domain=..b"),
            (b"a=1; Domain=. b", "a=", "; Domain=. b"),
            (b"token", "=deleted", ""),
            (b"=token; Path=/", "=deleted", "; Path=/"),
            (b"\"a\"=1", "\"a\"=", ""),
        ];
        for (line, pair, attributes) in cases {
            let deletion = SetCookie::parse(line).deletion().expect("a valid line");
            let expected = format!("{pair}{GONE}{attributes}");
            assert_eq!(deletion, expected.as_str(), "{}", line.escape_ascii());
            let again = SetCookie::parse(deletion.as_bytes());
            assert!(again.scope().deletes(0), "{expected}");
            assert_eq!(again.deletion().as_ref(), Some(&deletion), "twice is once");
        }
    }

    #[test]
    fn attribute_values_with_invalid_characters_yield_no_line() {
        let long = [b'/'; 1025];
        for (domain, path) in
            [(None, Some(&b"/a;b"[..])), (Some(&b"a;b"[..]), None), (None, Some(&long))]
        {
            assert_eq!(Deletion { name: b"a", domain, path, ..Deletion::default() }.line(), None);
        }
        assert_eq!(SetCookie::parse(b"; Path=/").deletion(), None);
    }

    #[test]
    fn prefixes_require_their_attributes_in_any_case() {
        let attributes =
            |secure, host_only, http_only| PrefixAttributes { secure, host_only, http_only };
        for (name, expected) in [
            ("a", attributes(false, false, false)),
            ("__secure-a", attributes(true, false, false)),
            ("__HOST-a", attributes(true, true, false)),
            ("__Http-a", attributes(true, false, true)),
            ("__Host-Http-a", attributes(true, true, true)),
        ] {
            assert_eq!(PrefixAttributes::of(name.as_bytes()), expected, "{name}");
        }
    }
}
