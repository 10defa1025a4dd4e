//! Lifetime cap: shortens the lifetime in a `Set-Cookie` line.
//!
//! One `Max-Age` replaces all `Max-Age` and `Expires` attributes. All other bytes are unchanged.

use super::effect::{Effect, ResponseTime};
use super::set_cookie::SetCookie;
use super::trim;

const LIFETIME_ATTRIBUTES: [&[u8]; 2] = [b"max-age", b"expires"];

/// The line with a lifetime of at most `cap` seconds. `None` if no browser keeps the cookie for
/// longer, and for session cookies and deletions. `now` is in Unix seconds.
///
/// ```
/// use consentry::cookie::{ResponseTime, cap_lifetime};
/// let capped = cap_lifetime(b"_ga=1; Max-Age=900; Path=/", 60, ResponseTime::new(0), 0);
/// assert_eq!(capped.as_deref(), Some(&b"_ga=1; Max-Age=60; Path=/"[..]));
/// ```
pub fn cap_lifetime(line: &[u8], cap: i64, time: ResponseTime, now: i64) -> Option<Vec<u8>> {
    let scope = SetCookie::parse(line).scope();
    let standard = scope.lifetime(now);
    let is_deletion = || standard.is_some_and(|seconds| seconds <= 0);
    if !scope.is_persistent() || is_deletion() || scope.effect(time) == Effect::Deletes {
        return None;
    }
    scope.longest_lifetime(time).filter(|longest| *longest > cap)?;
    // Browsers differ in repeated and unusual attributes: the standard lifetime can be below the cap.
    Some(with_max_age(line, standard.map_or(cap, |seconds| seconds.min(cap))))
}

/// The line with one `Max-Age` in place of all lifetime attributes.
fn with_max_age(line: &[u8], seconds: i64) -> Vec<u8> {
    let mut changed = Vec::with_capacity(line.len() + 16);
    let mut is_replaced = false;
    for (index, part) in line.split(|byte| *byte == b';').enumerate() {
        let is_lifetime = index > 0 && is_lifetime(part);
        if is_lifetime && is_replaced {
            continue;
        }
        if index > 0 {
            changed.push(b';');
        }
        if is_lifetime {
            is_replaced = true;
            changed.extend(part.iter().take_while(|byte| matches!(byte, b' ' | b'\t')));
            changed.extend_from_slice(format!("Max-Age={seconds}").as_bytes());
        } else {
            changed.extend_from_slice(part);
        }
    }
    changed
}

