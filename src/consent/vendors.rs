//! IAB vendors named in a site's rules. If a TC string decides, a cookie of such a vendor needs
//! consent to the vendor and to its category.

use std::sync::Arc;

use super::Category;

/// A vendor named in a site's rules, for the category of the rule. An index into its [`Vendors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vendor(u8);

/// A set of vendors, as a bit mask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VendorSet(u64);

impl VendorSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Whether the vendor is in the set.
    pub fn contains(self, vendor: Vendor) -> bool {
        self.0 & (1 << vendor.0) != 0
    }

    /// Adds a vendor.
    pub fn insert(&mut self, vendor: Vendor) {
        self.0 |= 1 << vendor.0;
    }

    /// The union of both sets.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Ids on the IAB's Global Vendor List of the vendors in a site's rules, each with the category of
/// its rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vendors {
    named: Arc<[(u16, Category)]>,
}

impl Vendors {
    /// Maximum number of vendors, counted once per category.
    pub const MAX: usize = 64;

    /// Deduplicates these vendors. `None` for more than [`MAX`](Self::MAX).
    pub fn new(named: impl IntoIterator<Item = (u16, Category)>) -> Option<Self> {
        let mut known: Vec<_> = named.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        (known.len() <= Self::MAX).then(|| Self { named: known.into() })
    }

    /// The vendor of this id, for this category.
    pub fn find(&self, id: u16, category: Category) -> Option<Vendor> {
        let at = self.named.binary_search(&(id, category)).ok()?;
        u8::try_from(at).ok().map(Vendor)
    }

    /// Every vendor with its id and category.
    pub fn iter(&self) -> impl Iterator<Item = (Vendor, u16, Category)> {
        let named = self.named.iter().copied();
        (0_u8..).map(Vendor).zip(named).map(|(vendor, (id, category))| (vendor, id, category))
    }

    /// Whether no rule names a vendor.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}
