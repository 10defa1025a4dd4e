//! Tells the browser to delete cookies that should not be there (RFC 6265bis section 5.7).
//!
//! Only on page loads and bounded in number: the browser deletes at once, so one response is
//! enough, and responses to images or scripts stay cacheable.

use http::HeaderValue;

use super::learned::Place;
use super::state::Filter;
use crate::consent::Consent;
use crate::cookie::Cookies;

/// What is known of the request that the deletions answer.
#[derive(Debug)]
pub(super) struct PageLoad {
    /// The names of cookies without consent that the browser sent, each once.
    pub(super) names: Vec<Box<[u8]>>,
    /// The host, lower-case, without port.
    pub(super) host: Box<str>,
    /// Whether the visitor's side is https.
    pub(super) secure: bool,
}

impl PageLoad {
    /// The `Set-Cookie` values that delete the cookies: where they are known to live, else
    /// everywhere they could.
    pub(super) fn deletions(&self, filter: &Filter) -> Vec<HeaderValue> {
        let most = filter.settings.expire.max_per_response;
        let mut lines = Vec::new();
        for name in &self.names {
            let known = filter.learned.places(name).map(|places| self.known_places(name, &places));
            match known.filter(|lines| !lines.is_empty()) {
                Some(known) => lines.extend(known),
                None => self.guessed_places(name, &mut lines),
            }
            if lines.len() >= most {
                lines.truncate(most);
                break;
            }
        }
        lines
    }

    fn known_places(&self, name: &[u8], places: &[Place]) -> Vec<HeaderValue> {
        let mut lines: Vec<HeaderValue> = Vec::new();
        for place in places {
            let domain = place.domain.as_deref();
            if domain.is_some_and(|domain| !below(self.host.as_bytes(), domain)) {
                continue;
            }
            let secure = self.secure || place.secure || place.partitioned;
            let line = deletion(name, domain, &place.path, secure, place.partitioned);
            lines.extend(line.filter(|line| !lines.contains(line)));
        }
        lines
    }

    /// Host-only and each parent domain up to the registrable one, path `/`.
    fn guessed_places(&self, name: &[u8], lines: &mut Vec<HeaderValue>) {
        let prefixed = |prefix: &[u8]| {
            name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        let host_only = prefixed(b"__Host-");
        let secure = self.secure || host_only || prefixed(b"__Secure-") || prefixed(b"__Http-");
        lines.extend(deletion(name, None, b"/", secure, false));
        if host_only {
            return;
        }
        let Some(registrable) = registrable_domain(&self.host) else { return };
        let mut domain: &str = &self.host;
        loop {
            lines.extend(deletion(name, Some(domain.as_bytes()), b"/", secure, false));
            if domain.len() <= registrable.len() {
                return;
            }
            match domain.split_once('.') {
                Some((_, parent)) => domain = parent,
                None => return,
            }
        }
    }
}

impl Filter {
    /// The `Set-Cookie` values that delete what a consent does not allow: cookies that the browser sent,
    /// and those that this site is known to set, wherever they live. None while observing.
    ///
    /// `host` is the visitor's, without port; `secure` says whether the visitor's side is https.
    pub fn deletions(
        &self,
        consent: &Consent,
        sent: &Cookies<'_>,
        host: &str,
        secure: bool,
    ) -> Vec<HeaderValue> {
        if !self.enforces() {
            return Vec::new();
        }
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let learned = self.learned.names();
        let sent = sent.pairs().map(|pair| pair.name.into());
        for name in sent.chain(learned) {
            let permitted = self.settings.policy.cookie(&name, consent).permitted;
            if !permitted && !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        PageLoad { names, host: host.to_ascii_lowercase().into(), secure }.deletions(self)
    }
}

/// The registrable domain of a host by the public suffix list; none for addresses, for single
/// labels and for public suffixes themselves.
pub(super) fn registrable_domain(host: &str) -> Option<&str> {
    if host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') || !host.contains('.') {
        return None;
    }
    psl::domain_str(host)
}

/// Whether `host` is `domain` or below it (RFC 6265bis section 5.1.3).
fn below(host: &[u8], domain: &[u8]) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
}

fn deletion(
    name: &[u8],
    domain: Option<&[u8]>,
    path: &[u8],
    secure: bool,
    partitioned: bool,
) -> Option<HeaderValue> {
    let mut line = name.to_vec();
    line.extend_from_slice(b"=; Max-Age=0; Path=");
    line.extend_from_slice(path);
    if let Some(domain) = domain {
        line.extend_from_slice(b"; Domain=");
        line.extend_from_slice(domain);
    }
    if secure {
        line.extend_from_slice(b"; Secure");
    }
    if partitioned {
        line.extend_from_slice(b"; Partitioned");
    }
    HeaderValue::from_bytes(&line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(name: &str, host: &str, secure: bool) -> Vec<String> {
        let page = PageLoad { names: vec![], host: host.into(), secure };
        let mut lines = Vec::new();
        page.guessed_places(name.as_bytes(), &mut lines);
        lines.iter().map(|line| line.to_str().expect("ASCII").to_owned()).collect()
    }

    #[test]
    fn a_cookie_of_unknown_place_is_deleted_everywhere_it_could_live() {
        assert_eq!(
            guessed("_ga", "www.shop.example.co.uk", false),
            [
                "_ga=; Max-Age=0; Path=/",
                "_ga=; Max-Age=0; Path=/; Domain=www.shop.example.co.uk",
                "_ga=; Max-Age=0; Path=/; Domain=shop.example.co.uk",
                "_ga=; Max-Age=0; Path=/; Domain=example.co.uk",
            ]
        );
    }

    #[test]
    fn no_domain_is_named_for_addresses_single_labels_and_public_suffixes() {
        for host in ["127.0.0.1", "[::1]", "::1", "localhost", "github.io", "co.uk"] {
            assert_eq!(guessed("_ga", host, false), ["_ga=; Max-Age=0; Path=/"], "{host}");
        }
    }

    #[test]
    fn prefixes_bring_the_attributes_that_they_demand() {
        assert_eq!(
            guessed("__host-x", "a.example.com", false),
            ["__host-x=; Max-Age=0; Path=/; Secure"]
        );
        assert_eq!(
            guessed("__Secure-x", "example.com", false),
            [
                "__Secure-x=; Max-Age=0; Path=/; Secure",
                "__Secure-x=; Max-Age=0; Path=/; Domain=example.com; Secure"
            ]
        );
    }

    #[test]
    fn a_known_place_is_deleted_with_its_own_attributes_and_foreign_domains_are_left_out() {
        let page = PageLoad { names: vec![], host: "a.example.com".into(), secure: false };
        let place = |domain: Option<&str>, path: &str, partitioned| Place {
            domain: domain.map(|domain| domain.as_bytes().into()),
            path: path.as_bytes().into(),
            secure: false,
            partitioned,
        };
        let places = [
            place(Some("example.com"), "/", false),
            place(None, "/shop", true),
            place(Some("b.example.com"), "/", false),
            place(Some("ample.com"), "/", false),
        ];
        let lines = page.known_places(b"x", &places);
        assert_eq!(
            lines,
            [
                "x=; Max-Age=0; Path=/; Domain=example.com",
                "x=; Max-Age=0; Path=/shop; Secure; Partitioned"
            ]
        );
    }
}
