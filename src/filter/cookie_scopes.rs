//! Cookie scopes, learned from the site's `Set-Cookie` lines. A deletion requires the same
//! `Domain`, `Path` and partition as the cookie (RFC 6265bis section 5.7, step 22).

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use lru::LruCache;

use crate::catalogue::generalize_name;
use crate::cookie::{ResponseTime, Scope, SetCookie};

/// Maximum number of cookies with known scopes. Names that differ only in a random part count as
/// one.
const MAX_COOKIES: usize = 1024;
/// Maximum number of scopes per cookie.
const MAX_PLACES: usize = 8;
/// Maximum length of a name, domain or path, in bytes. Longer ones are ignored.
const MAX_PART_BYTES: usize = 256;
/// Number of cached fingerprints, a power of two.
const MANNERS: usize = 512;
/// The low bits of a cached fingerprint: its expiry, in units of [`UNIT_SECONDS`] of Unix time.
/// After the expiry the line may delete its cookie. All bits set means "never expires". The other
/// values overflow in 2106.
const UNTIL_BITS: u64 = (1 << 24) - 1;
const UNIT_SECONDS: i64 = 256;

/// The scope of a stored cookie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoredScope {
    /// Lower case. `None` for a host-only cookie.
    pub(super) domain: Option<Box<[u8]>>,
    pub(super) path: Box<[u8]>,
    pub(super) partitioned: bool,
}

/// The scopes of one cookie, or of several cookies whose names share a pattern.
#[derive(Debug, Default)]
struct NameScopes {
    /// In order of observation. The flag is set if the path is the default path of a request.
    places: Vec<(StoredScope, bool)>,
    /// The name is a single cookie's name, not a pattern.
    exact: bool,
}

type Names = LruCache<Vec<u8>, NameScopes, RandomState>;

