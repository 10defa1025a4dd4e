//! What a visitor allowed, and how that is known.

use super::{CategorySet, VendorSet};

/// What a visitor allowed, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// The categories that may pass; necessary is always in.
    pub granted: CategorySet,
    /// Of the vendors that the site's rules name, those that a TC string refuses.
    pub refused_vendors: VendorSet,
    /// The source that the reason is about, as an index into the site's sources: the one whose
    /// decision counts, or the first whose cookie does not.
    pub found: Option<usize>,
    /// The tool that wrote the decision, where the source asks several; of several the first.
    pub tool: Option<&'static str>,
    /// When the visitor made the decision that the reason is about, in Unix seconds, where the cookie
    /// carries it.
    pub decided_at: Option<i64>,
    /// Why it is so.
    pub reason: Reason,
    /// Categories that the deciding source grants and that the visitor refused on consentry's pages.
    pub refused_here: CategorySet,
}

impl Consent {
    /// The consent of a visitor of whom nothing is known.
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

    /// Whether the visitor has decided and is not asked again.
    pub fn is_decided(&self) -> bool {
        self.reason == Reason::Decided
    }

    /// The source whose decision counts, as an index into the site's sources.
    pub fn source(&self) -> Option<usize> {
        self.found.filter(|_| self.is_decided())
    }
}

/// Why a consent is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The visitor's decision counts.
    Decided,
    /// No source found a decision.
    NoDecision,
    /// A consent cookie is there and cannot be read.
    Malformed,
    /// The decision is older than the site keeps one: it grants nothing.
    Expired,
    /// The decision is older than the notice: it grants nothing.
    OldNotice,
    /// The decision is dated in the future: it grants nothing.
    FromTheFuture,
    /// The consent cookie has no valid signature: it grants nothing.
    Unsigned,
    /// The visitor refused long enough ago to be asked again. The refusal still counts.
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

    /// A short name for logs and metrics.
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

    /// The position in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }
}
