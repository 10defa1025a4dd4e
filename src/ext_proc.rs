//! The filter as Envoy's external processor: Envoy forwards, and asks for each head what to change
//! (envoy.service.ext_proc.v3).
//!
//! The same filter as in `proxy`, by the same layer: here what lies behind it is the rest of Envoy. A stream is one
//! request: its head comes, then the head of its response. Whatever cannot be judged ends the stream with an
//! error, on which Envoy, unless it is told otherwise, answers 500.

mod convert;
mod service;

pub use service::Processor;
