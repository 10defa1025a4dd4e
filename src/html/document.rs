//! Streaming rewriter of one document. It inserts the guard script before the first element and
//! the banner at the end of the body, and makes blocked loads inert. All other bytes are
//! unchanged.

mod capture;
mod elements;
mod open_elements;

use std::ops::Range;
use std::sync::Arc;

use super::block_tags::Blocker;
use super::captured_text::CapturedText;
use super::charset::Charset;
use super::media_type::DocumentKind;
use super::scrubber::Scrubber;
use super::tag::{Name, Tag, disabled};
use super::tokenizer::{Token, Tokenizer};
use super::tree::{ElementStack, TagFacts};
use super::xml::Namespaces;
use open_elements::OpenElements;

/// Maximum bytes to buffer of a tag, of inline CSS, or of JSON with URLs.
const LIMIT: usize = 4 * 1024 * 1024;

/// Chunk size for processing, in bytes.
const PIECE: usize = 8 * 1024;

/// Maximum nesting of documents in text and attributes.
const MAX_DEPTH: usize = 4;

/// Markup to insert into a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Insertions {
    /// The tag of the guard's script.
    pub(super) guard: Option<Arc<str>>,
    /// The banner.
    pub(super) banner: Option<Banner>,
    /// Insert into documents with `<head>` and `<body>` only: the document may be a fragment.
    pub(super) only_whole: bool,
}

/// The banner, in ASCII.
#[derive(Debug, Clone)]
pub(super) struct Banner {
    pub(super) markup: Arc<str>,
    /// The banner without inline styles, which a `<meta>` element can forbid.
    pub(super) linked: Option<String>,
}

/// The rewriter of one document.
#[derive(Debug)]
pub(super) struct HtmlDocument {
    kind: DocumentKind,
    limit: usize,
    depth: usize,
    tokenizer: Tokenizer,
    tree: ElementStack,
    namespaces: Namespaces,
    blocker: Blocker,
    /// Whether blocked loads are made inert.
    blocks: bool,
    /// The guard for pages in attributes.
    guard: Option<Arc<str>>,
    /// Insertions that are still pending.
    pending: Insertions,
    /// The first element has started.
    started: bool,
    /// The body has started by its tag.
    has_body: bool,
    /// A `<meta>` element forbids inline styles.
    restricts_styles: bool,
    /// The elements to close before the banner.
    open: OpenElements,
    /// Number of open `template` elements.
    templates: usize,
    /// Checks the output after the document has become ambiguous.
    scrubber: Option<Scrubber>,
    /// An incomplete token.
    unprocessed: Vec<u8>,
    capture: Capture,
    /// The element of a tag over the limit.
    long: Option<(Name, TagFacts)>,
    /// Whether the rest of the document can be decoded from another encoding.
    decodes: bool,
    /// The encoding that the document has just declared, if the rest must be decoded.
    new_charset: Option<Charset>,
}

/// Treatment of the current element's text.
#[derive(Debug, Default)]
enum Capture {
    /// Unchanged.
    #[default]
    None,
    /// CSS, buffered until its end.
    Css(CapturedText),
    /// JSON, buffered until its end, with its start tag in original and disabled form.
    Json { text: CapturedText, tag: Vec<u8>, disabled: Vec<u8> },
    /// Over the limit.
    Dropped,
    /// Markup for browsers with scripts disabled.
    Markup(Box<HtmlDocument>),
}

impl HtmlDocument {
    /// A rewriter; `blocks` enables the guard.
    pub(super) fn new(
        kind: DocumentKind,
        blocker: Blocker,
        blocks: bool,
        inserts: Insertions,
    ) -> Self {
        Self {
            kind,
            limit: LIMIT,
            depth: 0,
            tokenizer: Tokenizer::new(kind.is_xml(), LIMIT),
            tree: ElementStack::default(),
            namespaces: Namespaces::default(),
            blocker,
            blocks,
            guard: inserts.guard.clone(),
            pending: inserts,
            started: false,
            has_body: false,
            restricts_styles: false,
            open: OpenElements::default(),
            templates: 0,
            scrubber: None,
            unprocessed: Vec::new(),
            capture: Capture::None,
            long: None,
            decodes: true,
            new_charset: None,
        }
    }

