//! The black-box tests of the proxy once more, with Envoy in its place and consentry as its external processor: the
//! answers are the same.
//!
//! `make test` installs Envoy. Where it is missing, the tests fail.

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
