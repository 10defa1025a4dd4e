//! The built-in catalogue: the files in `config/catalogue/`, embedded at build time.
//!
//! `config` parses them like user-supplied catalogue files.

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
    "url_parameters.toml",
    "vendors.toml",
];
