//! Keeps the visitor's list of presumed cookies up to date: what passes in a response by its attributes passes in later
//! requests because the list names it, on every replica.

use http::header::{COOKIE, HeaderMap, HeaderValue};
use memchr::memmem;

use crate::catalogue::{LIST_COOKIE, list_lines};
use crate::cookie::{Cookies, SetCookie};
use crate::policy::Policy;

/// The `Cookie` fields of a request with a list; none without one, or where nothing is presumed.
pub(super) fn fields_with_list(headers: &HeaderMap, policy: &Policy) -> Vec<HeaderValue> {
    let fields = || headers.get_all(COOKIE).iter();
    let has_list =
        || fields().any(|field| memmem::find(field.as_bytes(), LIST_COOKIE.as_bytes()).is_some());
    if policy.presumes() && has_list() { fields().cloned().collect() } else { Vec::new() }
}

/// The `Set-Cookie` lines of lists for a response that sets these presumed cookies, to a request with these `Cookie`
/// fields, at `now` (Unix seconds).
pub(super) fn lines(lists: &[HeaderValue], set: &[HeaderValue], now: i64) -> Vec<HeaderValue> {
    let cookies = Cookies::new(lists.iter().map(HeaderValue::as_bytes));
    let set: Vec<_> = set.iter().map(|line| SetCookie::parse(line.as_bytes())).collect();
    let lines = list_lines(&cookies, &set, now).into_iter();
    lines.filter_map(|line| HeaderValue::try_from(line).ok()).collect()
}
