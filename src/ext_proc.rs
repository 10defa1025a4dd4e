//! The filter as Envoy's external processor: Envoy forwards, and sends each head here (envoy.service.ext_proc.v3).
//!
//! The same filter as in `proxy`. `server` accepts Envoy's connections, `service` begins a stream for each request, and
//! `stream` answers its messages: the request's head, then the head of its response. A stream that ends before its
//! response was judged ends with an error, and Envoy rejects the request unless `failure_mode_allow` is set.

mod account;
mod convert;
mod error;
mod mode;
mod server;
mod service;
mod stream;

pub use server::{Server, Socket};
pub use service::Processor;
