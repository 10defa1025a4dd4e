//! Where a site's cookies live, learned from its own `Set-Cookie` lines: a deletion only works
//! with the same `Domain`, `Path` and partition (RFC 6265bis section 5.7, step 22).

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::fast::RandomState;

use super::bounded::Bounded;
use crate::cookie::{Scope, SetCookie};

/// The most cookies whose places are kept.
const MAX_COOKIES: usize = 1024;
/// The most places kept of one cookie.
const MAX_PLACES: usize = 8;
/// Domains and paths longer than this, in octets, are not kept.
const MAX_PART_OCTETS: usize = 256;
/// How many lines are known again, a power of two.
const MANNERS: usize = 512;
/// The bits of what is kept of a line that say until when it is known, in units of [`UNIT_SECONDS`] of Unix time:
/// from then on it may delete its cookie. All of them stand for ever; in 2106 the others end.
const UNTIL_BITS: u64 = (1 << 24) - 1;
const UNIT_SECONDS: i64 = 256;

/// A place that a cookie lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `None` for a host-only cookie; lower-case.
    pub(super) domain: Option<Box<[u8]>>,
    pub(super) path: Box<[u8]>,
    pub(super) secure: bool,
    pub(super) partitioned: bool,
}

impl Place {
    fn is(&self, scope: &Scope<'_>, path: &[u8]) -> bool {
        let same_domain = match (&self.domain, scope.domain) {
            (None, None) => true,
            (Some(known), Some(seen)) => known.eq_ignore_ascii_case(seen),
            _ => false,
        };
        same_domain
            && *self.path == *path
            && self.secure == scope.secure
            && self.partitioned == scope.partitioned
    }
}

