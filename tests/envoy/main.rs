//! The black-box tests with Envoy in place of the proxy, and consentry as its external processor. The expected results are
//! the same.
//!
//! `make test` installs Envoy. The tests fail if it is missing.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../blackbox/beacons.rs"]
mod beacons;
mod chain;
#[path = "../blackbox/cookies.rs"]
mod cookies;
mod differential;
mod engine;
mod rolling;
mod streams;
#[path = "../blackbox/support/mod.rs"]
mod support;
#[path = "../blackbox/url_identifiers.rs"]
mod url_identifiers;
