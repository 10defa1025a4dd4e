//! Field lines as they were received: spelling and order of the names, and bytes that a header map cannot hold.
//!
//! Everything that decides works on header maps. HTTP/1.1 writes a map by the lines that it came from, so that what
//! stays is written as it was received.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::head::FieldLine;

/// The field lines of a received head.
#[derive(Debug, Clone)]
pub(crate) struct FieldLines {
    /// A copy of the head, which the values of the map share.
    head: Bytes,
    lines: Box<[Line]>,
    /// Control characters in values, by the bytes that stand for them in the map.
    masks: Vec<Mask>,
}

#[derive(Debug, Clone)]
struct Line {
    name: HeaderName,
    /// Where the name begins in `head`; behind its end when it is not there.
    start: u32,
    /// How many lines before this one have the same name.
    occurrence: u16,
}

/// A control character and the byte that stands for it: one that the head does not have otherwise.
#[derive(Debug, Clone, Copy)]
struct Mask {
    byte: u8,
    control: u8,
}

impl FieldLines {
    /// The lines of a head, and their values as a map. `head` is what the lines were parsed from: values share a copy of it.
    ///
    /// Control characters in a value, which a map cannot hold, are replaced until the lines are [written](Self::write). A
    /// value whose head has every byte there is loses its line.
    pub(crate) fn of(fields: &[FieldLine<'_>], head: &[u8]) -> (HeaderMap, Self) {
        let start = head.as_ptr().addr();
        let end = fields.iter().map(|field| field.value.as_ptr().addr() + field.value.len()).max();
        let end = end.unwrap_or(start).saturating_sub(start);
        let shared = head.get(..end).map(Bytes::copy_from_slice).unwrap_or_default();
        let position = |part: &[u8]| part.as_ptr().addr().wrapping_sub(start);
        let value_of = |value: &[u8]| {
            let at = position(value);
            match shared.get(at..at.saturating_add(value.len())) {
                Some(same) if same == value => {
                    HeaderValue::from_maybe_shared(shared.slice(at..at + value.len())).ok()
                }
                _ => HeaderValue::from_bytes(value).ok(),
            }
        };
        let mut headers = HeaderMap::with_capacity(fields.len() + 8);
        let mut lines: Vec<Line> = Vec::with_capacity(fields.len());
        let mut masks = Vec::new();
        for field in fields {
            let Ok(name) = HeaderName::from_bytes(field.name.as_bytes()) else { continue };
            let value = value_of(field.value).or_else(|| {
                let masked = masked(field.value, &mut masks, head)?;
                HeaderValue::from_maybe_shared(Bytes::from(masked)).ok()
            });
            let Some(value) = value else { continue };
            let occurrence = match headers.try_append(name.clone(), value) {
                Ok(false) => 0,
                Ok(true) => {
                    let last = lines.iter().rev().find(|line| line.name == name);
                    last.map_or(0, |last| last.occurrence.saturating_add(1))
                }
                Err(_) => continue,
            };
            let spelling = field.name.as_bytes();
            let at = position(spelling);
            let known = shared.get(at..at.saturating_add(spelling.len())) == Some(spelling);
            let start = u32::try_from(at).ok().filter(|_| known).unwrap_or(u32::MAX);
            lines.push(Line { name, start, occurrence });
        }
        (headers, Self { head: shared, lines: lines.into(), masks })
    }

    /// Whether a value has bytes that only HTTP/1.1 can carry.
    pub(crate) fn has_controls(&self) -> bool {
        !self.masks.is_empty()
    }

    /// Removes the lines with control characters, for a carrier that cannot have them (RFC 9113 section 8.2.1).
    pub(crate) fn remove_controls(&self, headers: &mut HeaderMap) {
        let is_masked = |value: &HeaderValue| {
            value.as_bytes().iter().any(|byte| self.masks.iter().any(|mask| mask.byte == *byte))
        };
        let names: Vec<HeaderName> = headers
            .iter()
            .filter(|(_, value)| is_masked(value))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            headers.remove(name);
        }
    }

    /// The name of a line as received.
    fn spelling<'a>(&'a self, line: &'a Line) -> &'a [u8] {
        let name = line.name.as_str().as_bytes();
        let start = usize::try_from(line.start).unwrap_or(usize::MAX);
        self.head.get(start..start.saturating_add(name.len())).unwrap_or(name)
    }
}

