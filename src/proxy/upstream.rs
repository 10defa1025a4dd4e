//! Upstream side: load balancing, health, connection pools and HTTP clients.
//!
//! `load_balancer` selects the upstream of a request. `client`, `http1_connection` and `http2_ping`
//! implement the protocols on its connections.

pub(crate) mod client;
pub(crate) mod failure;
pub(crate) mod health_check;
pub(crate) mod http1_connection;
pub(crate) mod http2_ping;
pub(crate) mod load_balancer;
pub(crate) mod pool;
pub(crate) mod retry_budget;
pub(crate) mod upstream_health;
