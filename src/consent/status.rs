//! The consent of a visitor, and the reason for it.

use super::{CategorySet, VendorSet};

/// The consent of a visitor, and the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// The granted categories. Always includes necessary.
    pub granted: CategorySet,
    /// Vendors refused by a TC string, limited to those named in the site's rules.
    pub refused_vendors: VendorSet,
    /// The source that the reason refers to, as an index into the site's sources. This is the
    /// source of the effective decision, or else the first one with an ineffective cookie.
    pub found: Option<usize>,
    /// The tool that wrote the decision, if the source reads several. Of several tools, the first.
    pub tool: Option<&'static str>,
    /// Time of the decision that the reason refers to, in Unix seconds, if the cookie contains it.
    pub decided_at: Option<i64>,
    /// The reason.
    pub reason: Reason,
    /// Categories granted by the deciding source but refused in the consent UI.
    pub refused_here: CategorySet,
}

impl Consent {
    /// The consent of an unknown visitor.
    pub fn undecided(default: CategorySet) -> Self {
        Self {
            granted: default,
            refused_vendors: VendorSet::EMPTY,
            found: None,
            tool: None,
            decided_at: None,
            reason: Reason::NoDecision,
            refused_here: CategorySet::EMPTY,
        }
    }

    /// Whether the visitor has decided and must not be asked again.
    pub fn is_decided(&self) -> bool {
        self.reason == Reason::Decided
    }

    /// The source of the effective decision, as an index into the site's sources.
    pub fn source(&self) -> Option<usize> {
        self.found.filter(|_| self.is_decided())
    }
}

/// The reason for a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The visitor's decision is effective.
    Decided,
    /// No source found a decision.
    NoDecision,
    /// A consent cookie is malformed.
    Malformed,
    /// The decision exceeds the maximum age and grants nothing.
    Expired,
    /// The decision predates the notice and grants nothing.
    OldNotice,
    /// The decision is dated in the future and grants nothing.
    FromTheFuture,
    /// The consent cookie has no valid signature and grants nothing.
    Unsigned,
    /// The visitor refused long enough ago to be asked again. The refusal stays valid.
    AskAgain,
}

impl Reason {
    /// All reasons, in the order of [`index`](Self::index).
    pub const ALL: [Self; 8] = [
        Self::Decided,
        Self::NoDecision,
        Self::Malformed,
        Self::Expired,
        Self::OldNotice,
        Self::FromTheFuture,
        Self::Unsigned,
        Self::AskAgain,
    ];

    /// Short name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::NoDecision => "no_decision",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::OldNotice => "old_notice",
            Self::FromTheFuture => "from_the_future",
            Self::Unsigned => "unsigned",
            Self::AskAgain => "ask_again",
        }
    }

    /// The index in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }
}
