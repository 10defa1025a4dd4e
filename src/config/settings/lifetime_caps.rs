//! The longest lifetimes of cookies.

use crate::consent::{Categories, Category};

/// The longest lifetime of cookies in seconds, by category.
#[derive(Debug, Clone, Copy, Default)]
pub struct LifetimeCaps([Option<i64>; Categories::MAX]);

impl LifetimeCaps {
    /// The cap of a category. `None` for no cap, and for unclassified cookies.
    pub fn of(&self, category: Option<Category>) -> Option<i64> {
        *self.0.get(category?.index())?
    }

    pub(in crate::config) fn set(&mut self, category: Category, seconds: i64) {
        if let Some(cap) = self.0.get_mut(category.index()) {
            *cap = Some(seconds);
        }
    }
}