    /// The rewriter with another limit.
    fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self.tokenizer = Tokenizer::new(self.kind.is_xml(), limit);
        self
    }

    /// A rewriter for text in this document that may be markup.
    fn inner(&self, tree: ElementStack) -> Self {
        let inner =
            Self::new(DocumentKind::Html, self.blocker.clone(), true, Insertions::default());
        Self { tree, depth: self.depth + 1, decodes: false, ..inner.with_limit(self.limit) }
    }

    /// Whether the rest passes unchanged.
    pub(super) fn is_done(&self) -> bool {
        !self.blocks && self.pending.guard.is_none() && self.pending.banner.is_none()
    }

    /// Whether blocked loads are made inert.
    pub(super) fn blocks(&self) -> bool {
        self.blocks
    }

    /// Whether the banner is in the document, if there is one.
    pub(super) fn has_banner(&self) -> bool {
        self.pending.banner.is_none()
    }

    /// The encoding that the document has just declared, and the pending bytes to decode.
    pub(super) fn take_new_charset(&mut self) -> Option<(Charset, Vec<u8>)> {
        Some((self.new_charset.take()?, std::mem::take(&mut self.unprocessed)))
    }

    /// Rewrites a part of the document. Returns the number of bytes read: fewer if the document is done or has declared a
    /// new encoding.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut read = 0;
        for piece in bytes.chunks(PIECE) {
            if self.is_done() || self.new_charset.is_some() {
                break;
            }
            read += piece.len();
            if self.unprocessed.is_empty() {
                let taken = self.run(piece, out);
                self.unprocessed.extend_from_slice(piece.get(taken..).unwrap_or_default());
            } else {
                let mut unprocessed = std::mem::take(&mut self.unprocessed);
                unprocessed.extend_from_slice(piece);
                let taken = self.run(&unprocessed, out);
                unprocessed.drain(..taken.min(unprocessed.len()));
                if unprocessed.len() <= PIECE {
                    unprocessed.shrink_to(2 * PIECE);
                }
                self.unprocessed = unprocessed;
            }
        }
        if self.is_done() {
            out.append(&mut self.unprocessed);
        }
        read
    }

    /// Scrubs the bytes written since `written`, if the document is ambiguous.
    fn scrub(&mut self, written: usize, ended: bool, out: &mut Vec<u8>) {
        if self.blocks && self.tree.is_ambiguous() {
            let scrubber = self.scrubber.get_or_insert_with(|| Scrubber::new(self.limit));
            let bytes = out.split_off(written.min(out.len()));
            scrubber.push(&bytes, ended, &self.blocker, out);
        }
    }

    /// Ends the document.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let written = out.len();
        self.end_capture(out);
        let left = self.pending.guard.is_some() || self.pending.banner.is_some();
        let part = self.pending.only_whole && !self.has_body;
        // In XML, no element can follow the root element.
        if self.kind.is_xml() || part || !left {
            out.append(&mut self.unprocessed);
        } else {
            self.close(out);
            let inserts = std::mem::take(&mut self.pending);
            if let Some(guard) = inserts.guard {
                self.insert(&guard, out);
            }
            if let Some(banner) = inserts.banner {
                self.open.close(out);
                self.insert_banner(banner, out);
            }
        }
        self.scrub(written, true, out);
    }

    /// Closes open constructs, which would hide a following insertion. An incomplete tag is dropped, as in browsers.
    fn close(&mut self, out: &mut Vec<u8>) {
        let unprocessed = std::mem::take(&mut self.unprocessed);
        if !self.tokenizer.is_in_tag() {
            out.extend_from_slice(&unprocessed);
        }
        out.extend_from_slice(&self.tokenizer.closing());
        for _ in 0..std::mem::take(&mut self.templates) {
            out.extend_from_slice(b"</template>");
        }
    }

    /// Rewrites the tokens of a buffer. Returns the number of bytes consumed.
    fn run(&mut self, buf: &[u8], out: &mut Vec<u8>) -> usize {
        while let Some(token) = self.tokenizer.next(buf) {
            let written = out.len();
            self.token(token, buf, out);
            self.scrub(written, false, out);
            if self.is_done() || self.new_charset.is_some() {
                break;
            }
        }
        self.tokenizer.taken()
    }

    fn token(&mut self, token: Token, buf: &[u8], out: &mut Vec<u8>) {
        let bytes = |range: Range<usize>| buf.get(range).unwrap_or_default();
        match token {
            Token::Text(range) => self.text(bytes(range), true, out),
            Token::Markup(range) => self.text(bytes(range), false, out),
            Token::Declaration(range) => self.declaration(bytes(range), out),
            Token::Dropped(_) if self.blocks => {}
            Token::Dropped(range) => out.extend_from_slice(bytes(range)),
            Token::Start(range) => self.with_tag(bytes(range), out, Self::start),
            Token::End(range) => self.with_tag(bytes(range), out, |document, tag, out| {
                document.end_capture(out);
                document.insert_before_end(&tag.name(), out);
                tag.write(&[], out);
                document.end_element(&tag.name());
            }),
            Token::LongStart(range) => self.with_tag(bytes(range), out, |document, tag, out| {
                // No known element has a name over the limit.
                if document.tokenizer.is_end_tag() || tag.name().is_empty() {
                    document.end_capture(out);
                    tag.write(&[], out);
                    document.long = Some((tag.name(), TagFacts::default()));
                } else {
                    document.long_start(tag, out);
                }
            }),
            Token::LongName(range) => {
                let name = bytes(range);
                let element = self.long.as_ref().map(|(element, _)| &**element).unwrap_or_default();
                if self.blocks && self.blocker.may_load(element, name) {
                    out.extend_from_slice(&disabled(name));
                } else {
                    out.extend_from_slice(name);
                }
            }
            Token::LongEnd(range) => {
                out.extend_from_slice(bytes(range));
                self.long_end(out);
            }
        }
    }

    /// Calls `act` with the tokenizer's current tag.
    fn with_tag(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Self, &Tag<'_>, &mut Vec<u8>),
    ) {
        let spans = self.tokenizer.take_spans();
        act(self, &Tag::new(bytes, &spans, self.kind.is_xml()), out);
        self.tokenizer.restore_spans(spans);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::loads;
    use crate::html::oracle::{StartTag, start_tags};
    use crate::html::testing::blocker;
    use proptest::prelude::*;
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    const TRACKER: &str = "www.google-analytics.com";

    /// Markup that parsers are known to parse differently.
    const PIECES: &[&str] = &[
        "<!doctype html>",
        "<html>",
        "<head>",
        "</head>",
        "<body>",
        "text ",
        "&amp;",
        "<",
        "</",
        "<!",
        "<3",
        "</ x>",
        "<?x?>",
        "<img src=https://www.google-analytics.com/T>",
        "<img src='https://www.google-analytics.com/T' alt=\">\">",
        "<IMG/SRC=//www.google-analytics.com/T/>",
        "<script src=https://www.google-analytics.com/T></script>",
        "<p title=\"</p><img src=x>\">",
        "<p title='",
        "'>",
        "\"",
        ">",
        "/>",
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "<!-- <img src=https://www.google-analytics.com/T> -->",
        "-",
        "--",
        "!>",
        "<![CDATA[",
        "]]>",
        "]",
        "<!doctype x 'a>'>",
        "<script>",
        "</script>",
        "<script>x='<!--'</script>",
        "<script><!--<script>",
        "</script >",
        "<!--<script ",
        "<style>",
        "</style>",
        "<title>",
        "</title>",
        "<textarea>",
        "</textarea/>",
        "<xmp>",
        "</xmp>",
        "<noembed>",
        "</noembed>",
        "<noframes>",
        "</noframes>",
        "<iframe>",
        "</iframe>",
        "<noscript>",
        "</noscript>",
        "<plaintext>",
        "<svg>",
        "</svg>",
        "<svg/>",
        "<svg class=x />",
        "<path/>",
        "<g>",
        "</g>",
        "<desc>",
        "</desc>",
        "<foreignObject>",
        "</foreignobject>",
        "<svg><title>",
        "<math>",
        "</math>",
        "<mi>",
        "</mi>",
        "<mglyph>",
        "<annotation-xml>",
        "<annotation-xml encoding='text/html'>",
        "</annotation-xml>",
        "<div>",
        "</div>",
        "<p>",
        "</p>",
        "<span>",
        "</span>",
        "<font color=red>",
        "<b>",
        "</b>",
        "<br>",
        "<table>",
        "<tr><td>",
    ];
    const MORE: &[&str] = &[
        "</td>",
        "</table>",
        "<select>",
        "</select>",
        "<option>",
        "<template>",
        "</template>",
        "<frameset>",
        "<frame src=//www.google-analytics.com/T>",
        "<a>",
        "</a>",
        "<a href=x><svg><foreignObject><a>",
    ];

    fn pieces() -> impl Strategy<Value = String> {
        let all: Vec<&str> = PIECES.iter().chain(MORE).copied().collect();
        prop::collection::vec(prop::sample::select(all), 0..14).prop_map(|pieces| pieces.concat())
    }

    /// XML markup and non-ASCII text.
    const XML: &[&str] = &[
        "<?xml version='1.0' encoding='utf-8'?>",
        "<?xml-stylesheet href='//www.google-analytics.com/T'?>",
        "<?x ",
        "?>",
        "<!DOCTYPE a [",
        "<!ENTITY a 'b'>",
        "<!ENTITY a '<b>'>",
        "<!ATTLIST img src CDATA '//www.google-analytics.com/T'>",
        "]>",
        "<html xmlns='http://www.w3.org/1999/xhtml'>",
        "<s:svg xmlns:s='http://www.w3.org/2000/svg'>",
        "<s:image href='//www.google-analytics.com/T'/>",
        "&a;",
        "\u{feff}",
        "\u{e9}\u{20ac}",
        "<style>a{b:url(//www.google-analytics.com/T)}",
        "<p style='a:url(//www.google-analytics.com/T)'>",
        "<script type=importmap>{\"a\":\"//www.google-analytics.com/T\"}",
        "<iframe srcdoc='&lt;img src=//www.google-analytics.com/T>'>",
        "<meta charset=windows-1252>",
        "<meta charset=iso-2022-jp>",
        "<base href=//www.google-analytics.com/>",
    ];

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let all = PIECES.iter().chain(MORE).chain(XML).map(|piece| piece.as_bytes().to_vec());
        let piece = prop::sample::select(all.collect::<Vec<_>>());
        let noise = prop::collection::vec(any::<u8>(), 0..4);
        let pieces = prop::collection::vec(prop_oneof![8 => piece, 1 => noise], 0..14);
        pieces.prop_map(|pieces| pieces.concat())
    }

    fn kinds() -> impl Strategy<Value = DocumentKind> {
        prop::sample::select(vec![
            DocumentKind::Html,
            DocumentKind::Xhtml,
            DocumentKind::Svg,
            DocumentKind::Xml,
        ])
    }

    /// The start tags of a page by this tokenizer, and the number of tags before the page became ambiguous.
    fn own_tags(html: &str) -> (Vec<StartTag>, usize) {
        let blocker = blocker("utf-8", false);
        let (mut tokenizer, mut tree) = (Tokenizer::new(false, LIMIT), ElementStack::default());
        let (mut tags, mut certain) = (Vec::new(), 0);
        while let Some(token) = tokenizer.next(html.as_bytes()) {
            match token {
                Token::Start(range) => {
                    let spans = tokenizer.take_spans();
                    let tag = Tag::new(&html.as_bytes()[range], &spans, false);
                    let mut attributes: Vec<(String, String)> = Vec::new();
                    for (name, value) in tag.attributes() {
                        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                        if attributes.iter().all(|(other, _)| *other != name) {
                            attributes.push((name, blocker.reader.likely(value)));
                        }
                    }
                    let name = tag.name();
                    tags.push((String::from_utf8_lossy(&name).into_owned(), attributes));
                    let content = tree.start(&name, elements::facts(&name, &tag, &blocker));
                    tokenizer.set_content(content, &name);
                    tokenizer.restore_spans(spans);
                }
                Token::End(range) => {
                    let spans = tokenizer.take_spans();
                    if tokenizer.ends_text() {
                        tokenizer.restore_spans(spans);
                        continue;
                    }
                    tree.end(&Tag::new(&html.as_bytes()[range], &spans, false).name());
                    tokenizer.restore_spans(spans);
                }
                _ => {}
            }
            tokenizer.set_cdata(tree.has_cdata());
            if !tree.is_ambiguous() {
                certain = tags.len();
            }
        }
        let certain = if tree.is_ambiguous() { certain } else { usize::MAX };
        (tags, certain)
    }

    fn rewritten_as(
        kind: DocumentKind,
        parts: &[&[u8]],
        limit: usize,
        inserts: Insertions,
    ) -> Vec<u8> {
        let blocker = blocker("utf-8", kind.is_xml());
        let mut document = HtmlDocument::new(kind, blocker, true, inserts).with_limit(limit);
        let mut out = Vec::new();
        for part in parts {
            assert_eq!(document.push(part, &mut out), part.len());
        }
        document.end(&mut out);
        out
    }

    fn rewritten(parts: &[&[u8]], limit: usize, inserts: Insertions) -> String {
        String::from_utf8(rewritten_as(DocumentKind::Html, parts, limit, inserts)).expect("text")
    }

    fn inert(html: &str) -> String {
        rewritten(&[html.as_bytes()], LIMIT, Insertions::default())
    }

    /// Whether a tag loads something from the tracker.
    fn is_live((name, attributes): &StartTag) -> bool {
        let loads = |attribute: &str| match name.as_str() {
            "link" => attribute == "rel",
            "meta" => attribute == "http-equiv",
            "base" => true,
            _ => loads::load(name.as_bytes(), attribute.as_bytes()).is_some(),
        };
        attributes.iter().any(|(attribute, _)| loads(attribute))
            && attributes.iter().any(|(attribute, value)| {
                !attribute.starts_with("data-") && value.contains("analytics")
            })
    }

    fn inserts() -> Insertions {
        let banner = "<aside><form action=\"/b\"></form></aside>".into();
        let banner = Banner { markup: banner, linked: Some("<link>".to_owned()) };
        let guard = "<script src=\"/g\"></script>";
        Insertions { guard: Some(guard.into()), banner: Some(banner), only_whole: false }
    }

    #[test]
    fn the_guard_comes_before_the_first_element_and_the_banner_last_in_the_body() {
        let (guard, banner) =
            ("<script src=\"/g\"></script>", "<aside><form action=\"/b\"></form></aside>");
        for (html, expected) in [
            (
                "<!doctype html><html><HEAD lang=x><title>a</title><body>b",
                "<!doctype html><html><HEAD lang=x>{g}<title>a</title><body>b{b}",
            ),
            ("<!doctype html><title>a</title><p>b", "<!doctype html>{g}<title>a</title><p>b{b}"),
            ("<html><body onload=x>b", "<html>{g}<body onload=x>b{b}"),
            (
                "<template><head><body></template><head><body>b",
                "{g}<template><head><body></template><head><body>b{b}",
            ),
            ("<noscript><head></noscript><body>b", "{g}<noscript><head></noscript><body>b{b}"),
            (
                "<!-- <head> --><style><head></style><body>",
                "<!-- <head> -->{g}<style><head></style><body>{b}",
            ),
            ("<svg><title><body></title></svg>", "{g}<svg><title><body></title></svg>{b}"),
            ("<body>a</body></html>\n", "{g}<body>a{b}</body></html>\n"),
            ("<p>a</body>b", "{g}<p>a{b}</body>b"),
            ("text", "text{g}{b}"),
            ("", "{g}{b}"),
            ("text <!-- that does not end", "text <!-- that does not end-->{g}{b}"),
            ("<textarea>that does not end", "{g}<textarea>that does not end</textarea>{b}"),
            ("<template>that does not end", "{g}<template>that does not end</template>{b}"),
            ("<p>a</p><p class='that does not end", "{g}<p>a</p>{b}"),
            (
                "<head><base href=https://cdn.example/><body>",
                "<head>{g}<base href=https://cdn.example/><body><aside><form action=\"https://shop.example/b\"></form></aside>",
            ),
            (
                "<base href=http://shop.example/><body>",
                "{g}<base href=http://shop.example/><body><aside><form action=\"https://shop.example/b\"></form></aside>",
            ),
            ("<base href=/app/><body>", "{g}<base href=/app/><body>{b}"),
        ] {
            let expected = expected.replace("{g}", guard).replace("{b}", banner);
            assert_eq!(rewritten(&[html.as_bytes()], LIMIT, inserts()), expected);
        }
    }

    #[test]
    fn a_meta_policy_against_inline_styles_selects_the_banner_with_links() {
        for (content, linked) in [
            ("default-src 'self'", true),
            ("style-src 'nonce-a'", true),
            ("style-src 'self' &#39;unsafe-inline&#39;", false),
            ("upgrade-insecure-requests", false),
        ] {
            for name in ["Content-Security-Policy", "refresh"] {
                let page = format!("<meta http-equiv={name} content=\"{content}\"><body>");
                let out = rewritten(&[page.as_bytes()], LIMIT, inserts());
                assert_eq!(out.ends_with("<body><link>"), linked && name != "refresh", "{out}");
            }
        }
        let template = "<template><meta http-equiv=Content-Security-Policy content=\"style-src 'none'\"></template><body>";
        let out = rewritten(&[template.as_bytes()], LIMIT, inserts());
        assert!(out.ends_with("</aside>"), "{out}");
    }

    #[test]
    fn pages_in_attributes_are_rewritten_like_pages() {
        for (html, expected) in [
            (
                "<iframe srcdoc='&lt;p>x&lt;img src=//www.google-analytics.com/a>'></iframe>",
                "<iframe srcdoc=\"<script src=&quot;/g&quot;></script><p>x<img data-consentry-src=&quot;//www.google-analytics.com/a&quot;>\"></iframe>",
            ),
            (
                "<iframe src='data:text/html,<img src=https://www.google-analytics.com/a>'></iframe>",
                "<iframe src=\"data:text/html;base64,PGltZyBkYXRhLWNvbnNlbnRyeS1zcmM9Imh0dHBzOi8vd3d3Lmdvb2dsZS1hbmFseXRpY3MuY29tL2EiPg==\"></iframe>",
            ),
            (
                "<iframe src='data:text/html,<p>x'></iframe>",
                "<iframe src='data:text/html,<p>x'></iframe>",
            ),
            ("<img srcdoc='<p>'>", "<img srcdoc='<p>'>"),
        ] {
            let inserts = Insertions { banner: None, ..inserts() };
            let out = rewritten(&[html.as_bytes()], LIMIT, inserts);
            assert_eq!(
                out.strip_prefix("<script src=\"/g\"></script>"),
                Some(
                    &*expected
                        .replace("\"<script", "\"&lt;script")
                        .replace("></script><p>x<img", ">&lt;/script>&lt;p>x&lt;img")
                ),
                "{html}"
            );
        }
        let mut page = "<img src=//www.google-analytics.com/a>".to_owned();
        for _ in 0..10 {
            page = format!(
                "<iframe srcdoc=\"{}\"></iframe>",
                page.replace('&', "&amp;").replace('"', "&quot;")
            );
        }
        assert!(
            inert(&page).contains("data-consentry-srcdoc"),
            "what is nested too deeply is not shown"
        );
    }

    #[test]
    fn blocked_urls_are_found_in_every_kind_of_markup() {
        const T: &str = "https://www.google-analytics.com/a";
        for html in [
            "<style>@import '{T}';</style>",
            "<svg><style>a{fill:url({T})}</style></svg>",
            "<svg><style>a{fill:url(https:&#x2f;/www.google-analytics.com/a)}</style></svg>",
            "<svg><style>a{fill:url(https://www.google-<!-- x -->analytics.com/a)}</style></svg>",
            "<p style='background:url(&quot;{T}&quot;)'>",
            "<svg><script type=importmap>{\"imports\":{\"a\":\"https:&#x2f;/www.google-analytics.com/a\"}}</script></svg>",
            "<script type=importmap>{\"imports\":{\"a\":\"{T}\"}}</script>",
            "<script type=speculationrules>{\"prefetch\":[{\"urls\":[\"{T}\"]}]}</script>",
            "<noscript><img src={T}></noscript>",
            "<noscript><!--</noscript><img src={T}>-->",
            "<noscript><style></noscript><img src={T}>",
            "<noscript><img src={T}",
            "<svg><script href={T} /></svg>",
            "<svg><image xlink:href={T} /><set attributeName=href to={T} /></svg>",
            "<template><img src={T}></template>",
            "<svg/><script>x='<!--'</script><img src={T}>",
            "<div><svg></div><script>x='<!--'</script><img src={T}>",
            "<select><xmp><img src={T}></select>",
            "<math><svg><desc><style><img src={T}>",
            "<svg><![CDATA[<!--]]><img src={T}>",
            "<!--><img src={T}>-->",
            "<frameset></<p title='<svg><title><img src={T}>",
            "<meta http-equiv=Refresh content='0;url={T}'>",
            "<link rel='x Stylesheet' href={T}>",
            "<link rel=preload as=image imagesrcset='/a.png 1x, {T} 2x'>",
            "<base href={T}><img src=a>",
            "<table background={T}>",
            "<a ping='/a {T}' href=/a>",
            "<script src=/a src={T}></script><img src={T}>",
        ] {
            let html = html.replace("{T}", T);
            let out = inert(&html);
            let tags = [start_tags(&out, true), start_tags(&out, false)].concat();
            assert!(!tags.iter().any(is_live), "{html}: {out}");
            assert_ne!(out, html);
        }
    }

    #[test]
    fn allowed_markup_is_unchanged() {
        for html in [
            "<IMG  src = 'https://cdn.example/a.png'\n alt=x/><img srcset='/a.png 1x,//cdn.example/b.png 2x'>",
            "<script src=https://cdn.example/a.js></script><script src='/gtag.js?x=//www.google-analytics.com'>",
            "<a href=https://www.google-analytics.com/>x</a><link rel=me href=https://www.facebook.com/x>",
            "<script src=/a src=https://www.google-analytics.com/x></script>",
            "<textarea><img src=https://www.google-analytics.com/x></textarea>",
            "<script>document.write('<img src=https://www.google-analytics.com/x>')</script>",
            "<script type='application/ld+json'>{\"url\":\"https://www.facebook.com/x\"}</script>",
            "<svg><path d='M1 2'/><![CDATA[<img src=https://www.google-analytics.com/x>]]></svg>",
            "<!-- <img src=https://www.google-analytics.com/x> --><style>a{b:url(//cdn.example/x)}</style>",
            "<noscript><img src=/a></noscript><iframe src=/b></iframe><plaintext><img src=//www.google-analytics.com>",
            "<p\0 class=\"a\" class=b / x='&amp;&#x41;'><!doctype x><?php ?></></ p>",
        ] {
            assert_eq!(inert(html), html);
        }
    }

    #[test]
    fn the_output_is_the_same_for_every_chunking() {
        let page = "<!doctype html><html><head><!-- a -- <b> --!><title>a<b></title ><style>a{b:url(//www.google-analytics.com/a)}</style>\
            <script>if(a<b&&c>d){x='<!--<script>'+\"</script \\>\"}--></script><script type=importmap>{\"a\":\"//www.google-analytics.com/\"}</script>\
            <noscript><img src='//www.google-analytics.com/b'></noscript><link rel=preload href=&#x2f;/www.google-analytics.com/c></head>\
            <body class=\"a>b\" data-x='</body>'><p>text < more &amp; <3</p><![CDATA[x]]><svg><desc><p>x</p></desc><![CDATA[<img]]><path d='M1'/></svg>\
            <iframe srcdoc=\"&lt;img src='//www.google-analytics.com/d'&gt;\"></iframe><textarea></textareax></textarea>\
            <img srcset=\"/a 1x, //www.google-analytics.com/e 2x\" alt='\u{e9}'/><select><xmp><img src=//www.google-analytics.com/f></xmp></select>\
            <script src=//www.google-analytics.com/g></script></body></html><!-- end";
        let whole = rewritten(&[page.as_bytes()], LIMIT, inserts());
        assert!(!start_tags(&whole, true).iter().any(|(_, attributes)| {
            attributes.iter().any(|(name, value)| name == "src" && value.contains("analytics"))
        }));
        for cut in 0..=page.len() {
            let (before, after) = page.as_bytes().split_at(cut);
            assert_eq!(rewritten(&[before, after], LIMIT, inserts()), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = page.as_bytes().chunks(1).collect();
        assert_eq!(rewritten(&bytes, LIMIT, inserts()), whole);
    }

    #[test]
    fn a_tag_over_the_limit_is_inert_and_the_rest_of_the_page_passes() {
        let filler = "x".repeat(200);
        let attributes = "a ".repeat(2000);
        for (tag, expected) in [
            (
                "<img alt='{F}' src=//www.google-analytics.com/a>",
                "<img alt='{F}' data-consentry-src=//www.google-analytics.com/a>",
            ),
            (
                "<img src=//www.google-analytics.com/a alt='{F}'>",
                "<img data-consentry-src=\"//www.google-analytics.com/a\" alt='{F}'>",
            ),
            (
                "<img src='//www.google-analytics.com/{F}' alt=x>",
                "<img data-consentry-src='//www.google-analytics.com/{F}' alt=x>",
            ),
            (
                "<img src='data:image/png;base64,{F}' alt=x>",
                "<img src='data:image/png;base64,{F}' alt=x>",
            ),
            (
                "<img {A}src=//www.google-analytics.com/a>",
                "<img {A}data-consentry-src=//www.google-analytics.com/a>",
            ),
            (
                "<img {F}src=1 src=//www.google-analytics.com/a>",
                "<img {F}src=1 data-consentry-src=//www.google-analytics.com/a>",
            ),
            ("<div data-x=\"{F}\" class=a>", "<div data-x=\"{F}\" class=a>"),
            ("<div data-x=\"{F}\" style=a/>", "<div data-x=\"{F}\" data-consentry-style=a/>"),
            (
                "<script data-x={F} src=/a></script>",
                "<script data-x={F} data-consentry-src=/a></script>",
            ),
            ("<script src=/a data-x={F}></script>", "<script src=/a data-x={F}></script>"),
            ("<link data-x={F} rel=preload>", "<link data-x={F} data-consentry-rel=preload>"),
            ("<iframe srcdoc='{F}'></iframe>", "<iframe data-consentry-srcdoc='{F}'></iframe>"),
            (
                "<link data-x={F} href=//www.google-analytics.com/a rel=preload>",
                "<link data-x={F} data-consentry-href=//www.google-analytics.com/a data-consentry-rel=preload>",
            ),
            (
                "<meta http-equiv=refresh data-x={F} content='0;url=//www.google-analytics.com'>",
                "<meta http-equiv=refresh data-x={F} data-consentry-content='0;url=//www.google-analytics.com'>",
            ),
            (
                "<svg><image data-x={F} xlink:href=//www.google-analytics.com/a /></svg>",
                "<svg><image data-x={F} data-consentry-xlink-href=//www.google-analytics.com/a /></svg>",
            ),
            // Browsers close the `svg` element, so that the comment is CSS.
            (
                "<svg data-x='{F}' /><style><!--</style><img src=//www.google-analytics.com/a>--></style>",
                "<svg data-x='{F}' /><style><!--</style><img data-consentry-src=\"//www.google-analytics.com/a\">--></style>",
            ),
            (
                "<script data-x={F} type=importmap>{\"a\":\"//www.google-analytics.com/a\"}</script>",
                "<script data-x={F} type=importmap></script>",
            ),
            (
                "<iframe src='data:text/html,{F}'></iframe>",
                "<iframe data-consentry-src='data:text/html,{F}'></iframe>",
            ),
            ("</p {F}>", "</p {F}>"),
            ("<svg><path d='{F}'/></svg>", "<svg><path d='{F}'/></svg>"),
            ("<{F}>", "<{F}>"),
            ("<!--{F}-->", "<!--{F}-->"),
            ("<style>a{}/*{F}*/</style>", "<style></style>"),
            (
                "<script type=importmap>{F}</script>",
                "<script data-consentry-type=\"importmap\" type=\"text/plain\">{F}</script>",
            ),
            (
                "<style data-x={F}>@import '//www.google-analytics.com/a'</style>",
                "<style data-x={F}>@import \"data:,\"</style>",
            ),
        ] {
            let filled = |text: &str| text.replace("{F}", &filler).replace("{A}", &attributes);
            let after = (
                "<script src=//www.google-analytics.com/z></script><p>",
                "<script data-consentry-src=\"//www.google-analytics.com/z\" type=\"text/plain\"></script><p>",
            );
            let page = format!("<p>{}{}", filled(tag), after.0);
            let expected = format!("<p>{}{}", filled(expected), after.1);
            // The order of attributes depends on how the page is split into chunks.
            let sorted = |html: &str| {
                let mut tags = start_tags(html, true);
                tags.iter_mut().for_each(|(_, attributes)| attributes.sort());
                tags
            };
            // Puts the limit at every byte of the tag.
            let limits = if page.len() < 1000 { 40..260 } else { 0..0 };
            for limit in limits {
                let parts: Vec<&[u8]> = page.as_bytes().chunks(1).collect();
                let out = rewritten(&parts, limit, Insertions::default());
                assert!(!start_tags(&out, true).iter().any(is_live), "limit {limit}: {out}");
            }
            for size in [1, 2, 3, 7, 20] {
                let parts: Vec<&[u8]> = page.as_bytes().chunks(size).collect();
                let out = rewritten(&parts, 100, Insertions::default());
                assert!(size > 1 || out == expected, "{out}");
                assert_eq!(sorted(&out), sorted(&expected), "in parts of {size}: {out}");
            }
        }
    }

    #[test]
    fn xml_declarations_do_not_hide_loads() {
        const T: &str = "https://www.google-analytics.com/a";
        let filler = "x".repeat(200);
        for (xml, expected) in [
            // The same text in a comment and as the value of an entity.
            (
                "<!DOCTYPE a [<!-- <img/> --><!ENTITY m '<img/>'>]><a>&m;</a>",
                "<!DOCTYPE a [<!-- <img/> --><!ENTITY m ''>]><a>&m;</a>",
            ),
            (
                "<!DOCTYPE a [<!ENTITY m '&#x3c;img/>'>]><a>&m;</a>",
                "<!DOCTYPE a [<!ENTITY m ''>]><a>&m;</a>",
            ),
            ("<!DOCTYPE a [<!ENTITY m 'x'><!ENTITY m 'y'>]><a>&m;</a>", "<!DOCTYPE a ><a>&m;</a>"),
            ("<!DOCTYPE a [<!ENTITY % p 'x'>]><a/>", "<!DOCTYPE a ><a/>"),
            ("<!DOCTYPE a [<!ATTLIST img src CDATA '{T}'>]><a/>", "<!DOCTYPE a ><a/>"),
            (
                "<!DOCTYPE a [<!ENTITY h 'www.google-analytics.com'><!ATTLIST img src CDATA 'https://&h;/a'>]><a/>",
                "<!DOCTYPE a ><a/>",
            ),
            (
                "<!DOCTYPE a [<!ATTLIST svg version CDATA '1.1'>]><a/>",
                "<!DOCTYPE a [<!ATTLIST svg version CDATA '1.1'>]><a/>",
            ),
            ("<?xml-stylesheet href='{T}'?><a/>", "<a/>"),
            (
                "<!DOCTYPE a [<!-->]><![CDATA[--><!--->]>-->]><svg xmlns='http://www.w3.org/2000/svg'><image href='{T}'/></svg>",
                "<!DOCTYPE a [<!-->]><![CDATA[--><!--->]>-->]><svg xmlns='http://www.w3.org/2000/svg'><image data-consentry-href=\"{T}\" /></svg>",
            ),
            (
                "<style xmlns='http://www.w3.org/1999/xhtml'>@import '//www.google-<?x?><![CDATA[analytics.com]]>'</style>",
                "<style xmlns='http://www.w3.org/1999/xhtml'></style>",
            ),
            // A construct over the limit is dropped completely: otherwise its end would become markup.
            ("<a><?x {F}<img src='{T}'/>?></a>", "<a></a>"),
            ("<!DOCTYPE a [<!-- {F} --><!ENTITY m '<img/>'>]><a/>", "<a/>"),
        ] {
            let xml = xml.replace("{T}", T).replace("{F}", &filler);
            for size in [1, 7] {
                let parts: Vec<&[u8]> = xml.as_bytes().chunks(size).collect();
                let out = rewritten_as(DocumentKind::Xml, &parts, 180, Insertions::default());
                let expected = expected.replace("{T}", T);
                assert_eq!(String::from_utf8_lossy(&out), expected, "in parts of {size}");
            }
        }
    }

    #[test]
    fn a_long_prefix_does_not_hide_an_attribute_of_a_tag_over_the_limit() {
        let (filler, prefix) = ("x".repeat(200), "p".repeat(80));
        let xml = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:{prefix}='http://www.w3.org/1999/xlink'>\
             <image a='{filler}' {prefix}:href='//www.google-analytics.com/a'/></svg>"
        );
        for limit in 160..320 {
            let parts: Vec<&[u8]> = xml.as_bytes().chunks(1).collect();
            let out = rewritten_as(DocumentKind::Svg, &parts, limit, Insertions::default());
            let out = String::from_utf8_lossy(&out);
            let is_live = out.contains(&format!(" {prefix}:href='//www.google-analytics.com/a'"));
            assert!(!is_live, "limit {limit}: {out}");
        }
    }

    #[test]
    fn hostile_pages_take_linear_time_and_space() {
        const SIZE: usize = 32 * 1024;
        const TIMES: usize = 8;
        // The time of this thread, which does not grow with the load of the machine.
        let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("positive");
        for (kind, before, repeated) in [
            (DocumentKind::Html, "", "<"),
            (DocumentKind::Html, "", "<a"),
            (DocumentKind::Html, "", "</"),
            (DocumentKind::Html, "", "<!"),
            (DocumentKind::Html, "", "<a "),
            (DocumentKind::Html, "", "<a b=\""),
            (DocumentKind::Html, "<img", " src=a"),
            (DocumentKind::Html, "<img a b c d e f g h i j k l m n o p", " src=a"),
            (DocumentKind::Html, "", "<img src=\"//www.google-analytics.com\" src=a>"),
            (DocumentKind::Html, "<style>", "{"),
            (DocumentKind::Html, "<style>", "@import 'https://www.google-analytics.com';"),
            (DocumentKind::Html, "<p style='", "(url(//a"),
            (DocumentKind::Html, "<p style='//", "&#"),
            (DocumentKind::Html, "<style>//", "url("),
            (DocumentKind::Html, "<style>//", "/*\\"),
            (DocumentKind::Html, "<img src='//", "&"),
            (DocumentKind::Html, "<img src='//", "&amp"),
            (DocumentKind::Html, "<img srcset='", "//a(,"),
            (DocumentKind::Html, "<img srcset='", "//a, "),
            (DocumentKind::Html, "<script type=importmap>", "[\"//www.google-analytics.com\","),
            (DocumentKind::Html, "<script>", "<!--<script>"),
            (DocumentKind::Html, "<script>", "<!--<script"),
            (DocumentKind::Html, "<textarea>", "</textarea"),
            (DocumentKind::Html, "", "<noscript>"),
            (DocumentKind::Html, "", "<noscript></noscript>"),
            (DocumentKind::Html, "", "<template>"),
            (DocumentKind::Html, "", "<svg>"),
            (DocumentKind::Html, "", "<svg><desc><p>"),
            (DocumentKind::Html, "<svg><![CDATA[", "]"),
            (DocumentKind::Html, "<!--", "--!"),
            (DocumentKind::Html, "<iframe srcdoc='", "&lt;iframe srcdoc=&quot;"),
            (DocumentKind::Html, "<iframe src='data:text/html,", "%3ciframe src=\"data:text/html,"),
            (DocumentKind::Html, "", "<iframe srcdoc='<p>'></iframe>"),
            // Ambiguous from the start, so that every `<` is checked.
            (DocumentKind::Html, "<frameset>", "<a"),
            (DocumentKind::Html, "<frameset>", "<a "),
            (DocumentKind::Html, "<frameset>", "<a x=<"),
            (DocumentKind::Html, "<frameset><a x='", "<a x=\"<b "),
            (DocumentKind::Html, "<frameset>", "<a x='"),
            (DocumentKind::Xml, "<!DOCTYPE a [", "<!ENTITY a '&b;'>"),
            (DocumentKind::Xml, "<!DOCTYPE a [", "<!ATTLIST a a CDATA '//a'>"),
            (DocumentKind::Xml, "<!DOCTYPE a [<!ENTITY a '&a;&a;&a;'>]><a b='", "&a;"),
            (DocumentKind::Xml, "<?x", "?"),
            (
                DocumentKind::Xhtml,
                "<html xmlns='http://www.w3.org/1999/xhtml'><img",
                " a:src='//www.google-analytics.com'",
            ),
            (DocumentKind::Xhtml, "", "<a xmlns:b='http://www.w3.org/1999/xhtml' "),
        ] {
            let duration = |size: usize| {
                let page = before.to_owned() + &repeated.repeat(size / repeated.len()) + "'>\">";
                let parts: Vec<&[u8]> = page.as_bytes().chunks(100).collect();
                let start = now();
                let out = rewritten_as(kind, &parts, LIMIT, inserts());
                assert!(out.len() < 10 * size, "{before}{repeated}: {}", out.len());
                now().saturating_sub(start)
            };
            // The first page initialises lazily built tables.
            let (_, short, long) = (duration(SIZE), duration(SIZE), duration(TIMES * SIZE));
            // A quadratic algorithm takes 64 times as long.
            let most = short * 3 * TIMES as u32;
            assert!(long < most, "{before}{repeated}: {short:?}, {long:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn tags_are_parsed_like_a_complete_html_parser_does(html in pieces()) {
            let (own, certain) = own_tags(&html);
            let all = start_tags(&html, true);
            prop_assert_eq!(
                own.get(..certain).unwrap_or(&own),
                all.get(..certain).unwrap_or(&all),
                "{}", html
            );
        }

        #[test]
        fn arbitrary_bytes_give_the_same_output_for_every_chunking(
            bytes in bytes(), kind in kinds(), cuts in prop::collection::vec(0..400_usize, 0..5),
        ) {
            let whole = rewritten_as(kind, &[&bytes], LIMIT, inserts());
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let in_parts = rewritten_as(kind, &parts, LIMIT, inserts());
            prop_assert!(in_parts == whole, "{} {}", in_parts.escape_ascii(), whole.escape_ascii());
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert!(rewritten_as(kind, &bytewise, LIMIT, inserts()) == whole);
            // Exceeding the limits does not panic.
            rewritten_as(kind, &parts, 20, inserts());
        }

        #[test]
        fn a_page_without_blocked_urls_is_unchanged(bytes in bytes(), kind in kinds()) {
            let text = String::from_utf8_lossy(&bytes).replace("google-analytics.com", "cdn.example");
            // Open constructs at the end of a `noscript` are closed, and entities with markup are blocked.
            let text = text.replace("<noscript", "<div").replace("<!ENTITY", "<!ELEMENT");
            let out = rewritten_as(kind, &[text.as_bytes()], LIMIT, Insertions::default());
            prop_assert_eq!(String::from_utf8_lossy(&out), text);
        }

        #[test]
        fn no_parser_finds_a_blocked_url_in_the_output(html in pieces()) {
            let out = inert(&html);
            for scripts in [true, false] {
                for (name, attributes) in start_tags(&out, scripts) {
                    let source = attributes.iter().find(|(name, _)| name == "src");
                    prop_assert!(
                        !source.is_some_and(|(_, url)| url.contains(TRACKER)),
                        "{} in {} of {}", name, out, html
                    );
                }
            }
        }
    }
}
