//! consentry between real peers: a site with nginx and PHP behind it, and Chromium, curl, h2load and a caching
//! nginx in front. Prometheus' own tool checks the metrics.
//!
//! `make test` installs the peers. A missing peer fails its tests. No test is skipped.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod acme;
mod banner;
mod browser;
mod cache;
mod consent_tools;
mod container;
mod dashboard;
mod decide;
mod deletions;
mod deploy;
mod differential;
mod disguises;
mod faults;
mod fields;
mod forging;
mod grpc;
mod hosts;
mod kubernetes;
mod logins;
mod metrics;
mod nginx;
mod odd_cookies;
mod postgres;
mod readme;
mod receipts;
mod site;
#[path = "../blackbox/support/mod.rs"]
#[allow(dead_code)]
mod support;
mod tags;
mod tls;
mod ways;
