//! Field section of a message (RFC 9110 section 6.3): read access, and the storage for HTTP/1.1
//! heads.
//!
//! A [`FieldSection`] is a copy of the received bytes with the positions of names and values.
//! Removing a line or setting a value only changes positions. Unchanged lines are therefore written
//! exactly as received.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::head::FieldLine;

/// Spare bytes after a received head, for fields added by this proxy.
const RESERVE: usize = 512;
/// Spare bytes for the names of added fields, and spare lines.
const NAMES_RESERVE: usize = 128;
const LINES_RESERVE: usize = 8;

/// Read access to field lines by name, for every representation. Names are in lower case.
pub trait Fields {
    /// The value of the first line with this name.
    fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of all lines with this name, in order.
    fn values<'a>(
        &'a self,
        name: &HeaderName,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, Self>;

    /// Whether there is a line with this name.
    fn has(&self, name: &HeaderName) -> bool {
        self.value(name).is_some()
    }

    /// The name of every line. Names may repeat.
    fn names(&self) -> impl Iterator<Item = &str>;

    /// The number of lines.
    fn count(&self) -> usize;
}

impl Fields for HeaderMap {
    fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        self.get(name).map(HeaderValue::as_bytes)
    }

    fn values<'a>(
        &'a self,
        name: &HeaderName,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        self.get_all(name).into_iter().map(HeaderValue::as_bytes)
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.contains_key(name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.keys().map(HeaderName::as_str)
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// The field section of a message. It keeps the order and the spelling of the names.
#[derive(Clone, Default)]
pub(crate) struct FieldSection {
    /// The received bytes, followed by the bytes added since.
    bytes: Vec<u8>,
    /// The names in lower case.
    names: String,
    lines: Vec<StoredLine>,
}

/// A field line.
#[derive(Clone, Copy)]
struct StoredLine {
    /// The position in `names`.
    name: Span,
    /// The start of the received name in `bytes`.
    spelling: u32,
    /// The position in `bytes`.
    value: Span,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn new(start: usize, length: usize) -> Self {
        // Heads are far shorter than 4 GiB. An invalid position yields no bytes.
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        Self { start, length: u32::try_from(length).unwrap_or_default() }
    }

    fn range(self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(usize::try_from(self.length).unwrap_or_default())
    }

    /// Whether this span is `name` in `names`. The lengths are compared first, because most names
    /// differ in length.
    fn is(self, name: &str, names: &str) -> bool {
        usize::try_from(self.length) == Ok(name.len()) && names.get(self.range()) == Some(name)
    }
}

/// Omits names and values, because they may be secret.
impl fmt::Debug for FieldSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldSection").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Fields for FieldSection {
    fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        Some(self.at(self.lines.get(self.position(name)?)?.value))
    }

    fn values<'a>(
        &'a self,
        name: &HeaderName,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        // `name` only finds the first line. The other lines are compared with the first line's
        // name, which outlives the iterator.
        let first = self.position(name);
        let lines = first.and_then(|first| self.lines.get(first..)).unwrap_or_default();
        let name = lines.first().map(|line| self.name_of(line)).unwrap_or_default();
        let same = lines.iter().filter(move |line| line.name.is(name, &self.names));
        same.map(|line| self.at(line.value))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| self.name_of(line))
    }

    fn count(&self) -> usize {
        self.lines.len()
    }
}

impl FieldSection {
    /// Copies the field lines of a received `head`. The lines must borrow from `head`.
    pub(crate) fn of(fields: &[FieldLine<'_>], head: &[u8]) -> Self {
        let begin = head.as_ptr().addr();
        let position = |part: &[u8]| part.as_ptr().addr().wrapping_sub(begin);
        let end =
            fields.iter().map(|field| position(field.value).saturating_add(field.value.len()));
        let end = end.max().unwrap_or_default().min(head.len());
        let names: usize = fields.iter().map(|field| field.name.len()).sum();
        let mut section = Self {
            bytes: Vec::with_capacity(end + RESERVE),
            names: String::with_capacity(names + NAMES_RESERVE),
            lines: Vec::with_capacity(fields.len() + LINES_RESERVE),
        };
        section.bytes.extend_from_slice(head.get(..end).unwrap_or_default());
        for field in fields {
            let spelling = u32::try_from(position(field.name.as_bytes())).unwrap_or(u32::MAX);
            let value = Span::new(position(field.value), field.value.len());
            let name = section.add_name(field.name);
            section.lines.push(StoredLine { name, spelling, value });
        }
        section.names.make_ascii_lowercase();
        section
    }

    /// Copies the lines of a map. Its values have no control characters.
    pub(crate) fn from_map(map: &HeaderMap) -> Self {
        let names: usize = map.iter().map(|(name, _)| name.as_str().len()).sum();
        let values: usize = map.values().map(HeaderValue::len).sum();
        let mut section = Self {
            bytes: Vec::with_capacity(names + values + RESERVE),
            names: String::with_capacity(names + NAMES_RESERVE),
            lines: Vec::with_capacity(map.len() + LINES_RESERVE),
        };
        for (name, value) in map {
            section.append(name, value);
        }
        section
    }

    /// Converts the lines to a map. Lines with control characters in their value are dropped,
    /// because only HTTP/1.1 can carry them (RFC 9113 section 8.2.1).
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.lines.len());
        for (name, value) in self.iter() {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// Every line, as lower-case name and value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| (self.name_of(line), self.at(line.value)))
    }

