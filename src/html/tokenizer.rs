//! Tokenizer for HTML (WHATWG HTML section 13.2.5) and XML that returns positions. All bytes that
//! are not rewritten stay unchanged, in any encoding where ASCII bytes mean ASCII characters.
//!
//! Tree construction (`tree`) decides which elements contain raw text. The caller sets the content
//! model after each start tag.

mod markup;
mod script;
mod tags;

use std::ops::Range;

use super::tag::{Attribute, TagSpans};

/// A token, as a range of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Character data or a CDATA section, or a part of one.
    Text(Range<usize>),
    /// A comment or doctype, or a part of one.
    Markup(Range<usize>),
    /// A whole doctype or processing instruction of an XML document.
    Declaration(Range<usize>),
    /// A part of a declaration over the limit, which must not be forwarded.
    Dropped(Range<usize>),
    /// A whole start tag. `Tokenizer::spans` has its parts.
    Start(Range<usize>),
    /// A whole end tag. `Tokenizer::spans` has its name.
    End(Range<usize>),
    /// The start of a tag over the limit. Followed by its `LongName`s, with `Markup` in between,
    /// and its `LongEnd`.
    LongStart(Range<usize>),
    /// The name of a further attribute of a tag over the limit.
    LongName(Range<usize>),
    /// The end of a tag over the limit.
    LongEnd(Range<usize>),
}

/// The content model of the current element's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Markup.
    Data,
    /// Text until the element's end tag: RCDATA and RAWTEXT, which have the same tags.
    Raw,
    /// Script data.
    Script,
    /// Text until the end of the document.
    PlainText,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Content,
    TagOpen,
    EndTagOpen,
    /// After `<!`.
    DeclarationOpen,
    TagName,
    BeforeAttribute,
    /// In a name. `cut`: the start of the name is no longer buffered.
    AttributeName {
        cut: bool,
    },
    AfterName,
    BeforeValue,
    /// In a value that ends with this quote; 0 for an unquoted value.
    Value(u8),
    /// After `/` in a tag.
    Slash,
    /// In a bogus comment or a doctype, which end at the first `>`.
    BogusComment,
    Comment(Comment),
    /// In a CDATA section, after this many `]` (at most 2).
    CdataSection(u8),
    XmlDoctype(Doctype),
    /// In an XML processing instruction. Set if the previous byte is `?`.
    Instruction(bool),
}

/// The position in the doctype of an XML document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doctype {
    /// Outside of the internal subset, or inside it.
    Outside,
    Subset,
    /// In a quoted text that ends with this quote.
    Quoted {
        quote: u8,
        subset: bool,
    },
    /// In the internal subset.
    Comment,
    Instruction,
}

/// The position in a comment (sections 13.2.5.43 to 13.2.5.52, without the states that only report
/// errors).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comment {
    Start,
    StartDash,
    Body,
    Dash,
    End,
    Bang,
}

/// The escape state of script data (sections 13.2.5.15 to 13.2.5.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Once,
    Twice,
}

enum Step {
    Found(Token),
    /// Continue in the new state.
    Again,
    /// The buffer is exhausted.
    More,
}

/// The tokenizer of one document.
#[derive(Debug)]
pub(super) struct Tokenizer {
    xml: bool,
    /// Maximum bytes of a tag to buffer.
    limit: usize,
    state: State,
    content: Content,
    /// Whether CDATA sections are text instead of bogus comments.
    has_cdata: bool,
    escape: Escape,
    /// Number of preceding `-` in an escaped script (at most 2).
    dashes: u8,
    /// The lower-case name of the element with raw text.
    raw_name: Vec<u8>,
    /// Everything before this position was returned.
    start: usize,
    /// Everything before this position was read.
    pos: usize,
    spans: TagSpans,
    attribute: Attribute,
    is_end: bool,
    /// The current tag ends raw text.
    ends_text: bool,
    /// The current tag or declaration is over the limit.
    long: bool,
}

