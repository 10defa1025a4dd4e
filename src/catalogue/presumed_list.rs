//! The list of presumed cookies: a consentry cookie with the names of unclassified cookies that
//! passed for this visitor.
//!
//! Requests contain no cookie attributes. With the list, every replica knows which cookies the
//! origin has set, without local state. The list contains names only, no values. A presumed cookie
//! is recorded in a list with the same `Domain` and `Partitioned`, so that the browser sends both
//! to the same places.
//!
//! The value is `1~DOMAIN~FLAGS~DAY~NAME~NAME…`: the version, the list's `Domain` (empty for a
//! host-only list), its attributes as letters, the day of writing (days since 1970), and
//! percent-encoded names, newest last.

use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::cookie::{Cookies, SetCookie};

/// The name of the list cookie.
pub const LIST_COOKIE: &str = "consentry_presumed";

const VERSION: &str = "1";
/// Maximum number of names per list.
const MAX_NAMES: usize = 48;
/// Maximum length of the encoded names of a list, in bytes.
const MAX_BYTES: usize = 2048;
/// Maximum length of a listed name, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Maximum number of lists to read per request: for the host and each parent domain, with and
/// without `Partitioned`.
const MAX_LISTS: usize = 8;
/// Maximum lifetime of cookies in browsers, in days (RFC 6265bis section 5.5).
const MAX_DAYS: i64 = 400;
/// Age in days from which a persistent list is renewed.
const RENEWED_AFTER_DAYS: i64 = 100;
const DAY: i64 = 24 * 60 * 60;

/// Encodes all characters that are unsafe in cookie values or used as separators.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A list as stored by a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NameList {
    domain: Option<String>,
    /// Sent in cross-site requests too: `SameSite=None`.
    cross_site: bool,
    partitioned: bool,
    /// Sent over HTTPS only.
    secure: bool,
    /// Not limited to the session.
    persistent: bool,
    day: i64,
    names: Vec<Vec<u8>>,
}

impl NameList {
    /// Parses a list. `None` if the value is not a list.
    fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('~');
        if parts.next()? != VERSION {
            return None;
        }
        let (domain, flags, day) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
        let names = parts.take(MAX_NAMES).map(|name| percent_decode_str(name).collect());
        Some(Self {
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
            cross_site: flags.contains('n'),
            partitioned: flags.contains('p'),
            secure: flags.contains('s'),
            persistent: flags.contains('l'),
            day,
            names: names.collect(),
        })
    }

    /// The lists in a request.
    fn all_of(cookies: &Cookies<'_>) -> Vec<Self> {
        let values = cookies.values(LIST_COOKIE.as_bytes());
        values.take(MAX_LISTS).filter_map(Self::parse).collect()
    }

    /// The listed names, newest last.
    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// An empty list with the scope of this cookie.
    fn like(cookie: &SetCookie<'_>) -> Self {
        let scope = cookie.scope();
        Self {
            domain: scope.domain.and_then(host_text),
            partitioned: scope.partitioned,
            secure: scope.secure,
            ..Self::default()
        }
    }

    /// Adds a cookie that was set at `now` (Unix seconds). Returns whether the list must be sent
    /// again.
    fn add(&mut self, cookie: &SetCookie<'_>, now: i64) -> bool {
        let before = self.clone();
        let scope = cookie.scope();
        self.secure &= scope.secure;
        self.cross_site |= cookie.access().same_site == Some("none");
        self.persistent |= scope.lifetime(now).is_some();
        if !self.names().any(|name| name == cookie.name) {
            self.names.push(cookie.name.to_vec());
        }
        let day = now.div_euclid(DAY);
        let renews = self.persistent && !(0..RENEWED_AFTER_DAYS).contains(&(day - self.day));
        if *self == before && !renews {
            return false;
        }
        self.day = day;
        true
    }

    /// Evicts names that are not in the request, then the oldest names, until the limits are met.
    fn shorten(&mut self, sent: impl Fn(&[u8]) -> bool) {
        let size = |name: &Vec<u8>| percent_encode(name, ENCODED).map(str::len).sum::<usize>() + 1;
        let mut bytes: usize = self.names.iter().map(size).sum();
        while self.names.len() > MAX_NAMES || bytes > MAX_BYTES {
            // The last name is the one being added.
            let older = self.names.len().saturating_sub(1);
            let unsent = self.names.iter().take(older).position(|name| !sent(name));
            bytes -= size(&self.names.remove(unsent.unwrap_or_default()));
        }
    }

    /// The `Set-Cookie` line that stores the list.
    fn line(&self) -> String {
        let domain = self.domain.as_deref().unwrap_or_default();
        let mut line = format!("{LIST_COOKIE}={VERSION}~{domain}~");
        let flags = [
            ('n', self.cross_site),
            ('p', self.partitioned),
            ('s', self.secure),
            ('l', self.persistent),
        ];
        line.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| *flag));
        line.push_str(&format!("~{}", self.day));
        for name in self.names() {
            line.push('~');
            line.extend(percent_encode(name, ENCODED));
        }
        line.push_str("; Path=/; HttpOnly");
        if let Some(domain) = &self.domain {
            line.push_str(&format!("; Domain={domain}"));
        }
        if self.persistent {
            line.push_str(&format!("; Max-Age={}", MAX_DAYS * DAY));
        }
        for (attribute, set) in [
            ("; Secure", self.secure),
            ("; SameSite=None", self.cross_site),
            ("; Partitioned", self.partitioned),
        ] {
            if set {
                line.push_str(attribute);
            }
        }
        line
    }
}