    /// Writes the lines in HTTP/1.1 syntax, without a final empty line.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for line in &self.lines {
            let spelling = Span { start: line.spelling, length: line.name.length };
            out.extend_from_slice(self.at(spelling));
            out.extend_from_slice(b": ");
            out.extend_from_slice(self.at(line.value));
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Sets a field to one line with this value. The line replaces the first line with this name,
    /// or is added at the end. An invalid value only removes the field.
    pub(crate) fn insert(&mut self, name: &HeaderName, value: impl AsRef<[u8]>) {
        let Some(first) = self.position(name) else { return self.append(name, value) };
        let Some(value) = self.add(value.as_ref()) else {
            self.remove(name);
            return;
        };
        self.lines.get_mut(first).into_iter().for_each(|line| line.value = value);
        let name = name.as_str();
        let Self { names, lines, .. } = self;
        let mut at = 0..;
        lines.retain(|line| at.next() == Some(first) || !line.name.is(name, names));
    }

    /// Appends a line. An invalid value is ignored.
    pub(crate) fn append(&mut self, name: &HeaderName, value: impl AsRef<[u8]>) {
        let spelling = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(name.as_str().as_bytes());
        let Some(value) = self.add(value.as_ref()) else { return };
        let name = self.add_name(name.as_str());
        self.lines.push(StoredLine { name, spelling, value });
    }

    /// Removes all lines with this name. Returns whether there were any.
    pub(crate) fn remove(&mut self, name: &HeaderName) -> bool {
        let Some(first) = self.position(name) else { return false };
        let name = name.as_str();
        let Self { names, lines, .. } = self;
        let mut at = 0..;
        lines.retain(|line| at.next() < Some(first) || !line.name.is(name, names));
        true
    }

    /// Removes the lines for which `removed` returns true. Returns whether there were any.
    pub(crate) fn remove_where(&mut self, removed: impl Fn(&str, &[u8]) -> bool) -> bool {
        let before = self.lines.len();
        let Self { bytes, names, lines } = self;
        lines.retain(|line| {
            let name = names.get(line.name.range()).unwrap_or_default();
            !removed(name, bytes.get(line.value.range()).unwrap_or_default())
        });
        lines.len() < before
    }

    /// Applies `change` to the value of each line with this name.
    pub(crate) fn change(&mut self, name: &HeaderName, mut change: impl FnMut(&[u8]) -> Change) {
        let mut at = 0;
        while let Some(line) = self.lines.get(at).copied() {
            at += 1;
            if !line.name.is(name.as_str(), &self.names) {
                continue;
            }
            let value = match change(self.at(line.value)) {
                Change::Keep => continue,
                Change::Set(value) => self.add(&value),
                Change::Remove => None,
            };
            match value {
                Some(value) => {
                    self.lines.get_mut(at - 1).into_iter().for_each(|line| line.value = value);
                }
                None => {
                    at -= 1;
                    self.lines.remove(at);
                }
            }
        }
    }

    /// Appends a value to `bytes`; `None` if the value would end its line.
    fn add(&mut self, value: &[u8]) -> Option<Span> {
        if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        Some(Span::new(start, value.len()))
    }

    fn add_name(&mut self, name: &str) -> Span {
        let start = self.names.len();
        self.names.push_str(name);
        Span::new(start, name.len())
    }

    fn position(&self, name: &HeaderName) -> Option<usize> {
        let name = name.as_str();
        self.lines.iter().position(|line| line.name.is(name, &self.names))
    }

