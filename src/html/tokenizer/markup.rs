//! Comments, doctypes, CDATA sections and processing instructions (WHATWG HTML sections 13.2.5.41 to 13.2.5.71, XML
//! section 2).

use super::{
    Comment, Doctype, Match, State, Step, Token, Tokenizer, find, starts, starts_ignoring_case,
};

/// The length of `<!--->`.
const LONGEST_END: usize = 6;

impl Tokenizer {
    pub(super) fn declaration_open(&mut self, buf: &[u8]) -> Step {
        self.long = false;
        let (pos, rest) = (self.pos, buf.get(self.pos..));
        let comment = starts(rest, b"--");
        let cdata = if self.has_cdata { starts(rest, b"[CDATA[") } else { Match::No };
        let doctype = starts_ignoring_case(rest, b"doctype");
        match (comment, cdata, doctype) {
            // In XML, only `-->` ends a comment.
            (Match::Yes, _, _) if self.xml => self.go(State::Comment(Comment::Body), pos + 2),
            (Match::Yes, _, _) => self.go(State::Comment(Comment::Start), pos + 2),
            (_, Match::Yes, _) => self.go(State::CdataSection(0), pos + 7),
            (_, _, Match::Yes) if self.xml => self.go(State::XmlDoctype(Doctype::Outside), pos + 7),
            (Match::No, Match::No, Match::No | Match::Yes) => self.go(State::BogusComment, pos),
            _ => Step::More,
        }
    }

    pub(super) fn bogus_comment(&mut self, buf: &[u8]) -> Step {
        match find(buf, self.pos, |rest| memchr::memchr(b'>', rest)) {
            Some(at) => {
                self.go(State::Content, at + 1);
                self.found(Token::Markup)
            }
            None => self.rest(buf, Token::Markup),
        }
    }

    pub(super) fn comment(&mut self, buf: &[u8]) -> Step {
        while let (State::Comment(comment), Some(byte)) = (self.state, buf.get(self.pos)) {
            self.pos += 1;
            let next = match (comment, byte) {
                (Comment::Start | Comment::StartDash | Comment::End | Comment::Bang, b'>') => {
                    self.state = State::Content;
                    return self.found(Token::Markup);
                }
                (Comment::Start, b'-') => Comment::StartDash,
                (Comment::Body | Comment::Bang, b'-') => Comment::Dash,
                (Comment::StartDash | Comment::Dash | Comment::End, b'-') => Comment::End,
                (Comment::End, b'!') if !self.xml => Comment::Bang,
                _ => {
                    let dash = find(buf, self.pos, |rest| memchr::memchr(b'-', rest));
                    self.pos = dash.unwrap_or(buf.len());
                    Comment::Body
                }
            };
            self.state = State::Comment(next);
        }
        self.rest(buf, Token::Markup)
    }

    pub(super) fn cdata_section(&mut self, buf: &[u8]) -> Step {
        while let (State::CdataSection(brackets), Some(byte)) = (self.state, buf.get(self.pos)) {
            self.pos += 1;
            self.state = match (brackets, byte) {
                (2, b'>') => {
                    self.state = State::Content;
                    return self.found(Token::Text);
                }
                (_, b']') => State::CdataSection((brackets + 1).min(2)),
                _ => State::CdataSection(0),
            };
        }
        self.rest(buf, Token::Text)
    }

    /// Reads an XML doctype or processing instruction, which is buffered until its end.
    pub(super) fn xml_declaration(&mut self, buf: &[u8]) -> Step {
        while let Some(byte) = buf.get(self.pos) {
            self.pos += 1;
            let read = buf.get(self.start..self.pos).unwrap_or_default();
            let next = match self.state {
                State::Instruction(true) if *byte == b'>' => None,
                State::Instruction(_) => Some(State::Instruction(*byte == b'?')),
                State::XmlDoctype(doctype) => doctype.next(*byte, read).map(State::XmlDoctype),
                _ => None,
            };
            let Some(next) = next else {
                self.state = State::Content;
                return self.found(if self.long { Token::Dropped } else { Token::Declaration });
            };
            self.state = next;
        }
        self.long |= self.pos - self.start > self.limit;
        // Keeps the last bytes: the end of a comment is recognised by the preceding bytes.
        let kept = self.pos.saturating_sub(LONGEST_END).max(self.start);
        if self.long && kept > self.start {
            let range = std::mem::replace(&mut self.start, kept)..kept;
            return Step::Found(Token::Dropped(range));
        }
        Step::More
    }
}

impl Doctype {
    /// The position after this byte. `None` if the byte ends the doctype. `read` is the doctype so
    /// far.
    fn next(self, byte: u8, read: &[u8]) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Outside, b'>') => return None,
            (Self::Outside, b'[') => Self::Subset,
            (Self::Subset, b']') => Self::Outside,
            (Self::Outside | Self::Subset, b'"' | b'\'') => {
                Self::Quoted { quote: byte, subset: self == Self::Subset }
            }
            (Self::Subset, b'-') if read.ends_with(b"<!--") => Self::Comment,
            (Self::Subset, b'?') if read.ends_with(b"<?") => Self::Instruction,
            (Self::Quoted { quote, subset: true }, _) if byte == quote => Self::Subset,
            (Self::Quoted { quote, subset: false }, _) if byte == quote => Self::Outside,
            // `<!-->` and `<!--->` do not end a comment in XML.
            (Self::Comment, b'>') if read.ends_with(b"<!-->") || read.ends_with(b"<!--->") => self,
            (Self::Comment, b'>') if read.ends_with(b"-->") => Self::Subset,
            (Self::Instruction, b'>') if read.ends_with(b"?>") => Self::Subset,
            _ => self,
        })
    }
}
