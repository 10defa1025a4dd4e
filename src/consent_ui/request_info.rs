//! Facts about the client of a consent UI request.

use std::net::IpAddr;

/// Facts about the client that are not in the request.
#[derive(Debug, Clone, Copy)]
pub struct RequestInfo {
    /// The client uses HTTPS.
    pub secure: bool,
    /// The request's region header is honoured.
    pub trusted: bool,
    /// The visitor's address, if known.
    pub address: Option<IpAddr>,
    /// The current time, in Unix seconds.
    pub now: i64,
}
