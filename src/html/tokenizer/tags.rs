//! Start and end tags (WHATWG HTML sections 13.2.5.6 to 13.2.5.8 and 13.2.5.32 to 13.2.5.40).

use super::{Content, State, Step, Token, Tokenizer, ends_name, is_space, until};
use crate::html::tag::Attribute;

/// Maximum number of attributes to keep per tag.
const MAX_ATTRIBUTES: usize = 1024;

/// Maximum length of an attribute name in a tag over the limit. Longer names are not checked.
const MAX_NAME: usize = 64;

impl Tokenizer {
    pub(super) fn tag_open(&mut self, buf: &[u8]) -> Step {
        let pos = self.pos;
        match buf.get(pos) {
            None => Step::More,
            Some(b'!') => self.go(State::DeclarationOpen, pos + 1),
            Some(b'/') => self.go(State::EndTagOpen, pos + 1),
            Some(b'?') if self.xml => {
                self.long = false;
                self.go(State::Instruction(false), pos + 1)
            }
            Some(b'?') => self.go(State::BogusComment, pos),
            Some(byte) if self.starts_name(*byte) => self.begin_tag(false, pos, 0),
            Some(_) => self.go(State::Content, pos),
        }
    }

    pub(super) fn end_tag_open(&mut self, buf: &[u8]) -> Step {
        let pos = self.pos;
        match buf.get(pos) {
            None => Step::More,
            Some(b'>') => {
                self.go(State::Content, pos + 1);
                self.found(Token::Markup)
            }
            Some(byte) if self.starts_name(*byte) => self.begin_tag(true, pos, 0),
            Some(_) => self.go(State::BogusComment, pos),
        }
    }

    fn starts_name(&self, byte: u8) -> bool {
        byte.is_ascii_alphabetic() || self.xml && (matches!(byte, b'_' | b':') || !byte.is_ascii())
    }

    pub(super) fn begin_tag(&mut self, is_end: bool, name: usize, length: usize) -> Step {
        let name = name - self.start;
        self.is_end = is_end;
        self.ends_text = self.content != Content::Data;
        self.long = false;
        self.spans.attributes.clear();
        self.spans.self_closing = false;
        self.spans.name = name..name + length;
        let state = if length == 0 { State::TagName } else { State::BeforeAttribute };
        self.go(state, self.start + name + length)
    }

    pub(super) fn tag(&mut self, buf: &[u8]) -> Step {
        while let Some(rest) = buf.get(self.pos..).filter(|rest| !rest.is_empty()) {
            if self.exceeds_limit() {
                self.long = true;
                if let State::AttributeName { cut } = &mut self.state {
                    *cut = true;
                }
                return self.found(Token::LongStart);
            }
            // Skips to the end of the current part of the tag.
            let read = match self.state {
                State::TagName => until(rest, ends_name),
                State::AttributeName { .. } => until(rest, |byte| byte == b'=' || ends_name(byte)),
                State::Value(0) => until(rest, |byte| byte == b'>' || is_space(byte)),
                State::Value(quote) => memchr::memchr(quote, rest).unwrap_or(rest.len()),
                State::Slash => 0,
                _ => until(rest, |byte| !is_space(byte)),
            };
            self.pos += read;
            let Some(byte) = rest.get(read) else { break };
            let relative = self.pos - self.start;
            match (self.state, byte) {
                (State::TagName, _) => {
                    self.spans.name.end = relative;
                    self.state = State::BeforeAttribute;
                }
                (State::BeforeAttribute | State::Slash, b'>') => {
                    self.spans.self_closing = self.state == State::Slash;
                    self.content = Content::Data;
                    self.go(State::Content, self.pos + 1);
                    return self.found(match (self.long, self.is_end) {
                        (true, _) => Token::LongEnd,
                        (_, true) => Token::End,
                        _ => Token::Start,
                    });
                }
                (State::Slash, _) => self.state = State::BeforeAttribute,
                (State::BeforeAttribute, b'/') => drop(self.go(State::Slash, self.pos + 1)),
                (State::BeforeAttribute, _) if self.long && relative > 0 => {
                    return self.found(Token::Markup);
                }
                (State::BeforeAttribute, _) => {
                    let name = relative..relative;
                    self.attribute = Attribute { name, value: None, end: relative };
                    // The first byte belongs to the name, even if it is `=`.
                    self.go(State::AttributeName { cut: false }, self.pos + 1);
                }
                (State::AttributeName { cut }, _) => {
                    self.attribute.name.end = relative;
                    self.attribute.end = relative;
                    self.state = State::AfterName;
                    if self.long && !cut {
                        return self.found(Token::LongName);
                    }
                }
                (State::AfterName, b'=') => drop(self.go(State::BeforeValue, self.pos + 1)),
                (State::BeforeValue, b'"' | b'\'') => {
                    self.attribute.value = Some(relative + 1..relative + 1);
                    self.go(State::Value(*byte), self.pos + 1);
                }
                (State::AfterName, _) | (State::BeforeValue, b'>') => self.end_attribute(),
                (State::Value(quote), _) => {
                    let closing = usize::from(quote != 0);
                    self.end_value(relative, closing);
                    self.pos += closing;
                }
                _ => {
                    self.attribute.value = Some(relative..relative);
                    self.state = State::Value(0);
                }
            }
        }
        if !self.long {
            return Step::More;
        }
        match self.state {
            State::AttributeName { cut: false } if self.pos - self.start <= MAX_NAME => Step::More,
            State::AttributeName { .. } => {
                self.state = State::AttributeName { cut: true };
                // In XML, the end of a long name matters, because the prefix is ignored.
                self.rest(buf, if self.xml { Token::Dropped } else { Token::Markup })
            }
            _ => self.rest(buf, Token::Markup),
        }
    }

    fn exceeds_limit(&self) -> bool {
        let length = self.pos - self.start;
        if self.long || length <= self.limit && self.spans.attributes.len() < MAX_ATTRIBUTES {
            return false;
        }
        match self.state {
            // An attribute name is needed as a whole, unless it is too long to matter.
            State::AttributeName { .. } => {
                length.saturating_sub(self.attribute.name.start) > MAX_NAME
            }
            State::Slash => false,
            _ => true,
        }
    }

    fn end_value(&mut self, end: usize, quote: usize) {
        if let Some(value) = &mut self.attribute.value {
            value.end = end;
        }
        self.attribute.end = end + quote;
        self.end_attribute();
    }

    fn end_attribute(&mut self) {
        if !self.long {
            self.spans.attributes.push(std::mem::take(&mut self.attribute));
        }
        self.state = State::BeforeAttribute;
    }
}
