//! Browser signals: Global Privacy Control and Do Not Track.

use http::HeaderName;

use super::CategorySet;
use crate::http::Fields;

const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");
const DNT: HeaderName = HeaderName::from_static("dnt");

/// The signals of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// `Sec-GPC: 1` was sent (W3C Global Privacy Control section 3.2).
    pub gpc: bool,
    /// `DNT: 1` was sent (W3C Tracking Preference Expression section 5.2.1).
    pub dnt: bool,
}

impl Signals {
    /// Reads the signals of a request. Only the exact value `1` counts, in any of several fields.
    pub fn of(fields: &impl Fields) -> Self {
        let sent = |name| fields.values(name).any(|value| value == b"1");
        Self { gpc: sent(&SEC_GPC), dnt: sent(&DNT) }
    }
}

/// Categories denied by signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalPolicy {
    /// Categories denied by Global Privacy Control. Empty if GPC is ignored.
    pub gpc_denies: CategorySet,
    /// Categories denied by Do Not Track. Empty if DNT is ignored.
    pub dnt_denies: CategorySet,
}

impl SignalPolicy {
    /// The categories denied by these signals.
    pub fn denied_by(&self, signals: Signals) -> CategorySet {
        let of = |sent: bool, denies| if sent { denies } else { CategorySet::EMPTY };
        let denied = of(signals.gpc, self.gpc_denies).union(of(signals.dnt, self.dnt_denies));
        denied.difference(CategorySet::NECESSARY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn a_signal_is_set_if_any_of_its_fields_is_1() {
        for (values, sent) in [
            (&["1"][..], true),
            (&["0", "1"], true),
            (&["1", "0"], true),
            (&["0"], false),
            (&["1, 0"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                for name in [SEC_GPC, DNT] {
                    headers.append(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(Signals::of(&headers), Signals { gpc: sent, dnt: sent }, "{values:?}");
        }
    }
}
