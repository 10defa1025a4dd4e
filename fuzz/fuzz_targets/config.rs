//! A config of arbitrary text: nothing panics, and what is wrong is said.

#![no_main]

use consentry::config::{self, Overrides};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    // What it reads besides is the system's: paths are not for a fuzzer to try.
    if ["file", "catalogue", "lists", "locales", "cert", "key", "cache", "unix", "sqlite", "ca"].iter().any(|name| text.contains(name)) {
        return;
    }
    if let Err(error) = config::parse(text, None, &Overrides::default()) {
        assert!(!error.to_string().is_empty());
    }
});
