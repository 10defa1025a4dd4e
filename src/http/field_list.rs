//! Fields in one field line or several: comma-separated lists (RFC 9110 section 5.6.1) and `Cookie`.

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};

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
    headers.append(&name, member);
    join(headers, name, b", ");
}

/// Joins the `Cookie` field lines of a request into one, as HTTP/1.1 and applications expect (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    join(headers, COOKIE, b"; ");
}

/// Joins field lines into one.
fn join(headers: &mut HeaderMap, name: HeaderName, separator: &[u8]) {
    let mut lines = headers.get_all(&name).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    // Valid values joined by a valid separator are a valid value. If not, no line may stay unread.
    match HeaderValue::from_maybe_shared(Bytes::from(lines.join(separator))) {
        Ok(joined) => headers.insert(name, joined),
        Err(_) => headers.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_field_lines_become_one_in_their_order_and_byte_for_byte() {
        let cases: [(&[&[u8]], &[&[u8]]); 5] = [
            (&[], &[]),
            (&[b"a=1"], &[b"a=1"]),
            (&[b"a=1", b"b=2; c=3"], &[b"a=1; b=2; c=3"]),
            (&[b"a=1;", b"", b"\xff"], &[b"a=1;; ; \xff"]),
            (&[b"consentry=1", b"consentry=2"], &[b"consentry=1; consentry=2"]),
        ];
        for (sent, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in sent {
                headers.append(COOKIE, HeaderValue::from_bytes(line).expect("a valid value"));
                headers.append("x", HeaderValue::from_static("y"));
            }
            join_cookies(&mut headers);
            let joined: Vec<_> =
                headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(joined, expected);
            assert_eq!(headers.get_all("x").iter().count(), sent.len());
        }
    }
}
