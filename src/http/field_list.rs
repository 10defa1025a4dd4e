//! Fields that are comma-separated lists, in one field line or several (RFC 9110 section 5.6.1).

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The members of a list; empty ones do not count.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Appends a member, and leaves one field line.
pub(super) fn append(headers: &mut HeaderMap, name: HeaderName, member: HeaderValue) {
    let mut list: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    if list.is_empty() {
        headers.insert(name, member);
        return;
    }
    list.push(member.as_bytes());
    // Bytes of valid values joined by a valid separator are a valid value.
    if let Ok(list) = HeaderValue::from_maybe_shared(Bytes::from(list.join(&b", "[..]))) {
        headers.insert(name, list);
    }
}
