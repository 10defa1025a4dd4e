//! Stub of `spans` for builds without the feature `otel`.

use std::convert::Infallible;

use http::{Method, Uri};

use crate::http::FieldSection;

/// The span exporter, which is uninhabited: no spans are exported.
#[derive(Debug, Clone)]
pub(crate) enum Spans {}

/// The span of a request, which is uninhabited.
pub(crate) enum RequestSpan {}

impl Spans {
    /// `None`.
    ///
    /// # Errors
    /// Never.
    pub(crate) fn from_environment() -> Result<Option<Self>, Infallible> {
        Ok(None)
    }

    /// Never called.
    pub(crate) fn begin(&self, _: &Method, _: &Uri, _: &mut FieldSection) -> RequestSpan {
        match *self {}
    }

    /// Never called.
    pub(crate) fn finish(&self) {
        match *self {}
    }
}

impl RequestSpan {
    /// Never called.
    pub(crate) fn end(&self, _: &str, _: u16) {
        match *self {}
    }
}
