//! Who asks for one of our own pages.

use std::net::IpAddr;

/// What is known of who asks, besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Visitor {
    /// The visitor came by https.
    pub secure: bool,
    /// What the request says of the visitor's region is believed.
    pub trusted: bool,
    /// The visitor's address, as far as it is known.
    pub address: Option<IpAddr>,
    /// The time, in Unix seconds.
    pub now: i64,
}
