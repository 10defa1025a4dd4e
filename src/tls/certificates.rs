//! Certificate selection by SNI: the certificate for the requested name, or else the first one.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::identity::Identity;

/// The ALPN protocol of a TLS-ALPN-01 challenge (RFC 8737 section 6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Certificates by name.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Keyed by the part of the name after the first dot.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
    asked_for: Option<AcmeCertificate>,
}

/// A certificate issued and renewed at run time (ACME, RFC 8555).
#[derive(Debug, Clone)]
pub(crate) struct AcmeCertificate {
    /// The names of the certificate, in lower case.
    pub domains: Vec<String>,
    /// The resolver that has the certificate and answers challenges (TLS-ALPN-01, RFC 8737).
    pub resolver: Arc<dyn ResolvesServerCert>,
}

impl Certificates {
    /// Indexes certificates by their names. The first certificate for a name wins. The first of all
    /// is the default for other names and for clients without SNI.
    pub(crate) fn new<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> Self {
        let mut certificates = Self::default();
        for identity in identities {
            certificates.default.get_or_insert_with(|| Arc::clone(&identity.key));
            for name in &identity.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut certificates.wildcards, parent),
                    None => (&mut certificates.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_insert_with(|| Arc::clone(&identity.key));
            }
        }
        certificates
    }

    /// Adds an ACME certificate. Certificates from files have priority.
    pub(crate) fn with_asked_for(self, asked_for: Option<AcmeCertificate>) -> Self {
        Self { asked_for, ..self }
    }

    /// Whether TLS-ALPN-01 challenges are expected.
    pub(super) fn are_asked_for(&self) -> bool {
        self.asked_for.is_some()
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.exact.get(name).or_else(|| self.wildcards.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls has converted the name to lower case and removed a trailing dot.
        let name = hello.server_name();
        if let Some(AcmeCertificate { domains, resolver }) = &self.asked_for {
            let mut offered = hello.alpn().into_iter().flatten();
            let ours = name.is_some_and(|name| domains.iter().any(|domain| domain == name));
            let found = name.and_then(|name| self.find(name)).is_some();
            if offered.any(|protocol| protocol == ACME_TLS) || (ours && !found) {
                return resolver.resolve(hello);
            }
        }
        let named = name.and_then(|name| self.find(name));
        match (named.or(self.default.as_ref()), &self.asked_for) {
            (None, Some(asked_for)) => asked_for.resolver.resolve(hello),
            (found, _) => found.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::TlsError;

    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn identity(names: &[&str]) -> Identity {
        let (certificate, key) = made(names);
        Identity::parse(certificate.as_bytes(), key.as_bytes()).expect("they belong together")
    }

    #[test]
    fn exact_names_win_over_wildcards_and_a_wildcard_covers_one_label() {
        let all = [
            identity(&["default.test"]),
            identity(&["*.shop.test", "shop.test"]),
            identity(&["a.shop.test"]),
        ];
        let certificates = Certificates::new(&all);
        let found = |name: &str| {
            let key = certificates.find(name)?;
            all.iter().position(|identity| Arc::ptr_eq(&identity.key, key))
        };
        for (name, expected) in [
            ("a.shop.test", Some(2)),
            ("b.shop.test", Some(1)),
            ("shop.test", Some(1)),
            ("x.b.shop.test", None),
            ("default.test", Some(0)),
            ("other.test", None),
            ("test", None),
        ] {
            assert_eq!(found(name), expected, "{name}");
        }
        assert!(certificates.default.as_ref().is_some_and(|key| Arc::ptr_eq(key, &all[0].key)));
    }

    #[test]
    fn mismatched_and_invalid_certificates_and_keys_are_errors() {
        let (certificate, key) = made(&["a.test"]);
        let (_, other) = made(&["b.test"]);
        let parse = |certificate: &str, key: &str| {
            Identity::parse(certificate.as_bytes(), key.as_bytes()).map(|_| ())
        };
        assert!(parse(&certificate, &key).is_ok());
        assert!(matches!(parse(&certificate, &other), Err(TlsError::WrongKey)));
        assert!(matches!(parse(&key, &key), Err(TlsError::NoCertificate)));
        assert!(matches!(parse(&certificate, &certificate), Err(TlsError::NoKey)));
        assert!(matches!(parse("", &key), Err(TlsError::NoCertificate)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(parse(broken, &key), Err(TlsError::BadCertificate)));
        assert!(!format!("{:?}", identity(&["a.test"])).contains("PRIVATE"));
    }

    #[test]
    fn the_first_of_two_certificates_for_a_name_wins() {
        let all = [
            identity(&["a.test", "*.b.test"]),
            identity(&["*.b.test", "a.test", "c.test"]),
            identity(&["c.test"]),
        ];
        let certificates = Certificates::new(&all);
        for (name, expected) in [("a.test", 0), ("x.b.test", 0), ("c.test", 1)] {
            let found = certificates.find(name).expect("a certificate");
            assert!(Arc::ptr_eq(found, &all[expected].key), "{name}");
        }
    }
}