/// Field lines as a map, without those that a map cannot hold.
pub(crate) fn to_map(fields: &[FieldLine<'_>]) -> HeaderMap {
    let pair = |field: &FieldLine<'_>| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    fields.iter().filter_map(pair).collect()
}

/// Writes a map in HTTP/1.1 syntax, without an empty line at the end: first the lines that were received, in their order
/// and spelling, with the values that the map has now; then what is new.
pub(crate) fn write(headers: &HeaderMap, received: Option<&FieldLines>, out: &mut Vec<u8>) {
    let masks = received.map_or(&[][..], |received| &received.masks);
    let mut line = |name: &[u8], value: &HeaderValue| {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        let start = out.len();
        out.extend_from_slice(value.as_bytes());
        for mask in masks {
            for byte in out.iter_mut().skip(start).filter(|byte| **byte == mask.byte) {
                *byte = mask.control;
            }
        }
        out.extend_from_slice(b"\r\n");
    };
    let Some(received) = received else {
        headers.iter().for_each(|(name, value)| line(name.as_str().as_bytes(), value));
        return;
    };
    let mut written = 0;
    // Lines of the same name follow one another, mostly.
    let mut last: Option<(&HeaderName, http::header::ValueIter<'_, HeaderValue>)> = None;
    for known in &received.lines {
        let value = match (&mut last, known.occurrence) {
            (Some((name, values)), 1..) if **name == known.name => values.next(),
            (_, occurrence) => {
                let mut values = headers.get_all(&known.name).iter();
                let value = values.nth(occurrence.into());
                last = Some((&known.name, values));
                value
            }
        };
        if let Some(value) = value {
            line(received.spelling(known), value);
            written += 1;
        }
    }
    if written == headers.len() {
        return;
    }
    let (mut last, mut seen, mut known) = (None::<&HeaderName>, 0, 0);
    for (name, value) in headers {
        if last.is_none_or(|last| !std::ptr::eq(last, name)) {
            known = received.lines.iter().filter(|line| line.name == *name).count();
            (last, seen) = (Some(name), 0);
        }
        seen += 1;
        if seen > known {
            line(name.as_str().as_bytes(), value);
        }
    }
}

/// A value with its control characters masked; `None` where no byte is left to stand for one.
fn masked(value: &[u8], masks: &mut Vec<Mask>, head: &[u8]) -> Option<Vec<u8>> {
    let mut masked = value.to_vec();
    for byte in masked.iter_mut().filter(|byte| byte.is_ascii_control() && **byte != b'\t') {
        let known = masks.iter().find(|mask| mask.control == *byte).map(|mask| mask.byte);
        let stands = match known {
            Some(known) => known,
            None => {
                let taken = |free: &u8| masks.iter().any(|mask| mask.byte == *free);
                let free = (0x80..=0xff).find(|free| !taken(free) && !head.contains(free))?;
                masks.push(Mask { byte: free, control: *byte });
                free
            }
        };
        *byte = stands;
    }
    Some(masked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{self, Parsed};

    fn parsed(head: &[u8]) -> (HeaderMap, FieldLines) {
        match head::request(head, 100, |request| FieldLines::of(request.fields, head)) {
            Ok(Parsed::Complete(lines, _)) => lines,
            other => panic!("{other:?}"),
        }
    }

    fn written(headers: &HeaderMap, lines: &FieldLines) -> String {
        let mut out = Vec::new();
        write(headers, Some(lines), &mut out);
        out.escape_ascii().to_string().replace(r"\r\n", "|")
    }

    const HEAD: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\nCOOKIE: a=\x7f1\xff; b\r\nx-One: 1\r\nX-one:2\r\nAccept: */*\r\nX-ONE: 3\r\n\r\n";

    #[test]
    fn lines_are_written_as_received() {
        let (headers, lines) = parsed(HEAD);
        let expected = r"Host: a|COOKIE: a=\x7f1\xff; b|x-One: 1|X-one: 2|Accept: */*|X-ONE: 3|";
        assert_eq!(written(&headers, &lines), expected);
        assert_eq!(
            headers.get("cookie").map(|value| value.as_bytes()),
            Some(&b"a=\x801\xff; b"[..])
        );
    }

    #[test]
    fn changed_values_keep_their_line_and_new_ones_follow() {
        let (mut headers, lines) = parsed(HEAD);
        headers.insert("cookie", HeaderValue::from_static("b"));
        headers.remove("accept");
        headers.insert("x-one", HeaderValue::from_static("only"));
        headers.append("host", HeaderValue::from_static("second"));
        headers.insert("via", HeaderValue::from_static("1.1 x"));
        assert_eq!(
            written(&headers, &lines),
            "Host: a|COOKIE: b|x-One: only|host: second|via: 1.1 x|"
        );
    }

    #[test]
    fn lines_with_control_characters_are_removed_for_other_carriers() {
        let (mut headers, lines) = parsed(HEAD);
        assert!(lines.has_controls());
        lines.remove_controls(&mut headers);
        assert!(!headers.contains_key("cookie") && headers.len() == 5);
    }
}
