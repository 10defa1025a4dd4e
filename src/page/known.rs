//! Beginnings of pages that were parsed before: the pages of a site share a few, and what was parsed once
//! need not be parsed for the next visitor.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::quality::RandomState;

/// How many are remembered.
const PLACES: usize = 512;

/// Beginnings of pages that end with the tag of the body, by a hash of their octets.
pub(super) struct KnownBodies {
    hasher: RandomState,
    hashes: Box<[AtomicU64]>,
}

impl std::fmt::Debug for KnownBodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownBodies").finish_non_exhaustive()
    }
}

impl Default for KnownBodies {
    fn default() -> Self {
        let hashes = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::default(), hashes }
    }
}

impl KnownBodies {
    /// Whether the same octets were parsed before, and ended with the tag of the body.
    pub(super) fn contains(&self, beginning: &[u8]) -> bool {
        let hash = self.hasher.hash_one(beginning);
        self.place(hash).is_some_and(|place| place.load(Relaxed) == hash)
    }

    /// Remembers octets that end with the tag of the body.
    pub(super) fn insert(&self, beginning: &[u8]) {
        let hash = self.hasher.hash_one(beginning);
        if let Some(place) = self.place(hash) {
            place.store(hash, Relaxed);
        }
    }

    fn place(&self, hash: u64) -> Option<&AtomicU64> {
        self.hashes.get(usize::try_from(hash).unwrap_or_default() % PLACES)
    }
}