    fn at(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    fn name_of(&self, line: &StoredLine) -> &str {
        self.names.get(line.name.range()).unwrap_or_default()
    }
}

/// A change to a field line.
pub(crate) enum Change {
    Keep,
    Remove,
    /// Replace the value.
    Set(Bytes),
}

/// Writes trailers in HTTP/1.1 syntax, without a final empty line.
pub(crate) fn write_map(map: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in map {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Converts field lines to a map. Lines that a map cannot hold are dropped.
pub(crate) fn to_map(fields: &[FieldLine<'_>]) -> HeaderMap {
    let pair = |field: &FieldLine<'_>| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    fields.iter().filter_map(pair).collect()
}

#[cfg(test)]
impl FieldSection {
    /// Creates a section with these lines.
    pub(crate) fn from_lines(lines: &[(&str, &str)]) -> Self {
        let mut section = Self::default();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            section.append(&name, value);
        }
        section
    }

    /// The values of a field, as text.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        self.values(&name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{self, Parsed};
    use http::header::{ACCEPT, COOKIE, HOST, VIA};
    use proptest::prelude::*;

    fn parsed(head: &[u8]) -> FieldSection {
        match head::request(head, 100, |request| FieldSection::of(request.fields, head)) {
            Ok(Parsed::Complete(section, _)) => section,
            other => panic!("{other:?}"),
        }
    }

    fn written(section: &FieldSection) -> String {
        let mut out = Vec::new();
        section.write(&mut out);
        out.escape_ascii().to_string().replace(r"\r\n", "|")
    }

    const X_ONE: HeaderName = HeaderName::from_static("x-one");
    const HEAD: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\nCOOKIE: a=\x7f1\xff; b\r\nx-One: 1\r\nX-one:2\r\nAccept: */*\r\nX-ONE: 3\r\n\r\n";

    #[test]
    fn lines_are_written_as_received() {
        let section = parsed(HEAD);
        let expected = r"Host: a|COOKIE: a=\x7f1\xff; b|x-One: 1|X-one: 2|Accept: */*|X-ONE: 3|";
        assert_eq!(written(&section), expected);
        assert_eq!(section.value(&COOKIE), Some(&b"a=\x7f1\xff; b"[..]));
        assert!(section.values(&X_ONE).eq([b"1", b"2", b"3"]));
        assert!(section.names().eq(["host", "cookie", "x-one", "x-one", "accept", "x-one"]));
    }

    #[test]
    fn changed_values_keep_their_line_and_new_lines_follow() {
        let mut section = parsed(HEAD);
        section.insert(&COOKIE, "b");
        section.remove(&ACCEPT);
        section.insert(&X_ONE, "only");
        section.append(&HOST, "second");
        section.insert(&VIA, "1.1 x");
        let expected = "Host: a|COOKIE: b|x-One: only|host: second|via: 1.1 x|";
        assert_eq!(written(&section), expected);
    }

    #[test]
    fn each_line_is_kept_removed_or_replaced() {
        let mut section = parsed(HEAD);
        section.change(&X_ONE, |value| match value {
            b"1" => Change::Remove,
            b"2" => Change::Set(Bytes::from_static(b"two")),
            _ => Change::Keep,
        });
        assert_eq!(
            written(&section),
            r"Host: a|COOKIE: a=\x7f1\xff; b|X-one: two|Accept: */*|X-ONE: 3|"
        );
    }

    #[test]
    fn values_with_line_breaks_or_nul_are_dropped() {
        for value in ["a\r\nSet-Cookie: b", "a\nb", "a\0b"] {
            let mut section = FieldSection::from_lines(&[("x-one", "1"), ("via", "1")]);
            section.append(&ACCEPT, value);
            section.insert(&X_ONE, value);
            section.change(&VIA, |_| Change::Set(Bytes::copy_from_slice(value.as_bytes())));
            assert_eq!(written(&section), "");
        }
    }

    #[test]
    fn maps_get_the_same_lines_without_control_characters() {
        let map = parsed(HEAD).to_map();
        assert!(!map.contains_key("cookie") && map.len() == 5);
        assert_eq!(FieldSection::from_map(&map).to_map(), map);
    }

    proptest! {
        #[test]
        fn edits_of_a_section_and_of_a_map_have_the_same_result(
            lines in prop::collection::vec(("[abc]", "[a-z]{0,3}"), 0..8),
            steps in prop::collection::vec((0..4, "[abcd]", "[a-z]{1,3}"), 0..8),
        ) {
            let borrowed: Vec<_> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let mut section = FieldSection::from_lines(&borrowed);
            let mut map = section.to_map();
            for (step, name, value) in &steps {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                let header = HeaderValue::from_str(value).expect("a value");
                match step {
                    0 => drop((section.insert(&name, value), map.insert(&name, header))),
                    1 => drop((section.append(&name, value), map.append(&name, header))),
                    2 => drop((section.remove(&name), map.remove(&name))),
                    _ => prop_assert_eq!(section.has(&name), map.has(&name)),
                }
                prop_assert!(section.values(&name).eq(Fields::values(&map, &name)));
                prop_assert_eq!(section.value(&name), map.value(&name));
            }
            prop_assert_eq!(section.count(), map.count());
            prop_assert_eq!(section.to_map(), map);
        }
    }
}