/// The names in the lists of a request.
pub(super) fn listed_names(cookies: &Cookies<'_>) -> HashSet<Vec<u8>> {
    NameList::all_of(cookies).into_iter().flat_map(|list| list.names).collect()
}

/// Whether a name can be listed.
pub(super) fn can_be_listed(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES
}

/// The `Set-Cookie` lines of changed lists, for a response that sets `set` at `now` (Unix seconds)
/// to a request with these cookies.
pub fn list_lines(cookies: &Cookies<'_>, set: &[SetCookie<'_>], now: i64) -> Vec<String> {
    let mut lists: Vec<(NameList, bool)> =
        NameList::all_of(cookies).into_iter().map(|list| (list, false)).collect();
    for cookie in set {
        let new = NameList::like(cookie);
        let same =
            |list: &NameList| (&list.domain, list.partitioned) == (&new.domain, new.partitioned);
        if !lists.iter().any(|(list, _)| same(list)) {
            lists.push((new.clone(), true));
        }
        for (list, changed) in lists.iter_mut().filter(|(list, _)| same(list)) {
            *changed |= list.add(cookie, now);
        }
    }
    let sent = |name: &[u8]| cookies.pairs().any(|pair| pair.name == name);
    let changed = lists.into_iter().filter(|(_, changed)| *changed);
    let line = |(mut list, _): (NameList, bool)| {
        list.shorten(sent);
        list.line()
    };
    changed.map(line).collect()
}

