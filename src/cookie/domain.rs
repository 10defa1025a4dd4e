//! Domains that a host can set cookies for (RFC 6265bis sections 5.1.3 and 5.7).

/// Maximum length of a host name, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// The registrable domain of a host, by the public suffix list. `None` for IP addresses, single
/// labels, public suffixes and names with a trailing dot, which can only have host-only cookies.
pub fn registrable_domain(host: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let (_, last) = host.rsplit_once('.')?;
    // A numeric last label means an IPv4 address.
    let is_name = host.bytes().all(plain)
        && host.split('.').all(|label| !label.is_empty())
        && !last.bytes().all(|byte| byte.is_ascii_digit());
    psl::domain_str(host).filter(|_| is_name)
}

/// Every possible `Domain` of a host's cookies: the host itself and each parent domain up to the
/// registrable one.
pub fn cookie_domains(host: &str) -> impl Iterator<Item = &str> {
    let registrable = registrable_domain(host).filter(|_| host.len() <= MAX_HOST_BYTES);
    std::iter::successors(registrable.map(|_| host), move |domain| match domain.split_once('.') {
        Some((_, above)) if Some(*domain) != registrable => Some(above),
        _ => None,
    })
}

/// Whether `host` is `domain` or a subdomain of it.
pub fn domain_matches(host: &[u8], domain: &[u8]) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_under_a_public_suffix_have_a_registrable_domain() {
        for (host, expected) in [
            ("www.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("com", None),
            ("co.uk", None),
            ("github.io", None),
            ("localhost", None),
            ("www.example.com.", None),
            ("com.", None),
            (".example.com", None),
            ("www..example.com", None),
            ("127.0.0.1", None),
            ("[::1]", None),
            ("::1", None),
            ("a;Secure.example.com", None),
            ("", None),
        ] {
            assert_eq!(registrable_domain(host), expected, "{host}");
        }
    }

    #[test]
    fn a_host_can_set_cookies_for_itself_and_its_parent_domains() {
        let domains = |host| cookie_domains(host).collect::<Vec<_>>();
        assert_eq!(
            domains("a.b.example.co.uk"),
            ["a.b.example.co.uk", "b.example.co.uk", "example.co.uk"]
        );
        assert_eq!(domains("example.com"), ["example.com"]);
        assert!(domains("localhost").is_empty() && domains("127.0.0.1").is_empty());
        assert!(domains(&format!("{}example.com", "a.".repeat(200))).is_empty());
    }

    #[test]
    fn a_host_matches_its_own_domain_and_parent_domains_at_a_dot() {
        let matches = |host: &str, domain: &str| domain_matches(host.as_bytes(), domain.as_bytes());
        assert!(
            matches("a.example.com", "a.example.com") && matches("a.example.com", "example.com")
        );
        assert!(!matches("a.example.com", "ample.com") && !matches("example.com", "a.example.com"));
    }
}
