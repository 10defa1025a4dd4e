//! Script data, where comments with nested script tags hide the script's end tag (WHATWG HTML
//! sections 13.2.5.4 and 13.2.5.15 to 13.2.5.31).

use super::{Escape, Match, Step, Token, Tokenizer, find, names, starts};

impl Tokenizer {
    pub(super) fn script(&mut self, buf: &[u8]) -> Step {
        loop {
            let next = match self.escape {
                Escape::None => find(buf, self.pos, |rest| memchr::memchr(b'<', rest)),
                _ => find(buf, self.pos, |rest| memchr::memchr3(b'<', b'-', b'>', rest)),
            };
            if next.unwrap_or(buf.len()) > self.pos {
                self.dashes = 0;
            }
            let Some(at) = next else { return self.rest(buf, Token::Text) };
            self.pos = at + 1;
            match buf.get(at) {
                Some(b'-') => self.dashes = (self.dashes + 1).min(2),
                Some(b'>') => {
                    if self.dashes == 2 {
                        self.escape = Escape::None;
                    }
                    self.dashes = 0;
                }
                _ if at > self.start => {
                    self.pos = at;
                    return self.found(Token::Text);
                }
                _ => {
                    self.pos = at;
                    if let Some(step) = self.script_tag(buf, at) {
                        return step;
                    }
                }
            }
        }
    }

    /// Reads the markup that `<` starts in a script. `None` if the markup is text.
    fn script_tag(&mut self, buf: &[u8], at: usize) -> Option<Step> {
        let name = |from: usize| names(buf.get(at + from..), b"script");
        let end = starts(buf.get(at..), b"</").min(name(2));
        let (other, other_length) = match self.escape {
            Escape::None => (starts(buf.get(at..), b"<!--"), 4),
            Escape::Once => (name(1), 7),
            Escape::Twice => (Match::No, 0),
        };
        match (end, other) {
            (Match::Yes, _) if self.escape != Escape::Twice => {
                return Some(self.begin_tag(true, at + 2, 6));
            }
            (Match::Yes, _) => {
                (self.escape, self.dashes, self.pos) = (Escape::Once, 0, at + 8);
            }
            (_, Match::Yes) => {
                let escape = if self.escape == Escape::None { Escape::Once } else { Escape::Twice };
                let dashes = if escape == Escape::Once { 2 } else { 0 };
                (self.escape, self.dashes, self.pos) = (escape, dashes, at + other_length);
            }
            (Match::Maybe, _) | (_, Match::Maybe) => return Some(Step::More),
            _ => (self.dashes, self.pos) = (0, at + 1),
        }
        None
    }
}
