//! Hosts and ports of requests (RFC 9110 section 4.2, RFC 3986 section 3.2).

use core::net::Ipv6Addr;
use std::borrow::Cow;

use http::header::HOST;

use super::fields::Fields;

/// Maximum length of a registered name (RFC 3986 section 3.2.2).
const MAX_NAME_BYTES: usize = 255;

/// Host and port without userinfo, from a `Host` field, `:authority` or an absolute-form target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) host: &'a str,
    /// The port; `None` if it is missing or empty.
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses an authority; `None` if it is invalid.
    ///
    /// The syntax is RFC 3986 with two restrictions. A name contains neither `,` nor `;`: these
    /// separate list members and attributes in fields that a host is copied to (`Forwarded`,
    /// `Set-Cookie`). An address in brackets is an IPv6 address without a zone, because no other
    /// address can be connected to.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let end = match text.strip_prefix('[') {
            Some(_) => text.find(']')? + 1,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at_checked(end)?;
        let valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_name(host.as_bytes()),
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) => Some(parse_port(digits)?),
        };
        valid.then_some(Self { host, port })
    }
}

/// The host of the `Host` field, without port. `None` if it is invalid.
pub(crate) fn named_host(fields: &impl Fields) -> Option<&str> {
    Authority::parse(fields.value(&HOST)?).map(|authority| authority.host)
}

/// The part of an `http` or `https` URL after its authority, if the authority is the value of `Host`.
/// The scheme is not compared, because only a proxy in front may know which one the visitor used.
pub(crate) fn on_named_host<'a>(url: &'a str, fields: &impl Fields) -> Option<&'a str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    authority.as_bytes().eq_ignore_ascii_case(fields.value(&HOST)?).then_some(path)
}

/// Whether an `Origin` (RFC 6454 section 7) has the value of `Host`, with any scheme.
pub(crate) fn is_named_origin(origin: &[u8], fields: &impl Fields) -> bool {
    core::str::from_utf8(origin).ok().and_then(|origin| on_named_host(origin, fields)) == Some("")
}

/// Normalises a host for comparison: lower case, no trailing dot, IPv6 addresses per RFC 5952.
///
/// Every comparison of a host with a configured one uses this form, on both sides.
pub(crate) fn normalised_host(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(host);
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'))
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Cow::Owned(format!("[{address}]"));
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Parses a host from the config, without port, and returns its [normalised](normalised_host) form.
///
/// IPv6 addresses may lack their brackets. Internationalised names are converted to their ASCII
/// form (UTS #46), as clients send them. `None` if no request can have this host.
pub(crate) fn configured_host(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let ascii = match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) => Cow::Owned(name),
            _ => return None,
        },
    };
    let authority = Authority::parse(ascii.as_bytes())?;
    // Wildcards are handled by the caller, and a colon would start a port.
    let whole = authority.host.len() == ascii.len() && !ascii.contains('*') && ascii != ".";
    whole.then(|| normalised_host(authority.host).into_owned())
}

/// Parses a TCP port other than 0.
fn parse_port(digits: &str) -> Option<u16> {
    // `parse` would accept a sign.
    let decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| decimal && *port != 0)
}

/// Whether these bytes are a registered name or an IPv4 address (`reg-name`) without `,` and `;`.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    after
                }
                _ => return false,
            },
            b'-' | b'.' | b'_' | b'~' => after,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b'=' => after,
            _ if byte.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    !name.is_empty() && name.len() <= MAX_NAME_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn valid_authorities_are_split_into_host_and_port() {
        for (text, host, port) in [
            ("shop.example", "shop.example", None),
            ("SHOP.Example:8443", "SHOP.Example", Some(8443)),
            ("shop.example.", "shop.example.", None),
            ("shop.example:", "shop.example", None),
            ("shop.example:00080", "shop.example", Some(80)),
            ("a:65535", "a", Some(65535)),
            ("my_host-1~x", "my_host-1~x", None),
            ("a..b", "a..b", None),
            ("192.0.2.1:1", "192.0.2.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:443", "[2001:DB8::1]", Some(443)),
            ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", None),
            ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de", None),
            ("a%2Ab.test", "a%2Ab.test", None),
            ("a!$&'()*+=b", "a!$&'()*+=b", None),
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), Some(Authority { host, port }), "{text}");
        }
    }

    #[test]
    fn invalid_authorities_are_rejected() {
        let too_long = "a".repeat(256);
        for text in [
            "",
            ":80",
            ":",
            "a;Secure",
            "a,b",
            "a:b:c",
            "a:80:80",
            "[::1",
            "::1",
            "[]",
            "[::g]",
            "[zz]",
            "[::1]x",
            "[::1]:x",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[1.2.3.4]",
            "a%zz",
            "a%",
            "a%4",
            "%",
            "a:99999",
            "a:65536",
            "a:0",
            "a:-1",
            "a:+1",
            "a:80x",
            "a: 80",
            "a b",
            " a",
            "a ",
            "a\tb",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "user:p@a",
            "a\\b",
            "a\"b",
            "a<b",
            "a>b",
            "a^b",
            "a`b",
            "a{b}",
            "a|b",
            "a[b",
            "a]b",
            "a\u{7f}",
            "a\0",
            "a\r\nb",
            "m\u{fc}nchen.de",
            &too_long,
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Authority::parse(b"a\xff"), None);
    }

    #[test]
    fn configured_hosts_are_normalised_like_request_hosts() {
        for (text, expected) in [
            ("shop.example", Some("shop.example")),
            ("Shop.Example.", Some("shop.example")),
            ("::1", Some("[::1]")),
            ("[2001:DB8:0::1]", Some("[2001:db8::1]")),
            ("m\u{fc}nchen.example", Some("xn--mnchen-3ya.example")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("my_host", Some("my_host")),
            ("shop.example:8080", None),
            ("shop.example:", None),
            ("[::1]:80", None),
            ("http://shop.example", None),
            ("shop.example/x", None),
            ("a*b", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(configured_host(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_configured_host_matches_every_spelling_in_a_request(
            host in "[a-z0-9]{1,5}(\\.[a-z0-9]{1,5}){0,3}|(2001:db8:0:0:0:0:0:[1-9])", dot: bool, upper: bool,
        ) {
            let configured = configured_host(&host).expect("a host");
            let mut sent = if host.contains(':') { format!("[{host}]") } else { host };
            if dot && !sent.ends_with(']') {
                sent.push('.');
            }
            if upper {
                sent.make_ascii_uppercase();
            }
            prop_assert_eq!(&*normalised_host(&sent), configured.as_str());
            prop_assert_eq!(&*normalised_host(&configured), configured.as_str());
        }

        #[test]
        fn valid_hosts_cannot_end_an_attribute_a_list_member_or_a_line(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..6),
                "[a-z0-9.-]{0,4}[,;\"\\\\/?#@<>\r\n %\u{e9}]?[a-z0-9.-]{0,4}(:[0-9]{1,2})?".prop_map(String::into_bytes),
            ],
        ) {
            if let Some(authority) = Authority::parse(&bytes) {
                prop_assert!(authority.host.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!bytes.iter().any(|byte| b",;\"\\/?#@<>".contains(byte)));
            }
        }
    }
}
