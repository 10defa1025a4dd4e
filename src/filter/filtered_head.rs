//! The head of a request, as the filter reads it.
//!
//! `service`, `proxy` and `ext_proc` create it. `request` and the modules that it uses read it.

use http::{Method, Uri};

use crate::catalogue::BodyStart;

/// The head of a request as sent by its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilteredHead<'a, F> {
    pub(crate) method: &'a Method,
    /// Path and query, with or without authority.
    pub(crate) uri: &'a Uri,
    /// The requested host, without port. `None` if it is invalid.
    pub(crate) host: Option<&'a str>,
    pub(crate) fields: &'a F,
    /// The start of the body.
    pub(crate) body: BodyStart<'a>,
}