fn is_lifetime(attribute: &[u8]) -> bool {
    let name = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
    LIFETIME_ATTRIBUTES.iter().any(|known| trim(name).eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tue, 24 Nov 2026.
    const NOW: i64 = 1_795_500_000;
    const DAY: i64 = 86_400;

    fn capped(line: &str, cap: i64) -> Option<String> {
        let capped = cap_lifetime(line.as_bytes(), cap, ResponseTime::new(NOW), NOW);
        capped.map(|line| String::from_utf8_lossy(&line).into_owned())
    }

    #[test]
    fn a_longer_lifetime_becomes_the_cap_and_other_bytes_stay() {
        for (line, expected) in [
            ("a=1; Max-Age=86401", Some("a=1; Max-Age=86400")),
            ("a=1;max-age = 99999999999999999999 ;Path=/", Some("a=1;Max-Age=86400;Path=/")),
            (
                "a=\"x y\" ;Path=/;\tEXPIRES=Wed, 24 Nov 2027 09:00:00 GMT; HttpOnly ; x=\u{e9};",
                Some("a=\"x y\" ;Path=/;\tMax-Age=86400; HttpOnly ; x=\u{e9};"),
            ),
            (
                "a=1; expires=Wed, 24 Nov 2027 09:00:00 GMT; Secure; Max-Age=31536000; SameSite=Lax",
                Some("a=1; Max-Age=86400; Secure; SameSite=Lax"),
            ),
            ("a=1; Expires=Wednesday, 24-Nov-27 09:00:00 UTC", Some("a=1; Max-Age=86400")),
            ("a=1; Max-Age=99999999; Max-Age=junk", Some("a=1; Max-Age=86400")),
            ("max-age=expires=1; Max-Age=90000", Some("max-age=expires=1; Max-Age=86400")),
            // Browsers that take the first attribute keep the cookie for longer than the last one says.
            ("a=1; Max-Age=90000; Max-Age=60", Some("a=1; Max-Age=60")),
            ("a=1; Max-Age=86400", None),
            ("a=1; Max-Age=60; Expires=Wed, 24 Nov 2027 09:00:00 GMT", None),
            ("a=1", None),
            ("a=1; Expires=soon", None),
            ("a=1; Max-Age=junk; Expires", None),
            ("a=; Max-Age=0", None),
            ("a=; Max-Age=-1; Expires=Wed, 24 Nov 2027 09:00:00 GMT", None),
            ("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("a=; Max-Age=99999999; Max-Age=0", None),
            ("", None),
        ] {
            assert_eq!(capped(line, DAY).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn an_expiry_date_is_measured_by_the_date_of_the_response_too() {
        let line = b"a=1; Expires=Tue, 24 Nov 2026 20:00:00 GMT";
        let late = ResponseTime::new(NOW).with_date(b"Sun, 22 Nov 2026 09:00:00 GMT");
        assert_eq!(cap_lifetime(line, DAY, ResponseTime::new(NOW), NOW), None);
        let capped = cap_lifetime(line, DAY, late, NOW).expect("two days by the response's clock");
        assert!(SetCookie::parse(&capped).scope().lifetime(NOW).is_some_and(|left| left < DAY));
    }

    fn attribute() -> impl Strategy<Value = String> {
        let lifetimes = prop_oneof![
            (-9_i64..400_000_000).prop_map(|seconds| format!("Max-Age={seconds}")),
            (1970_u32..2100).prop_map(|year| format!("Expires=Wed, 24 Nov {year} 09:00:00 GMT")),
            (0_u32..99)
                .prop_map(|year| format!("EXPIRES = Wednesday, 24-Nov-{year:02} 09:00:00 x")),
        ];
        prop_oneof![lifetimes, "[ \t]?(Path=/|secure|max-age|expires=|[a-z\u{e9}=,\" ]{0,9})[ \t]?"]
    }

    proptest! {
        #[test]
        fn a_capped_line_keeps_its_other_bytes_and_is_within_the_cap(
            pair in "[a-zA-Z=\u{e9} \t\"]{0,12}",
            attributes in proptest::collection::vec(attribute(), 0..6),
            cap in 1_i64..500_000_000,
        ) {
            let line = [vec![pair], attributes].concat().join(";");
            let time = ResponseTime::new(NOW);
            let (before, after) = (SetCookie::parse(line.as_bytes()).scope(), capped(&line, cap));
            let longest = before.longest_lifetime(time);
            let Some(after) = after else {
                let is_kept = longest.is_none_or(|longest| longest <= cap)
                    || !before.is_persistent()
                    || before.lifetime(NOW).is_some_and(|seconds| seconds <= 0);
                prop_assert!(is_kept, "{line}");
                return Ok(());
            };
            let scope = SetCookie::parse(after.as_bytes()).scope();
            prop_assert!(scope.max_age.is_some_and(|age| age > 0 && age <= cap && Some(age) <= longest));
            prop_assert_eq!(scope.expires, None);
            prop_assert_eq!(capped(&after, cap), None);
            let others = |line: &str| -> Vec<String> {
                let parts = line.split(';').enumerate();
                let parts = parts.filter(|(at, part)| *at == 0 || !is_lifetime(part.as_bytes()));
                parts.map(|(_, part)| part.to_owned()).collect()
            };
            prop_assert_eq!(others(&line), others(&after));
        }

        #[test]
        fn arbitrary_bytes_never_panic(line: Vec<u8>, cap: i64, now: i64) {
            cap_lifetime(&line, cap, ResponseTime::new(now), now);
        }
    }
}
