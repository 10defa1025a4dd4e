//! A start tag: its parts, and its serialization after edits.

use std::ops::{Deref, Range};

/// The prefix of disabled attributes.
const PREFIX: &[u8] = b"data-consentry-";

/// The parts of a tag, relative to its start.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct TagSpans {
    pub(super) name: Range<usize>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) self_closing: bool,
}

/// The parts of an attribute, relative to the start of its tag.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    /// Without quotes. `None` if there is no `=`.
    pub(super) value: Option<Range<usize>>,
    /// The end of the attribute, including its quotes.
    pub(super) end: usize,
}

/// An element name in lower case, truncated to 30 bytes: no known element has a longer name.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; 30],
    length: u8,
}

impl Name {
    pub(super) fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 30];
        let mut length = 0;
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
            length += 1;
        }
        Self { bytes, length }
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// A start tag as written in the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    bytes: &'a [u8],
    spans: &'a TagSpans,
    xml: bool,
}

/// An edit of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TagEdit<'a> {
    /// Renames the attribute to `data-consentry-…`.
    Disable(&'a [u8]),
    /// Sets the value of the attribute.
    Set(&'a [u8], String),
}

impl<'a> Tag<'a> {
    pub(super) fn new(bytes: &'a [u8], spans: &'a TagSpans, xml: bool) -> Self {
        Self { bytes, spans, xml }
    }

    /// The element name without a namespace prefix.
    pub(super) fn name(&self) -> Name {
        let name = self.bytes.get(self.spans.name.clone()).unwrap_or_default();
        Name::new(if self.xml { without_prefix(name) } else { name })
    }

    /// The namespace prefix in XML. Empty if there is none.
    pub(super) fn prefix(&self) -> &'a [u8] {
        let name = self.bytes.get(self.spans.name.clone()).unwrap_or_default();
        let colon = memchr::memchr(b':', name).unwrap_or_default();
        name.get(..colon).unwrap_or_default()
    }

    pub(super) fn is_self_closing(&self) -> bool {
        self.spans.self_closing
    }

    /// The source name and value of each attribute.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.spans.attributes.iter().map(move |attribute| {
            let value = attribute.value.clone().and_then(|value| bytes.get(value));
            let name = bytes.get(attribute.name.clone()).unwrap_or_default();
            (name, value.unwrap_or_default())
        })
    }

    /// The source value of an attribute. The first of several with this name counts.
    pub(super) fn attribute(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = self.attributes().find(|(other, _)| self.same(other, name));
        found.map(|(_, value)| value)
    }

    /// The bytes after the last attribute.
    pub(super) fn rest(&self) -> &'a [u8] {
        let end = self.spans.attributes.last().map_or(self.spans.name.end, |last| last.end);
        self.bytes.get(end..).unwrap_or_default()
    }

    /// The name, partial value and source of an attribute that exceeds the limit.
    pub(super) fn open(&self, attribute: &Attribute) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let value = attribute.value.clone().and_then(|value| self.bytes.get(value.start..));
        let raw = self.bytes.get(attribute.name.start..)?;
        Some((self.bytes.get(attribute.name.clone())?, value.unwrap_or_default(), raw))
    }

    /// Whether two attribute names are equal.
    pub(super) fn same(&self, name: &[u8], other: &[u8]) -> bool {
        if self.xml { name == other } else { name.eq_ignore_ascii_case(other) }
    }

    /// Writes the edited tag.
    pub(super) fn write(&self, edits: &[TagEdit<'_>], out: &mut Vec<u8>) {
        if edits.is_empty() {
            out.extend_from_slice(self.bytes);
            return;
        }
        self.write_start(edits, out);
        // The space prevents `/` from becoming part of an unquoted value.
        out.extend_from_slice(if self.spans.self_closing { b" />" } else { b">" });
    }

    /// Writes the edited tag without its end.
    pub(super) fn write_start(&self, edits: &[TagEdit<'_>], out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.bytes.get(self.spans.name.clone()).unwrap_or_default());
        for attribute in &self.spans.attributes {
            let name = self.bytes.get(attribute.name.clone()).unwrap_or_default();
            let replaced = |edit: &TagEdit<'_>| match edit {
                TagEdit::Disable(other) => self.same(name, other) || is_disabled(name, other),
                TagEdit::Set(other, _) => self.same(name, other),
            };
            if !edits.iter().any(replaced) {
                out.push(b' ');
                let raw = self.bytes.get(attribute.name.start..attribute.end);
                out.extend_from_slice(raw.unwrap_or_default());
            }
        }
        for edit in edits {
            let (name, value) = match edit {
                TagEdit::Disable(name) => (disabled(name), escaped(self.attribute(name))),
                TagEdit::Set(name, value) => (name.to_vec(), as_ascii(value)),
            };
            out.push(b' ');
            out.extend_from_slice(&name);
            out.extend_from_slice(b"=\"");
            out.extend_from_slice(&value);
            out.push(b'"');
        }
    }
}

/// The name of a disabled attribute.
pub(super) fn disabled(name: &[u8]) -> Vec<u8> {
    disabled_bytes(name).collect()
}

/// Whether `name` is the disabled name of `other`.
fn is_disabled(name: &[u8], other: &[u8]) -> bool {
    name.len() == PREFIX.len() + other.len() && name.iter().copied().eq(disabled_bytes(other))
}

/// Replaces colons: XML would parse the text before a colon as a namespace prefix.
fn disabled_bytes(name: &[u8]) -> impl Iterator<Item = u8> {
    let name = name.iter().map(|byte| if *byte == b':' { b'-' } else { byte.to_ascii_lowercase() });
    PREFIX.iter().copied().chain(name)
}

/// A name without its namespace prefix.
pub(super) fn without_prefix(name: &[u8]) -> &[u8] {
    memchr::memrchr(b':', name).and_then(|colon| name.get(colon + 1..)).unwrap_or(name)
}

/// The source value of an attribute, escaped for double quotes.
fn escaped(value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in value.unwrap_or_default() {
        match byte {
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(*byte),
        }
    }
    out
}

/// Text as an ASCII attribute value, which is valid in every encoding of the page.
fn as_ascii(value: &str) -> Vec<u8> {
    let mut out = String::with_capacity(value.len() + value.len() / 8);
    for letter in value.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            // Numeric references to these code points mean other characters (HTML section
            // 13.2.5.80).
            '\u{80}'..='\u{9f}' => out.push_str("&#65533;"),
            ' '..='~' => out.push(letter),
            _ => out.push_str(&format!("&#{};", u32::from(letter))),
        }
    }
    out.into_bytes()
}