impl Tokenizer {
    pub(super) fn new(xml: bool, limit: usize) -> Self {
        Self {
            xml,
            limit,
            state: State::Content,
            content: Content::Data,
            has_cdata: xml,
            escape: Escape::None,
            dashes: 0,
            raw_name: Vec::new(),
            start: 0,
            pos: 0,
            spans: TagSpans::default(),
            attribute: Attribute::default(),
            is_end: false,
            ends_text: false,
            long: false,
        }
    }

    /// The parts of the last tag, relative to its start. Must be [returned](Self::restore_spans) for
    /// reuse.
    pub(super) fn take_spans(&mut self) -> TagSpans {
        std::mem::take(&mut self.spans)
    }

    /// Returns earlier spans, so that their memory is reused.
    pub(super) fn restore_spans(&mut self, spans: TagSpans) {
        self.spans = spans;
    }

    /// Whether the last tag ends raw text, rather than an element on the stack of open elements.
    pub(super) fn ends_text(&self) -> bool {
        self.ends_text
    }

    /// Whether the last tag is self-closing.
    pub(super) fn is_self_closing(&self) -> bool {
        self.spans.self_closing
    }

    /// Whether the last tag is an end tag.
    pub(super) fn is_end_tag(&self) -> bool {
        self.is_end
    }

    /// The attribute in which a tag exceeds the limit, relative to the start of the tag.
    pub(super) fn open_attribute(&self) -> Option<&Attribute> {
        let open = matches!(
            self.state,
            State::AttributeName { .. } | State::AfterName | State::BeforeValue | State::Value(_)
        );
        open.then_some(&self.attribute)
    }

    /// Sets the content model after the last start or end tag. `name` is the element's name in
    /// lower case.
    pub(super) fn set_content(&mut self, content: Content, name: &[u8]) {
        self.content = content;
        self.escape = Escape::None;
        self.dashes = 0;
        self.raw_name.clear();
        self.raw_name.extend_from_slice(name);
    }

    /// Sets whether CDATA sections are text from now on, as in SVG, MathML and XML.
    pub(super) fn set_cdata(&mut self, has_cdata: bool) {
        self.has_cdata = has_cdata;
    }

    /// Whether the input so far ends inside a possible tag.
    pub(super) fn is_in_tag(&self) -> bool {
        !matches!(
            self.state,
            State::Content | State::BogusComment | State::Comment(_) | State::CdataSection(_)
        )
    }

    /// The text that closes an open comment or raw text, so that markup can follow.
    pub(super) fn closing(&self) -> Vec<u8> {
        match self.state {
            State::Comment(_) => b"-->".to_vec(),
            State::BogusComment => b">".to_vec(),
            State::CdataSection(_) => b"]]>".to_vec(),
            State::Value(quote) if self.long && quote != 0 => vec![quote, b'>'],
            _ if self.long && self.is_in_tag() => b">".to_vec(),
            _ if matches!(self.content, Content::Raw | Content::Script) => {
                let start: &[u8] = if self.escape == Escape::Twice { b"--></" } else { b"</" };
                [start, &self.raw_name, b">"].concat()
            }
            _ => Vec::new(),
        }
    }

    /// The next token of the buffer. `None` if more bytes are needed. The next buffer then starts
    /// after the [`taken`](Self::taken) bytes.
    pub(super) fn next(&mut self, buf: &[u8]) -> Option<Token> {
        loop {
            let step = match self.state {
                State::Content => match self.content {
                    Content::Data => self.data(buf),
                    Content::Raw => self.raw(buf),
                    Content::Script => self.script(buf),
                    Content::PlainText => self.rest(buf, Token::Text),
                },
                State::TagOpen => self.tag_open(buf),
                State::EndTagOpen => self.end_tag_open(buf),
                State::DeclarationOpen => self.declaration_open(buf),
                State::BogusComment => self.bogus_comment(buf),
                State::Comment(_) => self.comment(buf),
                State::CdataSection(_) => self.cdata_section(buf),
                State::XmlDoctype(_) | State::Instruction(_) => self.xml_declaration(buf),
                _ => self.tag(buf),
            };
            match step {
                Step::Found(token) => return Some(token),
                Step::Again => {}
                Step::More => return None,
            }
        }
    }

