//! Fields that may span several lines: comma-separated lists (RFC 9110 section 5.6.1) and `Cookie`.

use std::borrow::Cow;

use http::header::{COOKIE, HeaderName};

use super::fields::{FieldSection, Fields};

/// The members of a list in one line, without empty ones.
pub(crate) fn members_of(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let members = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.filter(|member| !member.is_empty())
}

/// The members of a list in all lines, without empty ones.
pub(crate) fn members<'a, F: Fields>(
    fields: &'a F,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, F> {
    fields.values(name).flat_map(members_of)
}

/// Whether a list has this member, in any case.
pub(crate) fn has_member(fields: &impl Fields, name: &HeaderName, member: &str) -> bool {
    members(fields, name).any(|other| other.eq_ignore_ascii_case(member.as_bytes()))
}

/// Appends a member and joins the list into one field line.
pub(super) fn append(fields: &mut FieldSection, name: &HeaderName, member: &[u8]) {
    match joined(fields, name, b", ") {
        Some(list) => {
            let list = [&list, &b", "[..], member].concat();
            fields.insert(name, list);
        }
        None => fields.append(name, member),
    }
}

/// Joins a request's `Cookie` lines into one line, as HTTP/1.1 and applications expect (RFC 9113
/// section 8.2.3).
pub(crate) fn join_cookies(fields: &mut FieldSection) {
    if let Some(Cow::Owned(joined)) = joined_cookies(fields) {
        fields.insert(&COOKIE, joined);
    }
}

/// A request's `Cookie` lines as one value. Owned if there are several lines.
pub(crate) fn joined_cookies(fields: &impl Fields) -> Option<Cow<'_, [u8]>> {
    joined(fields, &COOKIE, b"; ")
}

/// The lines with this name as one value.
fn joined<'a>(
    fields: &'a impl Fields,
    name: &HeaderName,
    separator: &[u8],
) -> Option<Cow<'a, [u8]>> {
    let mut lines = fields.values(name);
    let first = lines.next()?;
    if lines.next().is_none() {
        return Some(Cow::Borrowed(first));
    }
    let lines: Vec<&[u8]> = fields.values(name).collect();
    Some(Cow::Owned(lines.join(separator)))
}

/// Splits a list at commas that are not inside a quoted string (RFC 9110 section 5.6).
pub(crate) fn split_outside_quotes(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    field
        .split(move |byte| {
            let separates = *byte == b',' && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            separates
        })
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_field_lines_are_joined_in_order_byte_for_byte() {
        let cases: [(&[&[u8]], &[&[u8]]); 5] = [
            (&[], &[]),
            (&[b"a=1"], &[b"a=1"]),
            (&[b"a=1", b"b=2; c=3"], &[b"a=1; b=2; c=3"]),
            (&[b"a=1;", b"", b"\xff"], &[b"a=1;; ; \xff"]),
            (&[b"consentry=1", b"consentry=2"], &[b"consentry=1; consentry=2"]),
        ];
        for (sent, expected) in cases {
            let mut fields = FieldSection::default();
            for line in sent {
                fields.append(&COOKIE, line);
                fields.append(&HeaderName::from_static("x"), "y");
            }
            join_cookies(&mut fields);
            let joined: Vec<_> = fields.values(&COOKIE).collect();
            assert_eq!(joined, expected);
            assert_eq!(fields.texts("x").len(), sent.len());
        }
    }
}
