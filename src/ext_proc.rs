//! The filter as an external processor for Envoy (envoy.service.ext_proc.v3): Envoy forwards requests and sends
//! their heads to consentry.
//!
//! The filter is the same as in `proxy`. `server` accepts Envoy's connections, and `service` starts a stream for
//! each request. `stream` answers its messages: the request head, then the response head. A stream that ends before
//! its response was filtered ends with an error. Envoy then rejects the request unless `failure_mode_allow` is set.

mod context;
mod convert;
mod error;
mod mode;
mod server;
mod service;
mod stream;

pub(crate) use server::{Server, Socket};
pub(crate) use service::Processor;
