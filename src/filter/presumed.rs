//! Maintains the visitor's list of presumed cookies. A cookie that passes in a response because of
//! its attributes is added to the list, and so passes in later requests on every replica.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::COOKIE;
use memchr::memmem::Finder;

use crate::catalogue::{LIST_COOKIE, list_lines};
use crate::cookie::{Cookies, SetCookie};
use crate::http::Fields;
use crate::policy::Policy;

/// Searched for in the cookies of each request.
static LIST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LIST_COOKIE));

/// The `Cookie` fields of a request that contains a list. Empty without a list, or if presumption
/// is disabled.
pub(super) fn fields_with_list(fields: &impl Fields, policy: &Policy) -> Vec<Bytes> {
    let has_list = || fields.values(&COOKIE).any(|field| LIST.find(field).is_some());
    match policy.presumes() && has_list() {
        true => fields.values(&COOKIE).map(Bytes::copy_from_slice).collect(),
        false => Vec::new(),
    }
}

/// The `Set-Cookie` lines of the updated lists. `lists` are the request's `Cookie` fields, `set`
/// the presumed cookies of the response, `now` is in Unix seconds.
pub(super) fn lines(lists: &[Bytes], set: &[&[u8]], now: i64) -> Vec<String> {
    let cookies = Cookies::new(lists.iter().map(|field| &**field));
    let set: Vec<_> = set.iter().map(|line| SetCookie::parse(line)).collect();
    list_lines(&cookies, &set, now)
}
