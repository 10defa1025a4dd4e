//! TLS for clients and upstreams: certificate selection and rustls configs.
//!
//! This module uses neither sockets nor files. `config`, the next step, reads the files, and
//! `proxy` performs the handshakes.

mod certificates;
mod error;
mod identity;
mod tickets;
mod upstream;

use std::sync::Arc;

use certificates::ACME_TLS;
pub(crate) use certificates::{AcmeCertificate, Certificates};
pub(crate) use error::TlsError;
pub(crate) use identity::Identity;
use rustls::server::{ProducesTickets, ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
pub(crate) use tickets::{TicketKeys, Tickets};
pub(crate) use upstream::UpstreamTls;

/// Certificate authorities for client certificates (mutual TLS).
#[derive(Debug, Clone)]
pub struct ClientAuthorities {
    /// The trusted authorities.
    pub roots: Arc<RootCertStore>,
    /// Clients without a certificate are accepted too.
    pub optional: bool,
}

/// Parses certificate authorities from PEM.
///
/// # Errors
/// If there are none, or one is invalid.
pub(crate) fn authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::NotPem)?;
        roots.add(certificate).map_err(|_| TlsError::BadAuthority)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    Ok(Arc::new(roots))
}

/// Creates the rustls config for client connections.
///
/// The versions are TLS 1.3 and, unless disabled, TLS 1.2. HTTP/2 and HTTP/1.1 are offered by ALPN
/// (RFC 7301). Sessions are resumed with tickets (RFC 8446 section 2.2). OCSP stapling is not
/// supported, because certificate authorities are phasing it out.
///
/// # Errors
/// If the authorities for client certificates are invalid.
pub(crate) fn server_config(
    certificates: Certificates,
    clients: Option<&ClientAuthorities>,
    only_tls_1_3: bool,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    static BOTH: [&SupportedProtocolVersion; 2] =
        [&rustls::version::TLS13, &rustls::version::TLS12];
    static NEWEST: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = if only_tls_1_3 { &NEWEST } else { &BOTH };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|_| TlsError::Setup)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::clone(&clients.roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier =
                if clients.optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|_| TlsError::BadAuthority)?)
        }
    };
    let challenge_protocol = certificates.expects_challenges().then(|| ACME_TLS.to_vec());
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.alpn_protocols.extend(challenge_protocol);
    config.ticketer = tickets;
    Ok(Arc::new(config))
}
