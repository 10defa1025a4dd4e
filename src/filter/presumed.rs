//! Keeps the visitor's list of presumed cookies up to date: what passes in a response by its attributes passes in later
//! requests because the list names it, on every replica.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::COOKIE;
use memchr::memmem::Finder;

use crate::catalogue::{LIST_COOKIE, list_lines};
use crate::cookie::{Cookies, SetCookie};
use crate::http::Fields;
use crate::policy::Policy;

/// Looked for in the cookies of each request.
static LIST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LIST_COOKIE));

/// The `Cookie` fields of a request with a list; none without one, or where nothing is presumed.
pub(super) fn fields_with_list(fields: &impl Fields, policy: &Policy) -> Vec<Bytes> {
    let has_list = || fields.values(&COOKIE).any(|field| LIST.find(field).is_some());
    match policy.presumes() && has_list() {
        true => fields.values(&COOKIE).map(Bytes::copy_from_slice).collect(),
        false => Vec::new(),
    }
}

/// The `Set-Cookie` lines of lists for a response that sets these presumed cookies, to a request with these `Cookie`
/// fields, at `now` (Unix seconds).
pub(super) fn lines(lists: &[Bytes], set: &[&[u8]], now: i64) -> Vec<String> {
    let cookies = Cookies::new(lists.iter().map(|field| &**field));
    let set: Vec<_> = set.iter().map(|line| SetCookie::parse(line)).collect();
    list_lines(&cookies, &set, now)
}
