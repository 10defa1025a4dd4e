//! Consent sources: one adapter per tool that writes a consent cookie, each in its own file.

mod consentry;

pub(crate) use consentry::parse_date;
pub use consentry::{Native, NativeCookie, NativeCookieError};

pub use super::source::{ConsentSource, Reading, SourceDecision};

/// The names of all adapters.
pub const NAMES: &[&str] = &["consentry"];

/// The adapter of this name.
pub fn find(name: &str) -> Option<Box<dyn ConsentSource>> {
    match name {
        "consentry" => Some(Box::new(Native)),
        _ => None,
    }
}