    /// The number of bytes of the buffer that are consumed.
    pub(super) fn taken(&mut self) -> usize {
        let taken = std::mem::take(&mut self.start);
        self.pos -= taken;
        taken
    }

    /// Returns the bytes read as a token.
    fn found(&mut self, token: fn(Range<usize>) -> Token) -> Step {
        let range = self.start..self.pos;
        self.start = self.pos;
        Step::Found(token(range))
    }

    /// Returns the rest of the buffer as a part of a token.
    fn rest(&mut self, buf: &[u8], token: fn(Range<usize>) -> Token) -> Step {
        self.pos = buf.len();
        if self.start < self.pos { self.found(token) } else { Step::More }
    }

    fn go(&mut self, state: State, pos: usize) -> Step {
        self.state = state;
        self.pos = pos;
        Step::Again
    }

    /// Returns the text before the next `<`, or stops at it.
    fn next_tag(&mut self, buf: &[u8]) -> Result<usize, Step> {
        match find(buf, self.pos, |rest| memchr::memchr(b'<', rest)) {
            Some(at) if at > self.start => {
                self.pos = at;
                Err(self.found(Token::Text))
            }
            Some(at) => Ok(at),
            None => Err(self.rest(buf, Token::Text)),
        }
    }

    fn data(&mut self, buf: &[u8]) -> Step {
        match self.next_tag(buf) {
            Ok(at) => self.go(State::TagOpen, at + 1),
            Err(step) => step,
        }
    }

    fn raw(&mut self, buf: &[u8]) -> Step {
        let at = match self.next_tag(buf) {
            Ok(at) => at,
            Err(step) => return step,
        };
        match names(buf.get(at + 2..), &self.raw_name).min(starts(buf.get(at..), b"</")) {
            Match::Yes => self.begin_tag(true, at + 2, self.raw_name.len()),
            Match::Maybe => Step::More,
            Match::No => self.go(State::Content, at + 1),
        }
    }
}

/// Result of matching a prefix against a possibly incomplete buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    No,
    /// More bytes are needed.
    Maybe,
    Yes,
}

fn starts(rest: Option<&[u8]>, text: &[u8]) -> Match {
    compare(rest, text, |a, b| a == b)
}

fn starts_ignoring_case(rest: Option<&[u8]>, text: &[u8]) -> Match {
    compare(rest, text, <[u8]>::eq_ignore_ascii_case)
}

fn compare(rest: Option<&[u8]>, text: &[u8], equal: fn(&[u8], &[u8]) -> bool) -> Match {
    let rest = rest.unwrap_or_default();
    let shared = rest.len().min(text.len());
    match (rest.get(..shared), text.get(..shared)) {
        (Some(rest), Some(start)) if equal(rest, start) => {
            if shared == text.len() {
                Match::Yes
            } else {
                Match::Maybe
            }
        }
        _ => Match::No,
    }
}

/// Whether the buffer starts with this tag name (case-insensitive) and a byte that ends it.
fn names(rest: Option<&[u8]>, name: &[u8]) -> Match {
    let found = starts_ignoring_case(rest, name);
    match rest.and_then(|rest| rest.get(name.len())) {
        _ if found != Match::Yes => found,
        None => Match::Maybe,
        Some(byte) if ends_name(*byte) => Match::Yes,
        Some(_) => Match::No,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

fn ends_name(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>')
}

/// The number of bytes before the first byte that matches.
fn until(bytes: &[u8], kind: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| kind(*byte)).unwrap_or(bytes.len())
}

/// The position of a match in the buffer, searching from `from`.
fn find(buf: &[u8], from: usize, search: impl FnOnce(&[u8]) -> Option<usize>) -> Option<usize> {
    search(buf.get(from..)?).map(|at| from + at)
}
