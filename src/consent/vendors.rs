//! Vendors of the IAB's list that a site's rules name: a cookie of such a vendor needs, where a TC
//! string decides, the visitor's consent to the vendor besides that to its category.

use std::sync::Arc;

/// One of the vendors that a site's rules name, as an index into its [`Vendors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vendor(u8);

/// A set of vendors, as the bits of one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VendorSet(u64);

impl VendorSet {
    /// No vendor at all.
    pub const EMPTY: Self = Self(0);

    /// Whether the vendor is in the set.
    pub fn contains(self, vendor: Vendor) -> bool {
        self.0 & (1 << vendor.0) != 0
    }

    /// Adds a vendor.
    pub fn insert(&mut self, vendor: Vendor) {
        self.0 |= 1 << vendor.0;
    }

    /// What is in either.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The ids, on the IAB's Global Vendor List, of the vendors that a site's rules name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vendors {
    ids: Arc<[u16]>,
}

impl Vendors {
    /// The largest number of vendors.
    pub const MAX: usize = 64;

    /// Of these ids, each once; `None` for more than [`MAX`](Self::MAX) of them.
    pub fn new(ids: impl IntoIterator<Item = u16>) -> Option<Self> {
        let mut known: Vec<u16> = ids.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        (known.len() <= Self::MAX).then(|| Self { ids: known.into() })
    }

    /// The vendor of this id.
    pub fn find(&self, id: u16) -> Option<Vendor> {
        let at = self.ids.binary_search(&id).ok()?;
        u8::try_from(at).ok().map(Vendor)
    }

    /// Every vendor with its id.
    pub fn iter(&self) -> impl Iterator<Item = (Vendor, u16)> {
        (0_u8..).map(Vendor).zip(self.ids.iter().copied())
    }

    /// Whether no rule names a vendor.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Every vendor that is not in the set.
    pub fn all_but(&self, set: &VendorSet) -> VendorSet {
        let mut others = VendorSet::EMPTY;
        self.iter()
            .filter(|(vendor, _)| !set.contains(*vendor))
            .for_each(|(vendor, _)| others.insert(vendor));
        others
    }
}
