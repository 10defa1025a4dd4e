//! From sockets to sockets. The only module on a request's path that does I/O.
//!
//! `listen` accepts and hands each connection to one of the `workers`; `connection` speaks HTTP with
//! the visitor; `handler` takes one request: finds the site, puts the filter in front of `forward`,
//! which sends the request to an upstream (`exchange`, `pool`); `error` turns whatever failed into a
//! response, in one place.

mod activity;
mod admission;
mod balance;
mod client_body;
mod connection;
mod date;
mod error;
mod exchange;
mod failure;
mod forward;
mod gathered;
mod handler;
mod handshake;
mod headers;
mod health;
mod http1_body;
mod http1_client;
mod http1_connection;
mod http1_io;
mod http1_request;
mod http1_response;
mod http1_session;
mod http1_upstream;
mod listen;
mod patience;
mod pool;
mod proxied;
mod redirect;
mod replay;
mod request_body;
mod response_body;
mod retries;
mod sender;
mod site;
mod socket;
mod socket_io;
mod standing;
mod ticket;
mod together;
mod upgrade;
mod upstream_urls;
mod visitor;
mod watched;
mod worker;
mod workers;

#[cfg(feature = "ext-proc")]
pub(crate) use gathered::Gathered;
pub use health::watch_health;
pub use listen::{BindError, Listener};
pub use pool::{Upstream, UpstreamHandshake};
pub use site::{Forwarding, NotFound, Site, SiteTable, Snapshot};
pub use workers::Workers;
