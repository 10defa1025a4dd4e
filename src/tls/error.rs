//! What can be wrong with certificates, keys and authorities.

use thiserror::Error;

use crate::consent::CookieKeysError;

/// Why certificates, keys or authorities cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// There is no certificate in the text.
    #[error("no certificate found (PEM, `BEGIN CERTIFICATE`)")]
    NoCertificate,
    /// There is no private key in the text.
    #[error("no private key found (PEM, `BEGIN PRIVATE KEY`)")]
    NoKey,
    /// The text is no PEM.
    #[error("cannot be read as PEM")]
    NotPem,
    /// The certificate is none.
    #[error("the certificate cannot be read")]
    BadCertificate,
    /// The key is of a kind that cannot be used.
    #[error("the private key cannot be used")]
    BadKey,
    /// The key belongs to another certificate.
    #[error("the private key does not match the certificate")]
    WrongKey,
    /// The file of ticket keys is not what it should be.
    #[error(transparent)]
    TicketKeys(#[from] CookieKeysError),
    /// The authorities for clients cannot be used.
    #[error("the authorities cannot be used")]
    BadAuthority,
    /// The versions and the provider do not go together.
    #[error("TLS cannot be set up")]
    Setup,
}
