//! Media type of a response, as browsers determine it: from `Content-Type` (Fetch section 2.2.2),
//! or else from the first bytes (MIME Sniffing section 7.1).

use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use super::charset::Charset;
use crate::http::{FieldSection, Fields, parameter, split_outside_quotes};

/// The kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentKind {
    Html,
    Xhtml,
    Svg,
    /// Other XML, which can contain XHTML and SVG elements.
    Xml,
}

impl DocumentKind {
    pub(super) fn is_xml(self) -> bool {
        self != Self::Html
    }
}

/// The media type of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MediaType {
    /// `None` if the first bytes decide.
    pub(super) kind: Option<DocumentKind>,
    pub(super) charset: Charset,
}

/// The result of MIME sniffing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    Document(DocumentKind),
    Other,
    /// More bytes are needed.
    More,
}

/// The length of the resource header (MIME Sniffing section 5.2).
pub(super) const SNIFFED: usize = 1445;

/// First bytes of HTML, case-insensitive.
const HTML: [&[u8]; 17] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
    b"<!--",
];

impl MediaType {
    /// The media type from the response fields. `None` if the response is not a document.
    pub(super) fn of(fields: &FieldSection) -> Option<Self> {
        let found = Self::parse(fields.values(&CONTENT_TYPE))?;
        let options = fields.value(&X_CONTENT_TYPE_OPTIONS);
        let first = options.and_then(|options| options.split(|byte| *byte == b',').next());
        let fixed = first.is_some_and(|first| first.trim_ascii().eq_ignore_ascii_case(b"nosniff"));
        (found.kind.is_some() || !fixed).then_some(found)
    }

    /// The media type from several values. The last valid value wins.
    pub(super) fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut found = Self { kind: None, charset: Charset::default() };
        let mut document = true;
        for value in values.flat_map(split_outside_quotes) {
            let Ok(text) = std::str::from_utf8(value) else { continue };
            let end = text.find([';', ' ', '\t', '(']).unwrap_or(text.len());
            let (essence, parameters) = text.split_at_checked(end).unwrap_or_default();
            if !essence.contains('/') || essence == "*/*" {
                continue;
            }
            let is = |other: &&str| essence.eq_ignore_ascii_case(other);
            let suffix = essence.get(essence.len().saturating_sub(4)..);
            let is_xml = ["text/xml", "application/xml", "text/xsl"].iter().any(is);
            let is_xml = is_xml || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+xml"));
            found.kind = match essence {
                _ if is(&"text/html") => Some(DocumentKind::Html),
                _ if is(&"application/xhtml+xml") => Some(DocumentKind::Xhtml),
                _ if is(&"image/svg+xml") => Some(DocumentKind::Svg),
                _ if is_xml => Some(DocumentKind::Xml),
                _ => None,
            };
            let unknown = ["unknown/unknown", "application/unknown"].iter().any(is);
            document = found.kind.is_some() || unknown;
            if let Some(label) = parameter(parameters, "charset") {
                found.charset = Charset::named(label.trim_matches(['"', '\'']));
            }
        }
        document.then_some(found)
    }
}

/// Determines the kind of a document from its first bytes.
pub(super) fn sniff(bytes: &[u8]) -> Sniffed {
    let blank = |byte: &&u8| matches!(**byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ');
    let start = bytes.iter().take_while(blank).count();
    let text = bytes.get(start..).unwrap_or_default();
    let starts = |with: &[u8]| text.get(..with.len()).is_some_and(|t| t.eq_ignore_ascii_case(with));
    if HTML.iter().any(|with| starts(with)) {
        Sniffed::Document(DocumentKind::Html)
    } else if starts(b"<?xml") {
        Sniffed::Document(DocumentKind::Xml)
    } else if text.len() < HTML[0].len() && bytes.len() < SNIFFED {
        Sniffed::More
    } else {
        Sniffed::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_type_is_parsed_like_chromium_parses_it() {
        let html = Some(Some(DocumentKind::Html));
        let xml = Some(Some(DocumentKind::Xml));
        for (values, expected) in [
            (&["text/html"][..], html),
            (&["TEXT/HTML; charset=utf-8"], html),
            (&["text/html x"], html),
            (&["text/html\t;x"], html),
            (&["text/plain", "text/html"], html),
            (&["text/html", "text/plain"], None),
            (&["text/html, text/plain"], None),
            (&["text/plain;a=\"b, text/x\", text/html"], html),
            (&["text/html,*/*"], html),
            (&["text/html", ""], html),
            (&["text/html", "x"], html),
            (&["application/xhtml+xml"], Some(Some(DocumentKind::Xhtml))),
            (&["image/svg+xml"], Some(Some(DocumentKind::Svg))),
            (&["application/rss+xml"], xml),
            (&["application/xml"], xml),
            (&[], Some(None)),
            (&[""], Some(None)),
            (&["text"], Some(None)),
            (&["*/*"], Some(None)),
            (&[";text/html"], Some(None)),
            (&["unknown/unknown"], Some(None)),
            (&["text/plain", "unknown/unknown"], Some(None)),
            (&["text/html/x"], None),
            (&["text/ html"], None),
            (&["\"text/html\""], None),
            (&["application/octet-stream"], None),
            (&["application/json"], None),
        ] {
            let mut fields = FieldSection::default();
            for value in values {
                fields.append(&CONTENT_TYPE, value);
            }
            let found = MediaType::of(&fields).map(|found| found.kind);
            assert_eq!(found, expected, "{values:?}");
            fields.insert(&X_CONTENT_TYPE_OPTIONS, "NoSniff");
            let fixed = MediaType::of(&fields).map(|found| found.kind);
            assert_eq!(fixed, expected.filter(Option::is_some), "{values:?}");
        }
    }

    #[test]
    fn responses_without_a_type_are_sniffed_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b" \n<!DocType HTML>"[..], Sniffed::Document(DocumentKind::Html)),
            (b"<p>x", Sniffed::Document(DocumentKind::Html)),
            (b"<!-- x", Sniffed::Document(DocumentKind::Html)),
            (b"<?xml version='1.0'?>", Sniffed::Document(DocumentKind::Xml)),
            (b"<!doctyp", Sniffed::More),
            (b"", Sniffed::More),
            (b"<svg xmlns=\"x\">", Sniffed::Other),
            (b"{\"a\": 1, \"b\": 2}", Sniffed::Other),
            (&[b' '; SNIFFED], Sniffed::Other),
        ] {
            assert_eq!(sniff(bytes), expected, "{}", bytes.escape_ascii());
        }
        let blanks = [&[b' '; 1000][..], b"<!doctype html>"].concat();
        assert_eq!(sniff(&blanks), Sniffed::Document(DocumentKind::Html));
    }
}
