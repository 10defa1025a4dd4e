//! Where a site's cookies live, learned from its own `Set-Cookie` lines: a deletion only works
//! with the same `Domain`, `Path` and partition (RFC 6265bis section 5.7, step 22).

use std::sync::Arc;

use super::bounded::Bounded;
use crate::cookie::Scope;

/// The most cookies whose places are kept.
const MAX_COOKIES: usize = 1024;
/// The most places kept of one cookie.
const MAX_PLACES: usize = 8;
/// Domains and paths longer than this, in octets, are not kept.
const MAX_PART_OCTETS: usize = 256;

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
}

impl Default for Learned {
    fn default() -> Self {
        Self { places: Bounded::new(MAX_COOKIES) }
    }
}

impl Learned {
    /// Notes where a cookie is set, by a response to a request for `request_path`.
    pub(super) fn note(&self, name: &[u8], scope: &Scope<'_>, request_path: &str) {
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
                learned.note(cookie.name, &cookie.scope(), "/shop/cart");
            }
        }
        let places = learned.places(b"a").expect("learned");
        let seen: Vec<_> = places.iter().map(|p| (p.domain.as_deref(), &*p.path)).collect();
        assert_eq!(seen, [(None, &b"/"[..]), (Some(&b"example.com"[..]), b"/"), (None, b"/shop")]);
        for number in 0..100 {
            let path = format!("/{number}/x");
            learned.note(b"a", &SetCookie::parse(b"a=1").scope(), &path);
            learned.note(format!("{number}").as_bytes(), &SetCookie::parse(b"a=1").scope(), "/");
        }
        assert_eq!(learned.places(b"a").map(|places| places.len()), Some(MAX_PLACES));
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
