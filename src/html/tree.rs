//! The part of tree construction (WHATWG HTML section 13.2.6) that the tokenizer depends on:
//! elements with raw text, and CDATA sections.
//!
//! Both depend on the stack of open elements, but only inside SVG and MathML. There the stack is
//! maintained, and properly nested markup is followed exactly. Some markup needs the complete
//! algorithm. Examples are missing end tags in SVG, and raw text in `select` or in framesets, which
//! browsers may or may not ignore. Such markup makes the rest of the document ambiguous, and
//! `scrubber` then blocks loads in every possible parse.

use super::tag::Name;
use super::tokenizer::Content;

/// Maximum number of open elements to track.
const MAX_DEPTH: usize = 256;

/// Start tags that end SVG and MathML content (section 13.2.6.5).
const BREAKOUT: &[&[u8]] = &[
    b"b",
    b"big",
    b"blockquote",
    b"body",
    b"br",
    b"center",
    b"code",
    b"dd",
    b"div",
    b"dl",
    b"dt",
    b"em",
    b"embed",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"head",
    b"hr",
    b"i",
    b"img",
    b"li",
    b"listing",
    b"menu",
    b"meta",
    b"nobr",
    b"ol",
    b"p",
    b"pre",
    b"ruby",
    b"s",
    b"small",
    b"span",
    b"strong",
    b"strike",
    b"sub",
    b"sup",
    b"table",
    b"tt",
    b"u",
    b"ul",
    b"var",
];

/// Whether an element has no end tag.
pub(super) fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"basefont"
            | b"bgsound"
            | b"br"
            | b"col"
            | b"embed"
            | b"frame"
            | b"hr"
            | b"image"
            | b"img"
            | b"input"
            | b"keygen"
            | b"link"
            | b"meta"
            | b"param"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// HTML elements inside SVG that nest without side effects on the stack.
const PLAIN: &[&[u8]] = &[
    b"abbr", b"b", b"bdi", b"bdo", b"big", b"canvas", b"cite", b"code", b"em", b"font", b"i",
    b"label", b"mark", b"s", b"small", b"span", b"strong", b"sub", b"sup", b"time", b"tt", b"u",
    b"var", b"video", b"audio", b"picture", b"slot",
];

/// Like [`PLAIN`], but these elements also end an open `p`.
const BLOCK: &[&[u8]] = &[
    b"article",
    b"aside",
    b"blockquote",
    b"center",
    b"details",
    b"div",
    b"dl",
    b"fieldset",
    b"figcaption",
    b"figure",
    b"footer",
    b"header",
    b"main",
    b"menu",
    b"nav",
    b"ol",
    b"p",
    b"pre",
    b"section",
    b"summary",
    b"ul",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Namespace {
    Html,
    Svg,
    MathMl,
}

/// Integration points: elements of SVG and MathML that can contain HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Integration {
    None,
    Html,
    MathMlText,
}

#[derive(Debug)]
struct OpenElement {
    name: Name,
    namespace: Namespace,
    integration: Integration,
}

impl OpenElement {
    /// Whether this element hides the elements below it from HTML end tags (section 13.2.4.2).
    fn is_scope(&self) -> bool {
        self.integration != Integration::None || *self.name == *b"annotation-xml"
    }
}

/// The stack of open elements, starting at the first SVG or MathML element.
#[derive(Debug, Default)]
pub(super) struct ElementStack {
    open: Vec<OpenElement>,
    in_select: bool,
    ambiguous: bool,
    no_scripts: bool,
}

/// Facts about a start tag for tree construction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TagFacts {
    pub(super) self_closing: bool,
    /// A `font` with `color`, `face` or `size`.
    pub(super) is_styled: bool,
    /// An `annotation-xml` whose `encoding` is HTML.
    pub(super) is_html: bool,
}

impl ElementStack {
    /// For browsers with scripts disabled.
    pub(super) fn without_scripts() -> Self {
        Self { no_scripts: true, ..Self::default() }
    }

    /// Whether browsers may parse the rest of the document differently.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Whether CDATA sections are text at this position.
    pub(super) fn has_cdata(&self) -> bool {
        self.open.last().is_some_and(|open| open.namespace != Namespace::Html)
    }

    /// Adds a start tag. Returns the content model of the following text.
    pub(super) fn start(&mut self, name: &[u8], facts: TagFacts) -> Content {
        if self.is_foreign(name) {
            if !(BREAKOUT.contains(&name) || name == b"font" && facts.is_styled) {
                let namespace = self.open.last().map_or(Namespace::Html, |open| open.namespace);
                self.push_foreign(name, namespace, facts);
                return Content::Data;
            }
            self.break_out();
        }
        match name {
            b"svg" | b"math" => {
                self.ambiguous |= self.in_select;
                let namespace = if name == b"svg" { Namespace::Svg } else { Namespace::MathMl };
                self.push_foreign(name, namespace, facts);
                return Content::Data;
            }
            b"select" => self.in_select = !self.in_select,
            b"frameset" => self.ambiguous = true,
            _ => {}
        }
        let content = self.content(name);
        self.ambiguous |= self.in_select && !matches!(content, Content::Data | Content::Script);
        if content == Content::Data && !self.open.is_empty() && !is_void(name) {
            self.push_html(name);
        }
        content
    }