/// A `Domain` in lower case, if it is a valid host name.
fn host_text(domain: &[u8]) -> Option<String> {
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (domain.len() <= 253 && domain.iter().all(valid))
        .then(|| String::from_utf8_lossy(domain).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_500_000;

    fn lines(cookie: &str, set: &[&str], now: i64) -> Vec<String> {
        let set: Vec<_> = set.iter().map(|line| SetCookie::parse(line.as_bytes())).collect();
        list_lines(&Cookies::new([cookie.as_bytes()]), &set, now)
    }

    fn pair(line: &str) -> &str {
        line.split(';').next().unwrap_or_default()
    }

    #[test]
    fn a_list_is_persistent_with_its_first_persistent_cookie_and_is_renewed_before_it_expires() {
        let session = lines("", &["a=1; HttpOnly"], NOW);
        assert_eq!(session, ["consentry_presumed=1~~~20781~a; Path=/; HttpOnly"]);
        let cookie = pair(&session[0]);
        assert!(lines(cookie, &["a=1; HttpOnly"], NOW + 300 * DAY).is_empty());
        let longer = lines(cookie, &["b=1; HttpOnly; Max-Age=60"], NOW);
        assert_eq!(
            longer,
            ["consentry_presumed=1~~l~20781~a~b; Path=/; HttpOnly; Max-Age=34560000"]
        );
        let cookie = pair(&longer[0]);
        for set in ["a=1; HttpOnly", "b=1; HttpOnly; Max-Age=60"] {
            assert!(lines(cookie, &[set], NOW + 99 * DAY).is_empty());
            assert_eq!(lines(cookie, &[set], NOW + 100 * DAY).len(), 1);
        }
    }

    #[test]
    fn a_list_is_secure_only_if_all_its_cookies_are() {
        let first = lines("", &["a=1; Secure"], NOW);
        assert!(first[0].ends_with("~s~20781~a; Path=/; HttpOnly; Secure"), "{first:?}");
        let second = lines(pair(&first[0]), &["b=1"], NOW);
        assert!(second[0].ends_with("~~20781~a~b; Path=/; HttpOnly"), "{second:?}");
        assert!(lines(pair(&second[0]), &["a=1; Secure"], NOW).is_empty());
    }

    #[test]
    fn names_that_the_browser_no_longer_sends_are_evicted_first() {
        let names = |range: std::ops::Range<usize>| -> Vec<String> {
            range.map(|n| format!("n{n}=1; HttpOnly")).collect()
        };
        let of = |names: &[String], cookie: &str| {
            let set: Vec<&str> = names.iter().map(String::as_str).collect();
            lines(cookie, &set, NOW).remove(0)
        };
        let full = of(&names(0..MAX_NAMES), "");
        let cookie = format!("{}; n0=1; n1=1", pair(&full));
        let next = of(&names(100..130), &cookie);
        let kept: Vec<&str> = pair(&next).split('~').skip(4).collect();
        assert_eq!(kept.len(), MAX_NAMES);
        assert_eq!(kept[..3], ["n0", "n1", "n32"]);
        assert_eq!(kept.last(), Some(&"n129"));
    }

    proptest! {
        #[test]
        fn lists_round_trip_and_arbitrary_bytes_never_panic(
            name in "[!-:<>-~\u{80}-\u{ff}]{1,40}",
            value in "[ -:<-~]{0,60}",
        ) {
            let line = lines("", &[&format!("{name}=1; HttpOnly")], NOW).remove(0);
            let cookie = pair(&line);
            prop_assert!(cookie.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            let listed = listed_names(&Cookies::new([cookie.as_bytes()]));
            prop_assert!(listed.contains(name.as_bytes()) && listed.len() == 1);
            let hostile = format!("{LIST_COOKIE}={value}; {LIST_COOKIE}=1~{value}");
            let _ = lines(&hostile, &["a=1"], i64::MAX);
        }
    }

    #[test]
    fn a_list_is_at_most_2_kib_and_a_request_is_read_up_to_8_lists_of_48_names() {
        let long: Vec<String> =
            (0..40).map(|number| format!("{number:02}{}=1; HttpOnly", "x".repeat(98))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let line = lines("", &long, NOW).remove(0);
        let names = pair(&line).splitn(5, '~').nth(4).unwrap_or_default();
        assert!((1900..=2048).contains(&names.len()), "{}", names.len());
        let list = |of: usize| -> String {
            let names: String = (0..60).map(|number| format!("~n{of}x{number}")).collect();
            format!("{LIST_COOKIE}=1~~~20781{names}; ")
        };
        let claimed: String = (0..10).map(list).collect();
        assert_eq!(listed_names(&Cookies::new([list(0).as_bytes()])).len(), 48);
        assert_eq!(listed_names(&Cookies::new([claimed.as_bytes()])).len(), 8 * 48);
        assert!(can_be_listed(&[b'x'; 128]) && !can_be_listed(&[b'x'; 129]));
    }
}
