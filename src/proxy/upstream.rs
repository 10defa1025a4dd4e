//! The upstreams' side: which upstream gets a request (`load_balancer`), its health, its pooled connections, and what is
//! spoken on them (`client`, `http1_connection`, `http2_ping`).

pub(crate) mod client;
pub(crate) mod failure;
pub(crate) mod health_check;
pub(crate) mod http1_connection;
pub(crate) mod http2_ping;
pub(crate) mod load_balancer;
pub(crate) mod pool;
pub(crate) mod retry_budget;
pub(crate) mod upstream_health;
