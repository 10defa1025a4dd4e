//! Black-box tests: the real binary on port 0, a scripted origin, and raw sockets on both sides, over HTTP/1.1 and
//! HTTP/2.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod balancing;
mod beacon_bodies;
mod beacons;
mod bounds;
mod catalogue;
mod centre;
mod client_address;
mod commands;
mod connection_auth;
mod consent_api;
mod cookies;
mod decisions;
mod detection;
mod error_pages;
mod fields;
mod forgery;
mod forwarding;
mod held_back;
mod hostile_origin;
mod hosts;
mod http2;
mod http2_hostile;
mod http2_hostile_origin;
mod http2_idle;
mod http2_retries;
mod lifecycle;
mod load;
mod loops;
mod memory;
mod names;
mod notice;
mod observability;
mod operations;
mod page_kinds;
mod pages;
mod precedence;
mod preferences;
mod presumption;
mod privacy;
mod receipts;
mod reload;
mod reload_settings;
mod rfc9112;
mod robustness;
mod smuggling;
mod sources;
mod support;
mod timeouts;
mod unread_bodies;
mod upgrades;
mod url_identifiers;