/// The scopes of a site's cookies. The least recently set are evicted.
#[derive(Debug)]
pub(super) struct CookieScopes {
    names: Mutex<Names>,
    /// Fingerprints of lines (without values) that store a cookie in a known scope, each with its
    /// expiry.
    manners: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for CookieScopes {
    fn default() -> Self {
        Self {
            names: Mutex::new(LruCache::unbounded_with_hasher(RandomState::default())),
            manners: (0..MANNERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl StoredScope {
    fn is(&self, scope: &Scope<'_>, path: &[u8]) -> bool {
        let same_domain = match (&self.domain, scope.domain) {
            (None, None) => true,
            (Some(known), Some(seen)) => known.eq_ignore_ascii_case(seen),
            _ => false,
        };
        same_domain && *self.path == *path && self.partitioned == scope.partitioned
    }
}

impl CookieScopes {
    /// Whether an equal line, ignoring the value, has been recorded and every browser stores its
    /// cookie. A site sets its cookies with the same few attribute sets, so most lines need no
    /// further work.
    pub(super) fn knows(&self, cookie: &SetCookie<'_>, time: ResponseTime) -> bool {
        let hash = self.hash(cookie);
        let known = self.fingerprint(hash).map_or(0, |known| known.load(Relaxed));
        (known ^ hash) & !UNTIL_BITS == 0 && units(time.latest()) < known & UNTIL_BITS
    }

    /// Records the scope of a cookie in a response to a request for `request_path`.
    pub(super) fn note(&self, cookie: &SetCookie<'_>, scope: &Scope<'_>, request_path: &str) {
        let path = scope.path.unwrap_or_else(|| default_path(request_path).as_bytes());
        let parts = [cookie.name, path, scope.domain.unwrap_or_default()];
        if cookie.name.is_empty() || parts.iter().any(|part| part.len() > MAX_PART_BYTES) {
            return;
        }
        // Under a single lock, so that no fingerprint outlives an evicted scope.
        let mut names = self.names();
        if note_place(&mut names, cookie.name, scope, path) {
            self.manners.iter().for_each(|manner| manner.store(0, Relaxed));
        }
        let until = scope.stores_until();
        if scope.path.is_some() && until != i64::MIN {
            let until = if until == i64::MAX { UNTIL_BITS } else { units(until) };
            let hash = self.hash(cookie);
            if let Some(known) = self.fingerprint(hash) {
                known.store((hash & !UNTIL_BITS) | until, Relaxed);
            }
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, cookie: &SetCookie<'_>) -> u64 {
        self.hasher.hash_one(cookie.fingerprint())
    }

    fn fingerprint(&self, hash: u64) -> Option<&AtomicU64> {
        // The index comes from the bits that the slot does not keep.
        self.manners.get(usize::try_from(hash & UNTIL_BITS).unwrap_or_default() % MANNERS)
    }

    /// Names of the cookies with known scopes, without patterns.
    pub(super) fn exact_names(&self) -> Vec<Vec<u8>> {
        let names = self.names();
        names.iter().filter(|(_, known)| known.exact).map(|(name, _)| name.clone()).collect()
    }

    /// The scopes in which a cookie was set.
    pub(super) fn places(&self, name: &[u8]) -> Vec<StoredScope> {
        let mut names = self.names();
        let known = names.get(&*folded(name));
        known.into_iter().flat_map(|known| &known.places).map(|(place, _)| place.clone()).collect()
    }
}

/// Records a scope of a cookie. Returns whether a scope with an explicit `Path` was evicted.
fn note_place(names: &mut Names, name: &[u8], scope: &Scope<'_>, path: &[u8]) -> bool {
    let folded = folded(name);
    let exact = *folded == *name;
    let known = names.get_or_insert_mut_ref(&*folded, || NameScopes { places: Vec::new(), exact });
    let found = known.places.iter().position(|(place, _)| place.is(scope, path));
    match found.and_then(|at| known.places.get_mut(at)) {
        Some((_, is_default)) => *is_default &= scope.path.is_none(),
        None => {
            let domain = scope.domain.map(|domain| domain.to_ascii_lowercase().into());
            let place = StoredScope { domain, path: path.into(), partitioned: scope.partitioned };
            known.places.push((place, scope.path.is_none()));
        }
    }
    let mut evicted = false;
    if known.places.len() > MAX_PLACES {
        // Default-path scopes are evicted first. Such a cookie is sent only below its path, where
        // the request path finds the scope again.
        let default = known.places.iter().position(|(_, is_default)| *is_default);
        let (_, was_default) = known.places.remove(default.unwrap_or(0));
        evicted = !was_default;
    }
    if names.len() > MAX_COOKIES {
        names.pop_lru();
        evicted = true;
    }
    evicted
}

/// The key of a name: the name itself, or its pattern.
fn folded(name: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(name).map(generalize_name) {
        Ok(Cow::Owned(pattern)) => Cow::Owned(pattern.into_bytes()),
        Ok(Cow::Borrowed(_)) | Err(_) => Cow::Borrowed(name),
    }
}

/// A time (Unix seconds) in whole units, below the value for "never expires".
fn units(time: i64) -> u64 {
    u64::try_from(time / UNIT_SECONDS).unwrap_or_default().min(UNTIL_BITS - 1)
}

/// The default path of a cookie without `Path` (RFC 6265bis section 5.1.4).
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

    /// Records a line of a response to a request for a path.
    fn note(learned: &CookieScopes, line: &str, request_path: &str) {
        let cookie = SetCookie::parse(line.as_bytes());
        learned.note(&cookie, &cookie.scope(), request_path);
    }

    fn knows(learned: &CookieScopes, line: &str, at: i64) -> bool {
        learned.knows(&SetCookie::parse(line.as_bytes()), ResponseTime::new(at))
    }

    #[test]
    fn scopes_are_deduplicated_and_the_latest_are_kept() {
        let learned = CookieScopes::default();
        for _ in 0..3 {
            for line in ["a=1; Path=/", "a=2; path=/; DOMAIN=.Example.com", "a=3"] {
                note(&learned, line, "/shop/cart");
            }
        }
        let places = learned.places(b"a");
        let seen: Vec<_> = places.iter().map(|p| (p.domain.as_deref(), &*p.path)).collect();
        assert_eq!(seen, [(None, &b"/"[..]), (Some(&b"example.com"[..]), b"/"), (None, b"/shop")]);
        for number in 0..100 {
            note(&learned, "a=1", &format!("/{number}/x"));
        }
        let paths = |name: &str| -> Vec<String> {
            let places = learned.places(name.as_bytes());
            places.iter().map(|place| String::from_utf8_lossy(&place.path).into_owned()).collect()
        };
        let latest = ["/", "/", "/94", "/95", "/96", "/97", "/98", "/99"];
        assert_eq!(paths("a"), latest, "default paths make room first");
        for number in 0..100 {
            note(&learned, &format!("a=1; Path=/{number}"), "/");
        }
        assert_eq!(paths("a"), ["/92", "/93", "/94", "/95", "/96", "/97", "/98", "/99"]);
    }

    #[test]
    fn the_latest_cookies_are_kept_and_random_names_share_an_entry() {
        let learned = CookieScopes::default();
        note(&learned, "_early=1; Path=/", "/");
        note(&learned, "_often=1; Path=/", "/");
        for number in 0..10 * MAX_COOKIES {
            note(&learned, &format!("sess_{:016x}=1; Path=/app", number * 77_777_777), "/");
        }
        assert_eq!(learned.names().len(), 3);
        assert_eq!(learned.places(b"sess_0123456789abcdef").len(), 1);
        let mut exact = learned.exact_names();
        exact.sort();
        assert_eq!(exact, [b"_early", b"_often"], "no pattern can be deleted");

        let word = |number: usize| -> String {
            let letter =
                |shift: usize| char::from(b'a' + u8::try_from(number >> shift & 15).unwrap_or(0));
            [letter(12), letter(8), letter(4), letter(0), 'x'].iter().collect()
        };
        for number in 0..2 * MAX_COOKIES {
            note(&learned, &format!("{}=1; Path=/", word(number)), "/");
            if !knows(&learned, "_often=1; Path=/", 0) {
                note(&learned, "_often=1; Path=/", "/");
            }
        }
        assert_eq!(learned.names().len(), MAX_COOKIES);
        assert!(learned.places(b"_early").is_empty() && !learned.places(b"_often").is_empty());
        assert!(!learned.places(word(2 * MAX_COOKIES - 1).as_bytes()).is_empty());
        for (name, path) in
            [("x".repeat(MAX_PART_BYTES + 1), "/".to_owned()), ("x".to_owned(), "/".repeat(300))]
        {
            note(&learned, &format!("{name}=1; Path={path}"), "/");
            assert!(learned.places(name.as_bytes()).is_empty());
        }
    }

    #[test]
    fn a_line_with_an_evicted_scope_is_unknown() {
        let learned = CookieScopes::default();
        note(&learned, "a=1; Path=/first", "/");
        assert!(knows(&learned, "a=1; Path=/first", 0));
        for number in 0..MAX_PLACES {
            note(&learned, &format!("a=1; Path=/{number}"), "/");
        }
        assert!(!knows(&learned, "a=1; Path=/first", 0));
        assert!(knows(&learned, &format!("a=1; Path=/{}", MAX_PLACES - 1), 0));
    }

    #[test]
    fn lines_with_the_same_fingerprint_are_known_if_they_store_in_an_explicit_scope() {
        const NOW: i64 = 1_795_500_000;
        const DAY: i64 = 24 * 60 * 60;
        let learned = CookieScopes::default();
        let note = |line: &str| note(&learned, line, "/");
        let knows_at = |line: &str, at| knows(&learned, line, at);
        let knows = |line: &str| knows_at(line, NOW);
        assert!(!knows("a=1; Path=/"));
        note("a=1; Path=/");
        assert!(knows("a=2; Path=/") && knows(" a = 3 ; Path=/"));
        assert!(!knows("b=1; Path=/") && !knows("a=1; path=/") && !knows("a=1; Path=/; Max-Age=0"));
        note("d=1; Path=/;");
        assert!(knows("d=1; Path=/;"));
        for line in [
            "e=1",
            "g=1; Path=x",
            "=1; Path=/",
            "c=1; Max-Age=60; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "f=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT",
            "f=1; Path=/; Expires=soon",
        ] {
            note(line);
            assert!(!knows(line) && !knows_at(line, 0), "{line}");
        }
        for (expires, known_at, unknown_at) in [
            (
                "Wed, 24 Nov 2032 09:00:00 GMT",
                vec![0, NOW, 1_984_899_583 - DAY],
                vec![1_984_899_584 - DAY, 1_984_899_600],
            ),
            ("Fri, 31 Dec 9999 23:59:59 GMT", vec![0, NOW], vec![253_402_300_799, i64::MAX]),
        ] {
            let line = format!("f=1; Path=/; Expires={expires}");
            note(&line);
            assert!(known_at.iter().all(|now| knows_at(&line, *now)), "{expires}");
            assert!(!unknown_at.iter().any(|now| knows_at(&line, *now)), "{expires}");
        }
    }

    #[test]
    fn the_default_path_is_the_directory_of_the_request() {
        let cases =
            [("/", "/"), ("/a", "/"), ("/a/b", "/a"), ("/a/b/", "/a/b"), ("*", "/"), ("", "/")];
        for (request, expected) in cases {
            assert_eq!(default_path(request), expected, "{request}");
        }
    }
}
