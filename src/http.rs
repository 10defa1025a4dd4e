//! HTTP syntax without I/O: message heads, framing, hosts, request targets, forwarding fields,
//! `Via`, authentication schemes, lists, parameters, queries, links, `Cache-Control`, Fetch Metadata and
//! dates.
//!
//! The lowest module. Decisions before the site lookup are made here, on bytes and header maps.
//! Every protocol version and every integration therefore gets the same result.

pub(crate) mod body;
mod cache_control;
pub(crate) mod chunked;
mod client;
mod connection_auth;
mod date;
mod fetch_metadata;
mod field_list;
mod field_names;
mod fields;
mod forwarded;
pub(crate) mod framing;
pub(crate) mod head;
mod host;
mod links;
mod message;
mod parameters;
mod query;
mod target;
mod via;

pub(crate) use cache_control::{has_directive, make_private, mark_private};
pub use client::ForwardedFor;
pub(crate) use client::{Client, Peer, network};
pub(crate) use connection_auth::binds_connection;
pub(crate) use date::{parse_date, parse_rfc3339, parse_time, rfc3339};
pub(crate) use fetch_metadata::{
    Destination, SEC_FETCH_DEST, SEC_FETCH_MODE, SEC_FETCH_SITE, is_navigation, is_swapped_in,
};
pub(crate) use field_list::{
    has_member, join_cookies, joined_cookies, members, members_of, split_outside_quotes,
};
pub(crate) use field_names::{folds_to, is_forwarding};
pub(crate) use fields::{Change, FieldSection, Fields, to_map};
#[cfg(feature = "ext-proc")]
pub(crate) use forwarded::forwarded_scheme_is_secure;
pub(crate) use host::{
    Authority, configured_host, is_named_origin, named_host, normalised_host, on_named_host,
};
pub(crate) use links::{links, split_link, split_refresh};
pub(crate) use message::{RawTarget, Request, Response};
pub(crate) use parameters::{parameter, split_value, without_parameters};
pub(crate) use query::{QueryEdit, query_parameters, split_query};
pub(crate) use target::{RequestTarget, TargetError};
pub(crate) use via::Via;
