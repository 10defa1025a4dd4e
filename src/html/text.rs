//! Decoder for the text of a page: attribute values and inline CSS, with the page's encoding and
//! character references.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::charset::Charset;

/// Maximum number of entities per document, and maximum length of an entity in bytes.
const MAX_ENTITIES: usize = 64;
const MAX_ENTITY: usize = 4096;

/// Decoder of a document's text.
#[derive(Debug, Clone, Default)]
pub(super) struct TextReader {
    pub(super) charset: Charset,
    /// The entities that an XML document declares.
    pub(super) entities: Option<Entities>,
}

/// The entities that an XML document declares (XML section 4.2).
#[derive(Debug, Clone, Default)]
pub(super) struct Entities {
    values: HashMap<String, String>,
}

impl TextReader {
    /// The text of an attribute value, in each possible encoding.
    pub(super) fn attribute<'a>(&self, value: &'a [u8]) -> impl Iterator<Item = Cow<'a, str>> {
        self.charset.read(value).map(|text| match &self.entities {
            Some(entities) => unescaped(entities.expanded(text), |t| htmlize::unescape(t)),
            None => unescaped(text, |t| htmlize::unescape_attribute(t)),
        })
    }

    /// The text of an attribute value in the most likely encoding.
    pub(super) fn likely(&self, value: &[u8]) -> String {
        self.attribute(value).next().unwrap_or_default().into_owned()
    }

    /// The decoded text of an element. With `raw`, character references are plain text.
    pub(super) fn content(&self, text: &[u8], raw: bool) -> Vec<String> {
        let cdata = |text: Cow<'_, str>| {
            let mut out = String::new();
            let mut rest: &str = &text;
            while let Some((before, after)) = rest.split_once("<![CDATA[") {
                let (inner, after) = after.split_once("]]>").unwrap_or((after, ""));
                out.push_str(&unescaped(Cow::Borrowed(before), |t| htmlize::unescape(t)));
                out.push_str(inner);
                rest = after;
            }
            out.push_str(&unescaped(Cow::Borrowed(rest), |t| htmlize::unescape(t)));
            out
        };
        let expanded = |text| match &self.entities {
            Some(entities) => entities.expanded(text),
            None => text,
        };
        let texts = self.charset.read(text);
        texts.map(|text| if raw { text.into_owned() } else { cdata(expanded(text)) }).collect()
    }
}

impl Entities {
    /// Adds the declarations of a doctype.
    pub(super) fn declare(&mut self, doctype: &str) {
        for (name, value) in declarations(doctype) {
            let value = doctype.get(value).unwrap_or_default();
            let value = self.expanded(Cow::Borrowed(value)).into_owned();
            self.values.insert(name.to_owned(), value);
        }
    }

    /// Whether a doctype declares an entity twice, an entity over the length limit, or too many
    /// entities.
    pub(super) fn are_ambiguous(&self, doctype: &str) -> bool {
        let mut names: Vec<&str> = declarations(doctype).map(|(name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        let long = declarations(doctype).any(|(_, value)| value.len() > MAX_ENTITY);
        names.len() < count || self.values.len() + count > MAX_ENTITIES || long
    }

    /// The doctype without the values of entities that contain markup, which would become elements
    /// where the entities are used. `None` if there are none.
    pub(super) fn without_markup(&self, doctype: &str) -> Option<String> {
        let mut out = String::with_capacity(doctype.len());
        let mut from = 0;
        for (_, range) in declarations(doctype) {
            let value = doctype.get(range.clone()).unwrap_or_default();
            let is_markup = self.expanded(Cow::Borrowed(value)).contains('<')
                || htmlize::unescape(value).contains('<');
            if is_markup && range.start >= from {
                out.push_str(doctype.get(from..range.start)?);
                from = range.end;
            }
        }
        out.push_str(doctype.get(from..)?);
        (from > 0).then_some(out)
    }

    /// Expands these entities in a text. HTML entities are expanded later.
    pub(super) fn expanded<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        if self.values.is_empty() || !text.contains('&') {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        for (number, part) in text.split('&').enumerate() {
            let named = part.split_once(';').filter(|_| number > 0);
            let value = named.and_then(|(name, rest)| Some((self.values.get(name)?, rest)));
            // Bounds the growth by nested entities.
            match value.filter(|_| out.len() <= 4 * MAX_ENTITY) {
                Some((value, rest)) => out.extend([value, rest]),
                None if number > 0 => out.extend(["&", part]),
                None => out.push_str(part),
            }
        }
        Cow::Owned(out)
    }
}

/// The entities that a doctype declares: their names and the ranges of their values.
fn declarations(doctype: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    doctype.match_indices("<!ENTITY").filter_map(|(at, start)| {
        let blank = |letter: char| letter.is_ascii_whitespace();
        let rest = doctype.get(at + start.len()..)?.trim_start_matches(blank);
        let (name, rest) = rest.split_once(blank)?;
        let rest = rest.trim_start_matches(blank);
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let rest = rest.get(1..)?;
        let start = doctype.len() - rest.len();
        Some((name, start..start + rest.split(quote).next()?.len()))
    })
}

fn unescaped<'a>(text: Cow<'a, str>, unescape: impl Fn(&str) -> Cow<'_, str>) -> Cow<'a, str> {
    if !text.contains('&') {
        return text;
    }
    Cow::Owned(unescape(&text).into_owned())
}
