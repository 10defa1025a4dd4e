//! Merges the decisions that one source found.

use super::source::{SourceDecision, Void};
use super::{CategorySet, Reason, VendorSet};

/// A decision with its current validity.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValidatedDecision<'a> {
    pub(super) decision: &'a SourceDecision,
    /// Whether its grants are valid.
    pub(super) grants: bool,
    /// Why the decision is active, or has ended.
    pub(super) reason: Reason,
}

impl ValidatedDecision<'_> {
    fn is_active(&self) -> bool {
        self.reason == Reason::Decided
    }
}

/// The merged decisions of one source.
///
/// A host-only cookie and a `Domain` cookie with the same name may disagree, and so may two tools:
/// the stricter decision wins. An ended decision is ignored next to an active one, because the
/// visitor has decided again. Its refusals still restrict the default.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub(super) granted: CategorySet,
    pub(super) denied: CategorySet,
    /// Categories that the default must not grant.
    pub(super) withheld: CategorySet,
    /// Categories granted in the consent UI.
    pub(super) own_granted: CategorySet,
    /// Categories refused in the consent UI.
    pub(super) own_denied: CategorySet,
    pub(super) refused_vendors: VendorSet,
    pub(super) reason: Reason,
    pub(super) tool: Option<&'static str>,
    /// The oldest time of the active decisions.
    pub(super) decided_at: Option<i64>,
}

impl Merged {
    /// No decision, for this reason.
    pub(super) fn nothing(reason: Reason) -> Self {
        Self {
            granted: CategorySet::EMPTY,
            denied: CategorySet::EMPTY,
            withheld: CategorySet::EMPTY,
            own_granted: CategorySet::EMPTY,
            own_denied: CategorySet::EMPTY,
            refused_vendors: VendorSet::EMPTY,
            reason,
            tool: None,
            decided_at: None,
        }
    }

    /// Merges these decisions. `all` contains every category of the site.
    pub(super) fn of<'a>(
        validated: impl Iterator<Item = ValidatedDecision<'a>> + Clone,
        all: CategorySet,
    ) -> Self {
        let any = validated.clone().any(|validated| validated.is_active());
        let own =
            validated.clone().any(|validated| validated.is_active() && validated.decision.own);
        let mut merged = Self::nothing(Reason::NoDecision);
        for ValidatedDecision { decision, grants, reason } in validated {
            let is_active = reason == Reason::Decided;
            if !is_active {
                // An unsigned cookie may have overwritten any refusal.
                let refused = match decision.void {
                    Some(Void::Unsigned) => all,
                    _ => decision.denied,
                };
                merged.withheld = merged.withheld.union(refused);
            }
            if decision.own && is_active == own {
                merged.own_denied = merged.own_denied.union(decision.denied);
            }
            if is_active != any {
                continue;
            }
            merged.decided_at = match (merged.reason, merged.decided_at, decision.decided_at) {
                (Reason::NoDecision, _, at) => at,
                (Reason::Decided, Some(a), Some(b)) => Some(a.min(b)),
                (Reason::Decided, a, b) => a.or(b),
                (_, first, _) => first,
            };
            if merged.reason == Reason::NoDecision {
                (merged.reason, merged.tool) = (reason, decision.tool);
            }
            merged.refused_vendors = merged.refused_vendors.union(decision.refused_vendors);
            if is_active {
                merged.denied = merged.denied.union(decision.denied);
                if grants {
                    merged.granted = merged.granted.union(decision.granted);
                    if decision.own {
                        merged.own_granted = merged.own_granted.union(decision.granted);
                    }
                }
            }
        }
        merged
    }
}
