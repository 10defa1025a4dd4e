//! Client side: listeners, PROXY protocol, TLS, workers, and client connections over HTTP/1.1 and
//! HTTP/2.
//!
//! `listener` accepts a connection and hands it to a worker of `worker_pool`. `connection` serves
//! it and calls `request::handler` once per request.

pub(crate) mod activity;
pub(crate) mod activity_stream;
pub(crate) mod client_body;
pub(crate) mod client_stream;
pub(crate) mod connection;
pub(crate) mod connection_state;
pub(crate) mod http1_client;
pub(crate) mod http1_connection;
pub(crate) mod http1_request;
pub(crate) mod http1_response;
pub(crate) mod http1_session;
pub(crate) mod listener;
pub(crate) mod proxy_protocol;
pub(crate) mod send_gate;
pub(crate) mod tls;
pub(crate) mod worker;
pub(crate) mod worker_pool;
pub(crate) mod write_coalescer;
