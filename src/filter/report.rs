//! Counts of the filter's actions on one request, without names or values.

use crate::catalogue::Presumption;
use crate::consent::{Categories, Category, Consent};

/// One count per category, and one for unclassified items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts([u16; Categories::MAX + 1]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Categories::MAX + 1])
    }
}

impl Counts {
    pub(super) fn add(&mut self, category: Option<Category>) {
        let index = category.map_or(Categories::MAX, Category::index);
        if let Some(count) = self.0.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    /// Whether all counts are zero.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// The sum of all counts.
    pub fn total(&self) -> u32 {
        self.0.iter().map(|count| u32::from(*count)).sum()
    }

    /// The non-zero counts by category index. [`Categories::MAX`] means unclassified.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u16)> + '_ {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

/// What the filter did with one request. In `observe` mode: what it would have done.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// The visitor's consent.
    pub consent: Consent,
    /// Cookies stripped from the request.
    pub request_stripped: Counts,
    /// Query parameters stripped from the target and from `Referer`.
    pub parameters_stripped: Counts,
    /// `Set-Cookie` lines stripped from the response.
    pub response_stripped: Counts,
    /// Unclassified cookies that passed as presumed necessary, in both directions; by
    /// [`Presumption::index`].
    pub presumed: [u16; Presumption::ALL.len()],
    /// Added `Set-Cookie` lines that delete a cookie.
    pub expired: u16,
    /// Stripped request and response fields that belong to another tracking technology or route to
    /// another server.
    pub technologies_stripped: u16,
    /// Category of the blocked beacon. The inner `None` is an unclassified beacon.
    pub beacon: Option<Option<Category>>,
}

impl Report {
    pub(super) fn new(consent: Consent) -> Self {
        Self {
            consent,
            request_stripped: Counts::default(),
            parameters_stripped: Counts::default(),
            response_stripped: Counts::default(),
            presumed: Default::default(),
            expired: 0,
            technologies_stripped: 0,
            beacon: None,
        }
    }

    pub(super) fn record_presumed(&mut self, evidence: Presumption) {
        if let Some(count) = self.presumed.get_mut(evidence.index()) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn record_field(&mut self) {
        self.technologies_stripped = self.technologies_stripped.saturating_add(1);
    }
}
