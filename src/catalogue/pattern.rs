//! Names with wildcards, as rules write them.

use thiserror::Error;

/// Longest pattern, in octets.
const MAX_PATTERN_OCTETS: usize = 256;

/// A name, or a name with `*` for any run of octets (also an empty one). Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

/// Why a text is not a pattern.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Nothing there.
    #[error("the pattern is empty")]
    Empty,
    /// Longer than any sensible name.
    #[error("the pattern is longer than {MAX_PATTERN_OCTETS} octets")]
    TooLong,
    /// `*` alone would classify everything.
    #[error("the pattern has nothing but `*`: it would match every name")]
    OnlyWildcards,
}

impl Pattern {
    /// Checks and takes a pattern.
    ///
    /// # Errors
    /// When it is empty, longer than 256 octets, or has nothing but `*`.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            Err(PatternError::Empty)
        } else if text.len() > MAX_PATTERN_OCTETS {
            Err(PatternError::TooLong)
        } else if text.bytes().all(|byte| byte == b'*') {
            Err(PatternError::OnlyWildcards)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names exactly one name.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether a name matches.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else { return self.0.as_bytes() == name };
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(name) = name.strip_prefix(prefix.as_bytes()) else { return false };
        let Some(mut name) = name.strip_suffix(suffix.as_bytes()) else { return false };
        middle.split('*').all(|part| match memchr::memmem::find(name, part.as_bytes()) {
            Some(at) => {
                name = name.get(at + part.len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    }

    pub(super) fn literal_octets(&self) -> usize {
        self.0.bytes().filter(|byte| *byte != b'*').count()
    }
}
