//! `Cookie` and `Set-Cookie` parsing of arbitrary bytes. Pairs are non-overlapping ranges of the field, in order.
//! Names and values are trimmed. A `Set-Cookie` has the same name and value as the same pair in a `Cookie`.

#![no_main]

use consentry::cookie::{Scope, SetCookie, pairs, parse_cookie_date, without_prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let trimmed = |part: &[u8]| !matches!(part.first(), Some(b' ' | b'\t')) && !matches!(part.last(), Some(b' ' | b'\t'));
    let mut end = 0;
    for pair in pairs(bytes) {
        assert!(end <= pair.start && pair.start < pair.end && pair.end <= bytes.len());
        assert!(!bytes[pair.start..pair.end].contains(&b';'));
        assert!(trimmed(pair.name) && trimmed(pair.value));
        end = pair.end;
    }
    let cookie = SetCookie::parse(bytes);
    assert!(trimmed(cookie.name) && trimmed(cookie.value));
    let first = bytes.split(|byte| *byte == b';').next().unwrap_or_default();
    if let Some(pair) = pairs(first).next() {
        assert_eq!((cookie.name, cookie.value), (pair.name, pair.value));
    }
    let scope = cookie.scope();
    assert!(scope.path.is_none_or(|path| path.starts_with(b"/")));
    if scope.deletes(0) {
        assert!(scope.max_age.or(scope.expires).is_some_and(|at| at <= 0), "as browsers read it: the last one counts");
    }
    if let Some(deletion) = cookie.deletion() {
        let again = SetCookie::parse(deletion.as_bytes());
        let place = |scope: &Scope<'_>| (scope.domain.map(<[u8]>::to_vec), scope.path.map(<[u8]>::to_vec), scope.partitioned);
        assert!(again.scope().deletes(0) && again.name == cookie.name && place(&again.scope()) == place(&scope));
        assert_eq!(again.deletion(), Some(deletion), "twice is once");
    }
    let _ = parse_cookie_date(bytes);
    if let Some(bare) = without_prefix(bytes) {
        assert!(bytes.ends_with(bare) && bytes.starts_with(b"__"));
    }
});
