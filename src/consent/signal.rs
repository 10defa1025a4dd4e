//! Signals a browser sends for its visitor: Global Privacy Control.

use http::{HeaderMap, HeaderName};

use super::CategorySet;

const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");

/// The signals of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// `Sec-GPC: 1` was sent (W3C Global Privacy Control section 3.2).
    pub gpc: bool,
}

impl Signals {
    /// Reads the signals of a request. Any `Sec-GPC` of exactly `1` counts.
    pub fn of(headers: &HeaderMap) -> Self {
        Self { gpc: headers.get_all(SEC_GPC).iter().any(|value| value.as_bytes() == b"1") }
    }
}

/// What signals take away from the consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalPolicy {
    /// The categories that Global Privacy Control takes away; empty when it is ignored.
    pub gpc_denies: CategorySet,
}

impl SignalPolicy {
    /// The categories that these signals take away.
    pub fn denied_by(&self, signals: Signals) -> CategorySet {
        let denied = if signals.gpc { self.gpc_denies } else { CategorySet::EMPTY };
        denied.difference(CategorySet::NECESSARY)
    }
}
