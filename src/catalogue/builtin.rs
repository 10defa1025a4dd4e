//! The built-in catalogue: the files of `config/catalogue/`, embedded when consentry is built.
//!
//! The text is read by `config`, like a catalogue file of the user's.

macro_rules! embedded {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../config/catalogue/", $file)))),*]
    };
}

/// Name and text of each embedded file.
pub const FILES: &[(&str, &str)] = embedded![
    "advertising.toml",
    "analytics.toml",
    "applications.toml",
    "beacons.toml",
    "consent.toml",
    "frameworks.toml",
    "functional.toml",
    "hosts.toml",
    "infrastructure.toml",
    "sessions.toml",
    "sign_in.toml",
    "social.toml",
];