    /// Adds an end tag.
    pub(super) fn end(&mut self, name: &[u8]) {
        if name == b"select" {
            self.in_select = false;
        }
        let Some(last) = self.open.last() else { return };
        if last.namespace == Namespace::Html {
            if *last.name == *name {
                self.open.pop();
            } else if self.layer().any(|open| *open.name == *name) || crosses_layers(name) {
                self.mark_ambiguous();
            }
            return;
        }
        if matches!(name, b"p" | b"br") {
            // Older parsers also end an integration point.
            if last.integration == Integration::None {
                self.break_out()
            } else {
                self.mark_ambiguous()
            }
            return;
        }
        let foreign =
            || self.open.iter().rev().take_while(|open| open.namespace != Namespace::Html);
        if let Some(above) = foreign().position(|open| *open.name == *name) {
            self.open.truncate(self.open.len() - above - 1);
        } else if crosses_layers(name) || !foreign().any(OpenElement::is_scope) {
            // The end tag of a surrounding HTML element, which may or may not be open.
            self.mark_ambiguous();
        }
    }

    /// Whether the rules for foreign content apply to a start tag (section 13.2.6, tree
    /// construction dispatcher).
    fn is_foreign(&self, name: &[u8]) -> bool {
        let Some(open) = self.open.last() else { return false };
        match (open.namespace, open.integration) {
            (Namespace::Html, _) | (_, Integration::Html) => false,
            (_, Integration::MathMlText) => matches!(name, b"mglyph" | b"malignmark"),
            (Namespace::MathMl, _) if *open.name == *b"annotation-xml" => name != b"svg",
            _ => true,
        }
    }

    fn push_foreign(&mut self, name: &[u8], namespace: Namespace, facts: TagFacts) {
        if facts.self_closing {
            return;
        }
        let integration = match (namespace, name) {
            (Namespace::Svg, b"foreignobject" | b"desc" | b"title") => Integration::Html,
            (Namespace::MathMl, b"mi" | b"mo" | b"mn" | b"ms" | b"mtext") => {
                Integration::MathMlText
            }
            (Namespace::MathMl, b"annotation-xml") if facts.is_html => Integration::Html,
            _ => Integration::None,
        };
        self.push(OpenElement { name: Name::new(name), namespace, integration });
    }

    /// Adds an HTML element inside SVG or MathML.
    fn push_html(&mut self, name: &[u8]) {
        let has = |name: &[u8]| self.layer().any(|open| *open.name == *name);
        let nests = match name {
            b"a" => !has(b"a"),
            _ if BLOCK.contains(&name) => !has(b"p"),
            _ => PLAIN.contains(&name),
        };
        if !nests {
            self.mark_ambiguous();
        } else {
            self.push(OpenElement {
                name: Name::new(name),
                namespace: Namespace::Html,
                integration: Integration::None,
            });
        }
    }

    /// The content model of an HTML element.
    fn content(&self, name: &[u8]) -> Content {
        match name {
            b"script" => Content::Script,
            b"plaintext" => Content::PlainText,
            b"noscript" if self.no_scripts => Content::Data,
            b"title" | b"textarea" | b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes"
            | b"noscript" => Content::Raw,
            _ => Content::Data,
        }
    }

    fn push(&mut self, open: OpenElement) {
        if self.open.len() < MAX_DEPTH { self.open.push(open) } else { self.mark_ambiguous() }
    }

    /// The open HTML elements inside the nearest SVG or MathML element.
    fn layer(&self) -> impl Iterator<Item = &OpenElement> {
        self.open.iter().rev().take_while(|open| open.namespace == Namespace::Html)
    }

    /// Ends SVG and MathML elements up to the next HTML element or integration point.
    fn break_out(&mut self) {
        while self.open.last().is_some_and(|open| {
            open.namespace != Namespace::Html && open.integration == Integration::None
        }) {
            self.open.pop();
        }
    }

    /// Marks the rest of the document as ambiguous.
    pub(super) fn mark_ambiguous(&mut self) {
        self.ambiguous = true;
        self.open.clear();
    }
}

/// Whether an end tag may also end elements around its SVG or MathML element.
fn crosses_layers(name: &[u8]) -> bool {
    matches!(
        name,
        b"table"
            | b"tbody"
            | b"tfoot"
            | b"thead"
            | b"tr"
            | b"td"
            | b"th"
            | b"caption"
            | b"template"
    )
}
