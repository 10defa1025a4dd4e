//! TLS for connections to servers: upstreams, the receipt database and the ACME server.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::error::TlsError;
use super::identity::Identity;

/// TLS settings for a server. By default the server's certificate is verified against the public
/// web authorities.
#[derive(Debug, Clone, Default)]
pub struct UpstreamTls {
    /// The trusted authorities; `None` for the public web authorities.
    pub authorities: Option<Arc<RootCertStore>>,
    /// The client certificate, for servers that request one.
    pub identity: Option<Identity>,
    /// The name for SNI and verification, if it differs from the server's host.
    pub server_name: Option<ServerName<'static>>,
    /// Skip certificate verification. Allows man-in-the-middle attacks.
    pub insecure: bool,
    /// Offer HTTP/2 to the server.
    pub http2: bool,
}

impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        let Self { authorities, identity, server_name, insecure, http2 } = self;
        let roots = authorities.as_ref().map(|store| &store.roots);
        let other_roots = other.authorities.as_ref().map(|store| &store.roots);
        // The private key need not be compared: a certificate chain has only one.
        let chain = identity.as_ref().map(|identity| &identity.key.cert);
        let other_chain = other.identity.as_ref().map(|identity| &identity.key.cert);
        (roots, chain, server_name, insecure, http2)
            == (other_roots, other_chain, &other.server_name, &other.insecure, &other.http2)
    }
}

impl UpstreamTls {
    /// Creates the rustls config. `protocols` are offered by ALPN (RFC 7301).
    ///
    /// # Errors
    /// If the crypto provider does not support the TLS versions.
    pub fn client_config(&self, protocols: &[&[u8]]) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::Setup)?;
        let builder = if self.insecure {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
        } else {
            let public = || {
                let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
                Arc::new(RootCertStore::from_iter(roots))
            };
            builder.with_root_certificates(self.authorities.clone().unwrap_or_else(public))
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let resolver = SingleCertAndKey::from(Arc::clone(&identity.key));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

/// Certificate verifier that accepts any certificate. Handshake signatures are still verified.
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl fmt::Debug for AcceptAnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptAnyCertificate")
    }
}

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
