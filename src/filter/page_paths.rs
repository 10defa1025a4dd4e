//! Paths of a site at which visitors loaded pages. The memory is fixed, and recent paths replace
//! older ones.

use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::fast::RandomState;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::http::{Fields, without_parameters};

/// Maximum number of paths, a power of two.
const MAX_PATHS: usize = 1024;

/// Recent page paths, as keyed hashes: at most one per slot. 0 is an empty slot.
#[derive(Debug, Default)]
pub(super) struct PagePaths {
    /// Allocated for the first page, since many sites of a config may be idle.
    hashes: OnceLock<Box<[AtomicU64]>>,
    hasher: RandomState,
}

impl PagePaths {
    /// Records the path of a navigation if the response is a page, or a page from the browser's
    /// cache.
    pub(super) fn record(&self, path: &str, status: StatusCode, fields: &impl Fields) {
        let is_page = || {
            let media_type = fields.value(&CONTENT_TYPE).map(without_parameters);
            media_type.is_some_and(|sent| {
                let kinds = ["text/html", "application/xhtml+xml"];
                kinds.iter().any(|kind| sent.eq_ignore_ascii_case(kind.as_bytes()))
            })
        };
        if status == StatusCode::NOT_MODIFIED || status.is_success() && is_page() {
            let hash = self.hasher.hash_one(path);
            let empty = || (0..MAX_PATHS).map(|_| AtomicU64::new(0)).collect();
            let slot = slot(self.hashes.get_or_init(empty), hash);
            if let Some(slot) = slot.filter(|slot| slot.load(Relaxed) != hash) {
                slot.store(hash, Relaxed);
            }
        }
    }

    /// Whether a page was recently loaded at the path.
    pub(super) fn contains(&self, path: &str) -> bool {
        let hash = self.hasher.hash_one(path);
        let slot = self.hashes.get().and_then(|hashes| slot(hashes, hash));
        slot.is_some_and(|slot| slot.load(Relaxed) == hash)
    }
}

/// The slot of a hash.
fn slot(hashes: &[AtomicU64], hash: u64) -> Option<&AtomicU64> {
    let index = usize::try_from(hash % MAX_PATHS as u64).ok()?;
    hashes.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn only_pages_are_recorded() {
        for (status, content_type, recorded) in [
            (200, Some("text/html; charset=utf-8"), true),
            (200, Some("application/xhtml+xml"), true),
            (304, None, true),
            (404, Some("text/html"), false),
            (405, Some("text/html"), false),
            (302, Some("text/html"), false),
            (200, Some("application/pdf"), false),
            (200, None, false),
        ] {
            let pages = PagePaths::default();
            let mut fields = HeaderMap::new();
            if let Some(content_type) = content_type {
                fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            pages.record("/a", StatusCode::from_u16(status).expect("a status"), &fields);
            assert_eq!(pages.contains("/a"), recorded, "{status} {content_type:?}");
            assert!(!pages.contains("/b"));
        }
    }

    #[test]
    fn page_paths_are_bounded_and_recent_ones_are_kept() {
        let pages = PagePaths::default();
        let fields = HeaderMap::new();
        for number in 0..10_000 {
            let path = format!("/{number}");
            pages.record(&path, StatusCode::NOT_MODIFIED, &fields);
            assert!(pages.contains(&path));
        }
        assert!((0..10_000).filter(|number| pages.contains(&format!("/{number}"))).count() <= 1024);
    }
}
