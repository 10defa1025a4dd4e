//! Config parsing of arbitrary text: nothing panics, and errors are reported.

#![no_main]

use consentry::config::{self, Overrides};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Other files belong to the system: a fuzzer must not open paths.
    if ["file", "catalogue", "lists", "locales", "cert", "key", "cache", "unix", "sqlite", "ca"].iter().any(|name| text.contains(name)) {
        return;
    }
    if let Err(error) = config::parse(text, None, &Overrides::default()) {
        assert!(!error.to_string().is_empty());
    }
});