/// The places of a site's cookies.
#[derive(Debug)]
pub(super) struct Learned {
    places: Bounded<Arc<[Place]>>,
    /// Hashes of lines, without their values, that set a cookie in a place that has been noted, and until when they do.
    manners: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            places: Bounded::new(MAX_COOKIES),
            manners: (0..MANNERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Learned {
    /// Whether a line like this one, but for the value, has been noted, and sets its cookie at `now`: nothing
    /// of its attributes is news. A site sets its cookies in the same few ways again and again.
    pub(super) fn knows(&self, cookie: &SetCookie<'_>, now: i64) -> bool {
        let hash = self.hash(cookie);
        let known = self.manner(hash).map_or(0, |known| known.load(Relaxed));
        (known ^ hash) & !UNTIL_BITS == 0 && units(now) < known & UNTIL_BITS
    }

    /// Notes where a cookie is set, by a response to a request for `request_path`.
    pub(super) fn note(&self, cookie: &SetCookie<'_>, scope: &Scope<'_>, request_path: &str) {
        self.note_place(cookie.name, scope, request_path);
        if scope.path.is_none() {
            return;
        }
        let until = scope.deletes_from().map_or(UNTIL_BITS, units);
        let hash = self.hash(cookie);
        if let Some(known) = self.manner(hash) {
            known.store((hash & !UNTIL_BITS) | until, Relaxed);
        }
    }

    fn hash(&self, cookie: &SetCookie<'_>) -> u64 {
        self.hasher.hash_one(cookie.manner())
    }

    fn manner(&self, hash: u64) -> Option<&AtomicU64> {
        // By bits that are not kept.
        self.manners.get(usize::try_from(hash & UNTIL_BITS).unwrap_or_default() % MANNERS)
    }

    fn note_place(&self, name: &[u8], scope: &Scope<'_>, request_path: &str) {
        let path = scope.path.unwrap_or_else(|| default_path(request_path).as_bytes());
        let known = self.places.with(name, |places| {
            places.iter().any(|place| place.is(scope, path)) || places.len() >= MAX_PLACES
        });
        let too_long =
            path.len() > MAX_PART_OCTETS || scope.domain.is_some_and(|d| d.len() > MAX_PART_OCTETS);
        if known == Some(true) || too_long {
            return;
        }
        self.places.update(name, |places| {
            let mut places: Vec<Place> = places.map(|places| places.to_vec()).unwrap_or_default();
            places.push(Place {
                domain: scope.domain.map(|domain| domain.to_ascii_lowercase().into()),
                path: path.into(),
                secure: scope.secure,
                partitioned: scope.partitioned,
            });
            Some(places.into())
        });
    }

    /// The names of the cookies whose places are known.
    pub(super) fn names(&self) -> Vec<Box<[u8]>> {
        self.places.names()
    }

    /// The places that a cookie was set in.
    pub(super) fn places(&self, name: &[u8]) -> Option<Arc<[Place]>> {
        self.places.with(name, Arc::clone)
    }
}

/// A time (Unix seconds) in whole units, before those that stand for ever.
fn units(time: i64) -> u64 {
    u64::try_from(time / UNIT_SECONDS).unwrap_or_default().min(UNTIL_BITS - 1)
}

/// The path of a cookie without a `Path` (RFC 6265bis section 5.1.4).
fn default_path(request_path: &str) -> &str {
    match request_path.rfind('/') {
        Some(at) if at > 0 && request_path.starts_with('/') => {
            request_path.get(..at).unwrap_or("/")
        }
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::SetCookie;

    #[test]
    fn places_are_kept_once_each_and_bounded() {
        let learned = Learned::default();
        for _ in 0..3 {
            for line in [&b"a=1; Path=/"[..], b"a=2; path=/; DOMAIN=.Example.com", b"a=3"] {
                let cookie = SetCookie::parse(line);
                learned.note(&cookie, &cookie.scope(), "/shop/cart");
            }
        }
        let places = learned.places(b"a").expect("learned");
        let seen: Vec<_> = places.iter().map(|p| (p.domain.as_deref(), &*p.path)).collect();
        assert_eq!(seen, [(None, &b"/"[..]), (Some(&b"example.com"[..]), b"/"), (None, b"/shop")]);
        for number in 0..100 {
            let path = format!("/{number}/x");
            for line in ["a=1".to_owned(), format!("{number}=1")] {
                let cookie = SetCookie::parse(line.as_bytes());
                learned.note(&cookie, &cookie.scope(), &path);
            }
        }
        assert_eq!(learned.places(b"a").map(|places| places.len()), Some(MAX_PLACES));
    }

    #[test]
    fn a_line_is_known_again_by_all_but_its_value_while_it_sets_its_cookie_in_a_place_that_it_names()
     {
        const NOW: i64 = 1_795_500_000;
        let learned = Learned::default();
        let note = |line: &'static str| {
            let cookie = SetCookie::parse(line.as_bytes());
            learned.note(&cookie, &cookie.scope(), "/");
        };
        let knows_at = |line: &str, at| learned.knows(&SetCookie::parse(line.as_bytes()), at);
        let knows = |line: &str| knows_at(line, NOW);
        assert!(!knows("a=1; Path=/"));
        note("a=1; Path=/");
        assert!(knows("a=2; Path=/") && knows(" a = 3 ; Path=/"));
        assert!(!knows("b=1; Path=/") && !knows("a=1; path=/") && !knows("a=1; Path=/; Max-Age=0"));
        for line in
            ["c=1; Max-Age=60; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "d=1; Path=/;"]
        {
            note(line);
            assert!(knows(line), "{line}");
        }
        for line in ["e=1", "g=1; Path=x"] {
            note(line);
            assert!(!knows(line), "{line}");
        }
        for (expires, known_at, unknown_at) in [
            (
                "Wed, 24 Nov 2032 09:00:00 GMT",
                vec![0, NOW, 1_984_899_583],
                vec![1_984_899_584, 1_984_899_600],
            ),
            ("Thu, 01 Jan 1970 00:00:01 GMT", vec![], vec![0, 1, NOW]),
            ("Fri, 31 Dec 9999 23:59:59 GMT", vec![0, NOW], vec![253_402_300_799, i64::MAX]),
            ("soon", vec![0, NOW, i64::MAX], vec![]),
        ] {
            let line: &'static str = format!("f=1; Path=/; Expires={expires}").leak();
            note(line);
            assert!(known_at.iter().all(|now| knows_at(line, *now)), "{expires}");
            assert!(!unknown_at.iter().any(|now| knows_at(line, *now)), "{expires}");
        }
    }

    #[test]
    fn the_default_path_is_the_folder_of_the_request() {
        let cases =
            [("/", "/"), ("/a", "/"), ("/a/b", "/a"), ("/a/b/", "/a/b"), ("*", "/"), ("", "/")];
        for (request, expected) in cases {
            assert_eq!(default_path(request), expected, "{request}");
        }
    }
}
