//! HMAC-SHA256 signatures of the native consent cookie (RFC 2104).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use thiserror::Error;

/// Minimum length of a key, in characters.
const MIN_KEY_LENGTH: usize = 32;
/// Maximum number of keys: verification may try all of them for each cookie.
const MAX_KEYS: usize = 8;
/// Prefix of every signed message. Signatures of other messages with the same key are therefore
/// never valid.
const CONTEXT: &[u8] = b"consentry consent cookie\0";
/// Prefix of the message for tokens in forms.
const FORM: &[u8] = b"consentry form token\0";
/// Prefix of the message for tags in affinity cookies.
const AFFINITY: &[u8] = b"consentry affinity cookie\0";

/// Signing keys, shared by all replicas. The first one signs, all of them verify.
#[derive(Clone)]
pub struct CookieKeys(Vec<hmac::Key>);

impl fmt::Debug for CookieKeys {
    /// Shows the number of keys only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieKeys").field(&self.0.len()).finish()
    }
}

/// Why a key file is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CookieKeysError {
    /// The system random number generator failed.
    #[error("the system provides no random numbers")]
    Random,
    /// An invalid line, by its number.
    #[error(
        "line {0} is not a key: a key has 32 or more printable ASCII characters without spaces"
    )]
    Key(usize),
    /// No keys.
    #[error("no key found: one line each, of 32 or more printable ASCII characters")]
    Empty,
    /// Too many keys.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

impl CookieKeys {
    /// Parses keys, one per line, with the signing key first. Empty lines and lines that start with
    /// `#` are ignored.
    ///
    /// # Errors
    /// If a key is shorter than 32 characters or not printable ASCII, or if there are no keys or
    /// more than 8.
    pub fn parse(text: &str) -> Result<Self, CookieKeysError> {
        let key = |line: &str| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes());
        Ok(Self(key_lines(text)?.into_iter().map(key).collect()))
    }

    /// A random key.
    ///
    /// # Errors
    /// If the system random number generator fails.
    pub fn random() -> Result<Self, CookieKeysError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self(vec![key.map_err(|_| CookieKeysError::Random)?]))
    }

    /// The number of keys.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The signature of a value, in base64url without padding.
    pub(super) fn sign(&self, value: &str) -> Option<String> {
        self.tag(CONTEXT, value.as_bytes())
    }

    /// Whether one of the keys made this signature.
    pub(super) fn verify(&self, value: &str, signature: &str) -> bool {
        self.is_tag(CONTEXT, value.as_bytes(), signature)
    }

    /// The token of a form for a visitor with these properties.
    pub(crate) fn form_token(&self, visitor: &[u8]) -> Option<String> {
        self.tag(FORM, visitor)
    }

    /// Whether one of the keys made this token for a visitor with these properties.
    pub(crate) fn is_form_token(&self, visitor: &[u8], token: &str) -> bool {
        self.is_tag(FORM, visitor, token)
    }

    /// The tag of the first key, in base64url without padding.
    fn tag(&self, context: &[u8], value: &[u8]) -> Option<String> {
        let tag = hmac::sign(self.0.first()?, &[context, value].concat());
        Some(URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether one of the keys made this tag. Takes constant time per key.
    fn is_tag(&self, context: &[u8], value: &[u8], tag: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return false };
        let message = [context, value].concat();
        self.0.iter().any(|key| hmac::verify(key, &message, &tag).is_ok())
    }

    /// The tags of an upstream in affinity cookies, one per key. A tag is 128 bits in base64url,
    /// and does not reveal the upstream without the key.
    pub fn affinity_tags(&self, upstream: &str) -> Vec<String> {
        let message = [AFFINITY, upstream.as_bytes()].concat();
        let tag = |key| {
            let tag = hmac::sign(key, &message);
            URL_SAFE_NO_PAD.encode(tag.as_ref().get(..16).unwrap_or_default())
        };
        self.0.iter().map(tag).collect()
    }
}

/// The keys in the text of a key file, one per line. Empty lines and lines that start with `#` are
/// ignored.
///
/// # Errors
/// If a key is shorter than 32 characters or not printable ASCII, or if there are no keys or more
/// than 8.
pub(crate) fn key_lines(text: &str) -> Result<Vec<&str>, CookieKeysError> {
    let mut keys = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.len() < MIN_KEY_LENGTH || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CookieKeysError::Key(index + 1));
        }
        keys.push(line);
    }
    match keys.len() {
        0 => Err(CookieKeysError::Empty),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(CookieKeysError::TooMany),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn keys(text: &str) -> CookieKeys {
        CookieKeys::parse(text).expect("valid keys")
    }

    #[test]
    fn the_first_key_signs_and_every_key_verifies() {
        let signed = keys(OLD).sign("value").expect("signs");
        assert_eq!(signed.len(), 43);
        let rotated = keys(&format!("# the new one\n{NEW}\n\n {OLD} \r\n"));
        assert_eq!(rotated.count(), 2);
        assert!(rotated.verify("value", &signed));
        assert_ne!(rotated.sign("value"), Some(signed.clone()));
        assert!(!keys(OLD).verify("value", &rotated.sign("value").expect("signs")));
        assert!(!keys(OLD).verify("Value", &signed));
        assert!(!rotated.is_form_token(b"value", &signed), "each kind of message has its own tags");
        let token = rotated.form_token(b"value").expect("signs");
        assert!(rotated.is_form_token(b"value", &token) && !rotated.is_form_token(b"", &token));
        assert!(!rotated.verify("value", &token) && !keys(OLD).is_form_token(b"value", &token));
        for forged in ["", "A", &signed[1..], &"A".repeat(43), &format!("{signed}="), "*"] {
            assert!(!rotated.verify("value", forged), "{forged}");
        }
    }

    #[test]
    fn invalid_keys_are_rejected_with_their_line() {
        assert_eq!(CookieKeys::parse("").err(), Some(CookieKeysError::Empty));
        assert_eq!(CookieKeys::parse("# nothing\n").err(), Some(CookieKeysError::Empty));
        assert_eq!(CookieKeys::parse("\nshort").err(), Some(CookieKeysError::Key(2)));
        let spaced = format!("{OLD} {NEW}");
        assert_eq!(CookieKeys::parse(&spaced).err(), Some(CookieKeysError::Key(1)));
        let many = format!("{OLD}\n").repeat(9);
        assert_eq!(CookieKeys::parse(&many).err(), Some(CookieKeysError::TooMany));
    }

    #[test]
    fn keys_never_appear_in_debug_output() {
        assert_eq!(format!("{:?}", keys(OLD)), "CookieKeys(1)");
    }
}
