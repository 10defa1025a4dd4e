//! Rewriting of one `Cookie` field. A verdict is valid for the same bytes and the same consent.
//!
//! The remaining pairs are unchanged. The bytes between two remaining neighbours are unchanged too.

use std::ops::Range;

use bytes::Bytes;

use crate::catalogue::{CookieContext, Presumption};
use crate::consent::Consent;
use crate::cookie::{Pair, pairs};
use crate::policy::Policy;

/// Decisions about the pairs of one `Cookie` field.
pub(super) struct CookieFieldDecision {
    /// One decision per pair, in order.
    pub(super) pairs: Vec<PairDecision>,
    /// The remaining field.
    pub(super) remaining: Remaining,
}

/// The decision about one pair.
#[derive(Debug)]
pub(super) struct PairDecision {
    /// Byte range of its name in the field. Empty for a nameless cookie.
    pub(super) name: Range<usize>,
    /// The number of the matching rule.
    pub(super) rule: Option<usize>,
    /// Why the cookie is presumed necessary, if it is.
    pub(super) presumed: Option<Presumption>,
    /// Whether the pair stays.
    pub(super) permitted: bool,
}

/// The remaining part of a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remaining {
    /// All pairs.
    Unchanged,
    /// No pairs.
    Empty,
    /// Some pairs.
    Rewritten(Bytes),
}

impl CookieFieldDecision {
    /// Decides about each pair of a field. `context` is the context of the request.
    pub(super) fn of(
        field: &[u8],
        context: &CookieContext<'_>,
        policy: &Policy,
        consent: &Consent,
    ) -> Self {
        let mut pairs = Vec::with_capacity(8);
        let remaining = strip(field, |pair| {
            let decision = policy.sent_cookie((pair.name, pair.value), context, consent);
            pairs.push(PairDecision {
                name: pair.start..pair.start + pair.name.len(),
                rule: decision.rule.map(|rule| rule.number),
                presumed: decision.presumed,
                permitted: decision.permitted,
            });
            decision.permitted
        });
        Self { pairs, remaining }
    }
}

/// Keeps only the pairs that `keep` accepts. The bytes between two remaining neighbours are
/// unchanged. If a pair between two others is removed, `; ` separates them.
fn strip(field: &[u8], mut keep: impl FnMut(&Pair<'_>) -> bool) -> Remaining {
    let mut rewritten: Option<Vec<u8>> = None;
    // End of the previous pair, if that pair stays.
    let mut kept_end: Option<usize> = Some(0);
    let mut any = false;
    for pair in pairs(field) {
        if !keep(&pair) {
            // First removed pair: everything before it is copied unchanged.
            let before = field.get(..kept_end.unwrap_or_default()).unwrap_or_default();
            rewritten.get_or_insert_with(|| before.to_vec());
            kept_end = None;
            continue;
        }
        any = true;
        if let Some(rewritten) = &mut rewritten {
            let from = match kept_end {
                Some(end) => end,
                None => {
                    if !rewritten.is_empty() {
                        rewritten.extend_from_slice(b"; ");
                    }
                    pair.start
                }
            };
            rewritten.extend_from_slice(field.get(from..pair.end).unwrap_or_default());
        }
        kept_end = Some(pair.end);
    }
    let Some(mut rewritten) = rewritten else { return Remaining::Unchanged };
    if !any {
        return Remaining::Empty;
    }
    if let Some(end) = kept_end {
        rewritten.extend_from_slice(field.get(end..).unwrap_or_default());
    }
    Remaining::Rewritten(rewritten.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn strip(field: &str, without: &str) -> Option<String> {
        let keep =
            |pair: &Pair<'_>| !without.as_bytes().contains(pair.name.first().unwrap_or(&b'0'));
        match super::strip(field.as_bytes(), keep) {
            Remaining::Unchanged => Some(field.to_owned()),
            Remaining::Empty => None,
            Remaining::Rewritten(value) => Some(String::from_utf8_lossy(&value).into_owned()),
        }
    }

    #[test]
    fn only_pairs_without_consent_are_stripped() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("a=1; b=2; c=3", "", Some("a=1; b=2; c=3")),
            ("a=1; b=2; c=3", "a", Some("b=2; c=3")),
            ("a=1; b=2; c=3", "b", Some("a=1; c=3")),
            ("a=1; b=2; c=3", "c", Some("a=1; b=2")),
            ("a=1; b=2; c=3", "ac", Some("b=2")),
            ("a=1; b=2; c=3", "abc", None),
            ("a=1;b=2;c=3;", "a", Some("b=2;c=3;")),
            ("a=1;\tb=2;; c=\"x y\" ", "a", Some("b=2;; c=\"x y\" ")),
            (" a=1;b=2", "b", Some(" a=1")),
            ("a=1; token; b=2", "0", Some("a=1; b=2")),
            ("a=1,b=2; b=1", "b", Some("a=1,b=2")),
            (";;", "a", Some(";;")),
        ];
        for (field, without, expected) in cases {
            assert_eq!(strip(field, without).as_deref(), *expected, "{field} without {without}");
        }
    }

    proptest! {
        #[test]
        fn kept_pairs_are_unchanged_and_in_order_and_filtering_is_idempotent(
            field in "[ab=; \t\"é]{0,40}",
            without in "[ab0]{0,2}",
        ) {
            let kept = |text: &str| -> Vec<Vec<u8>> {
                pairs(text.as_bytes())
                    .filter(|p| !without.as_bytes().contains(p.name.first().unwrap_or(&b'0')))
                    .map(|pair| text.as_bytes()[pair.start..pair.end].to_vec())
                    .collect()
            };
            // Only valid header values: HeaderValue rejects some generated strings.
            prop_assume!(HeaderValue::from_bytes(field.as_bytes()).is_ok());
            let once = strip(&field, &without);
            let text = once.clone().unwrap_or_default();
            let remaining: Vec<Vec<u8>> =
                pairs(text.as_bytes()).map(|p| text.as_bytes()[p.start..p.end].to_vec()).collect();
            prop_assert_eq!(&remaining, &kept(&field));
            if let Some(once) = once {
                prop_assert_eq!(strip(&once, &without), Some(once));
            }
        }
    }
}
