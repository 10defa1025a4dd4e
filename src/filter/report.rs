//! What the filter did with one request, in numbers. No names, no values.

use crate::catalogue::Grounds;
use crate::consent::{Categories, Category, Consent};

/// One count for each category, and one for what is unclassified.
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

    /// The counts above zero, by index of category; [`Categories::MAX`] stands for unclassified.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u16)> + '_ {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

/// What the filter did with one request; in `observe` mode, what it would have done.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// What the visitor allowed.
    pub consent: Consent,
    /// Cookies stripped from the request.
    pub request_stripped: Counts,
    /// `Set-Cookie` lines stripped from the response.
    pub response_stripped: Counts,
    /// Cookies without a rule that passed, in both directions, as presumed necessary; by [`Grounds::index`].
    pub presumed: [u16; Grounds::ALL.len()],
    /// `Set-Cookie` lines added that delete a cookie.
    pub expired: u16,
    /// Fields stripped from request and response that carry another tracking technology or lead to another server.
    pub technologies_stripped: u16,
    /// The beacon that was answered in the origin's stead; the inner `None` is an unknown one.
    pub beacon: Option<Option<Category>>,
}

impl Report {
    pub(super) fn new(consent: Consent) -> Self {
        Self {
            consent,
            request_stripped: Counts::default(),
            response_stripped: Counts::default(),
            presumed: Default::default(),
            expired: 0,
            technologies_stripped: 0,
            beacon: None,
        }
    }

    pub(super) fn note_presumed(&mut self, grounds: Grounds) {
        if let Some(count) = self.presumed.get_mut(grounds.index()) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn note_field(&mut self) {
        self.technologies_stripped = self.technologies_stripped.saturating_add(1);
    }
}
