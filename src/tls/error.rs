//! Errors of certificates, keys and authorities.

use thiserror::Error;

use crate::consent::CookieKeysError;

/// Why certificates, keys or authorities are invalid.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The text has no certificate.
    #[error("no certificate found (PEM, `BEGIN CERTIFICATE`)")]
    NoCertificate,
    /// The text has no private key.
    #[error("no private key found (PEM, `BEGIN PRIVATE KEY`)")]
    NoKey,
    /// The text is not valid PEM.
    #[error("invalid PEM")]
    NotPem,
    /// The certificate is invalid.
    #[error("invalid certificate")]
    BadCertificate,
    /// The type of the private key is not supported.
    #[error("invalid or unsupported private key")]
    BadKey,
    /// The private key does not match the certificate.
    #[error("the private key does not match the certificate")]
    WrongKey,
    /// The ticket key file is invalid.
    #[error(transparent)]
    TicketKeys(#[from] CookieKeysError),
    /// The certificate authorities are invalid.
    #[error("invalid CA certificates")]
    BadAuthority,
    /// The crypto provider does not support the TLS versions.
    #[error("cannot set up TLS")]
    Setup,
}
