//! Names of forwarding fields, and names that applications cannot distinguish.

use super::fields::FieldSection;

/// Name prefixes for fields in which proxies describe the client or the original request.
const PREFIXES: [&str; 11] = [
    "cloudfront-viewer-",
    "x-forwarded",
    "forwarded",
    "x-original-",
    "x-originating-",
    "x-rewrite-",
    "x-real-",
    // Client certificates (RFC 9440 section 2, nginx, HAProxy).
    "client-cert",
    "x-client-cert",
    "x-ssl-client-",
    "ssl-client-",
];

/// Name suffixes for fields with the client's address: `True-Client-IP`, `CF-Connecting-IP`,
/// `X-Cluster-Client-IP`, `WL-Proxy-Client-IP`, `Fastly-Client-IP`, `X-Azure-ClientIP`,
/// `X-Envoy-External-Address` and similar.
const SUFFIXES: [&str; 10] = [
    "client-ip",
    "clientip",
    "connecting-ip",
    "connecting-ipv6",
    "connection-ip",
    "real-ip",
    "remote-ip",
    "remote-addr",
    "socketip",
    "external-address",
];

/// Further suffixes of forwarding fields with an address: `X-AppEngine-User-IP`, `CDN-Src-IP`, `X-Original-Forwarded-For`.
const ADDRESS_SUFFIXES: [&str; 4] = ["-ip", "forwarded-for", "forwarded-for-original", "-address"];

/// Forwarding fields of individual proxies and servers.
const NAMES: [&str; 15] = [
    "ali-cdn-real-ip",
    "cdn-src-ip",
    "cf-ipcountry",
    "cf-pseudo-ipv4",
    "cf-visitor",
    "front-end-https",
    "x-appengine-user-ip",
    "x-arr-clientcert",
    "x-arr-ssl",
    "x-envoy-internal",
    "x-envoy-original-path",
    "x-host",
    "x-http-host-override",
    "x-scheme",
    "x-url-scheme",
];

/// Whether only a proxy may set this field. The name must be in lower case, with `-` between words.
pub(crate) fn is_forwarding(name: &str) -> bool {
    // Fast path: the first and the last letter rule out most names that browsers send.
    let (first, last) = (name.bytes().next(), name.bytes().last());
    let may_begin = matches!(first, Some(b'a' | b'c' | b'f' | b's' | b'x'));
    let may_end = matches!(last, Some(b'p' | b'6' | b'r' | b's'));
    if !may_begin && !may_end && memchr::memmem::find(name.as_bytes(), b"-forwarded-").is_none() {
        return false;
    }
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || name.contains("-forwarded-")
        || NAMES.contains(&name)
}

/// Whether two names become the same environment variable in CGI, WSGI, FastCGI or Rack. There `-`,
/// `_` and all other punctuation are equal (RFC 3875 section 4.1.18).
pub(crate) fn folds_to(name: &str, other: &str) -> bool {
    name.bytes().map(folded).eq(other.bytes().map(folded))
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Removes untrusted forwarding fields.
///
/// From an untrusted client all of them are removed. From a trusted proxy only names with
/// punctuation other than `-` are removed: the proxy passed those through without setting them.
pub(super) fn remove_forwarding(fields: &mut FieldSection, trusted: bool) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    fields.remove_where(|name, _| {
        if name.bytes().all(is_plain) {
            return !trusted && is_forwarding(name);
        }
        let name: String = name.bytes().map(|byte| char::from(folded(byte))).collect();
        is_forwarding(&name)
    });
}

/// Removes the fields in which proxies report a client address, except `X-Forwarded-For` and `Forwarded`.
pub(super) fn remove_client_addresses(fields: &mut FieldSection) {
    fields.remove_where(|name, _| has_client_address(name));
}

fn has_client_address(name: &str) -> bool {
    let ends = |suffix: &&str| name.ends_with(suffix);
    match name {
        "x-forwarded-for" | "forwarded" => false,
        "x-forwarded" | "cf-pseudo-ipv4" => true,
        _ => is_forwarding(name) && SUFFIXES.iter().chain(&ADDRESS_SUFFIXES).any(ends),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARDING: [&str; 36] = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-forwarded-scheme",
        "x-forwarded-client-cert",
        "x-forwarded-user",
        "x-forwarded-anything-else",
        "x-forwarded",
        "forwarded",
        "forwarded-for",
        "x-real-ip",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "x-client-ip",
        "client-ip",
        "x-cluster-client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "wl-proxy-client-ip",
        "do-connecting-ip",
        "x-azure-clientip",
        "x-azure-socketip",
        "x-remote-addr",
        "cloudfront-viewer-address",
        "cloudfront-forwarded-proto",
        "x-vercel-forwarded-for",
        "x-envoy-external-address",
        "client-cert-chain",
    ];

    const OTHERS: [&str; 14] = [
        "host",
        "cookie",
        "authorization",
        "user-agent",
        "referer",
        "sec-ch-ua",
        "x-requested-with",
        "x-client-version",
        "x-csrf-token",
        "x-request-id",
        "traceparent",
        "x_custom_field",
        "content-type",
        "priority",
    ];

    fn left(names: &[String], trusted: bool) -> Vec<String> {
        let lines: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let mut fields = FieldSection::from_lines(&lines);
        remove_forwarding(&mut fields, trusted);
        fields.iter().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn an_untrusted_client_sets_no_forwarding_field_in_any_spelling() {
        for name in FORWARDING {
            for spelled in [
                name.to_owned(),
                name.to_uppercase(),
                name.replace('-', "_"),
                name.replacen('-', ".", 1),
            ] {
                assert!(left(&[spelled], false).is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn a_trusted_proxy_sets_forwarding_fields_only_with_dashes() {
        for name in FORWARDING.iter().filter(|name| name.contains('-')) {
            assert_eq!(left(&[(*name).to_owned()], true), [*name]);
            assert!(left(&[name.replace('-', "_")], true).is_empty(), "{name}");
            assert!(left(&[name.replacen('-', "_", 1)], true).is_empty(), "{name}");
        }
    }

    #[test]
    fn fields_with_client_addresses_are_recognized() {
        let without = [
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-server",
            "x-forwarded-ssl",
            "x-forwarded-scheme",
            "x-forwarded-client-cert",
            "x-forwarded-user",
            "x-forwarded-anything-else",
            "x-original-url",
            "x-original-host",
            "x-rewrite-url",
            "cloudfront-forwarded-proto",
            "client-cert-chain",
            "x-forwarded-for",
            "forwarded",
        ];
        for name in FORWARDING.iter().chain(&[
            "x-appengine-user-ip",
            "x-original-forwarded-for",
            "cdn-src-ip",
        ]) {
            assert_eq!(has_client_address(name), !without.contains(name), "{name}");
        }
        for name in OTHERS {
            assert!(!has_client_address(name), "{name}");
        }
    }

    #[test]
    fn other_fields_are_unchanged() {
        let names = OTHERS.map(str::to_owned);
        assert_eq!(left(&names, false), OTHERS);
        assert_eq!(left(&names, true), OTHERS);
    }

    #[test]
    fn names_that_applications_cannot_distinguish_are_equal() {
        for name in ["x-consent", "x_consent", "x.consent"] {
            assert!(folds_to(name, "X-Consent"), "{name}");
        }
        for name in ["x-consents", "xconsent", "x-consen"] {
            assert!(!folds_to(name, "X-Consent"), "{name}");
        }
    }
}
