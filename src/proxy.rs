//! From sockets to sockets. The only module on a request's path that does I/O.
//!
//! `listen` accepts and hands each connection to a `worker`; `connection` speaks HTTP with the
//! visitor; `handler` takes one request: finds the site, puts the filter in front of `forward`,
//! which sends the request to an upstream through the `pool`; `error` turns whatever failed into a
//! response, in one place.

mod body;
mod connection;
mod error;
mod forward;
mod handler;
mod headers;
mod listen;
mod pool;
mod site;
mod upgrade;
mod watched;
mod worker;

pub use listen::{BindError, Listener};
pub use pool::Upstream;
pub use site::{Site, SiteTable, Snapshot};
pub use worker::{Worker, Workers};
