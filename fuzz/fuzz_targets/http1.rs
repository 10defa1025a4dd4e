//! consentry's HTTP/1.1 parsers, compiled from the library's files, because the library does not export them.

#![allow(dead_code)]

#[path = "../../src/http/chunked.rs"]
pub mod chunked;
#[path = "../../src/http/framing.rs"]
pub mod framing;
#[path = "../../src/http/head.rs"]
pub mod head;
