//! HTTP reverse proxy: listeners, connections and request forwarding.
//!
//! `downstream` has the client side, `upstream` the upstream side, and `request` the steps between
//! them. On the request path only `proxy` performs I/O.

mod date;
mod deadline;
mod downstream;
mod http1_body;
mod http1_io;
mod request;
mod site_router;
mod socket_io;
mod upstream;

pub(crate) use downstream::listener::Listener;
pub(crate) use downstream::worker_pool::WorkerPool;
#[cfg(feature = "ext-proc")]
pub(crate) use downstream::write_coalescer::CoalescingStream;
pub(crate) use site_router::{ForwardSettings, NotFound, Site, SiteRouter, Snapshot};
pub(crate) use upstream::health_check::watch_health;
pub(crate) use upstream::pool::{UpstreamHandshake, UpstreamPool};
