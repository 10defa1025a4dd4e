//! HTTP syntax without I/O: hosts, request targets, forwarding fields, `Via`, authentication schemes.
//!
//! The lowest module: what the proxy decides about a request before any site is known is decided here, on bytes and
//! header maps, so that every protocol version and every carrier gets the same answer.

pub(crate) mod body;
pub(crate) mod chunked;
mod client;
mod connection_auth;
mod field_list;
mod field_names;
mod fields;
mod forwarded;
pub(crate) mod framing;
pub(crate) mod head;
mod host;
mod message;
mod target;
mod via;

pub(crate) use client::{Client, Peer};
pub(crate) use connection_auth::binds_connection;
pub(crate) use field_list::{join_cookies, joined_cookies};
pub(crate) use field_names::{folds_to, is_forwarding};
pub(crate) use fields::{Change, FieldSection, Fields, to_map};
#[cfg(feature = "ext-proc")]
pub(crate) use forwarded::forwarded_scheme_is_secure;
pub(crate) use host::{Authority, configured_host, normalised_host};
pub(crate) use message::{RawTarget, Request, Response};
pub(crate) use target::{Target, TargetError};
pub(crate) use via::Via;
