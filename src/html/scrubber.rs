//! Blocks loads in documents that browsers may parse in several ways, for every possible parse.
//!
//! Whether a `<` starts a tag depends on the text before it, but the content of the tag does not.
//! So every `<` is parsed as a tag, including those in comments, scripts and attribute values. If
//! the tag has a blocked URL, its `<` is escaped.

use super::block_tags::Blocker;
use super::tag::Tag;
use super::tokenizer::{Token, Tokenizer};

/// Maximum number of overlapping tags. Further tags are blocked, which bounds how often a byte is
/// read.
const MAX_OVERLAP: usize = 16;

/// The scrubber of one document.
#[derive(Debug)]
pub(super) struct Scrubber {
    /// Maximum bytes of a tag. Longer tags are blocked.
    limit: usize,
    /// An incomplete tag and its tokenizer.
    unprocessed: Vec<u8>,
    tokenizer: Option<Tokenizer>,
    /// The end of the tags read so far, relative to the next byte.
    overlap_end: usize,
    /// The number of overlapping tags at this point.
    overlap: usize,
}

enum ScrubDecision {
    Keep,
    Block,
    /// More bytes are needed.
    More,
}

impl Scrubber {
    /// A scrubber that reads tags of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, unprocessed: Vec::new(), tokenizer: None, overlap_end: 0, overlap: 0 }
    }

    /// Processes a part of the document. `ended` is set for the last part.
    pub(super) fn push(&mut self, bytes: &[u8], ended: bool, blocker: &Blocker, out: &mut Vec<u8>) {
        let mut buf = std::mem::take(&mut self.unprocessed);
        buf.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(rest) = buf.get(from..).filter(|rest| !rest.is_empty()) {
            let text = memchr::memchr(b'<', rest).unwrap_or(rest.len());
            let (text, tag) = rest.split_at_checked(text).unwrap_or_default();
            out.extend_from_slice(text);
            from += text.len();
            self.overlap_end = self.overlap_end.saturating_sub(text.len());
            if tag.is_empty() {
                return;
            }
            match self.look_at(tag, blocker) {
                ScrubDecision::Block => out.extend_from_slice(b"&lt;"),
                ScrubDecision::More if !ended => {
                    buf.drain(..from);
                    self.unprocessed = buf;
                    return;
                }
                // An incomplete tag at the end of the document is text.
                ScrubDecision::Keep | ScrubDecision::More => {
                    self.tokenizer = None;
                    out.push(b'<');
                }
            }
            from += 1;
            self.overlap_end = self.overlap_end.saturating_sub(1);
        }
    }

    fn look_at(&mut self, rest: &[u8], blocker: &Blocker) -> ScrubDecision {
        match rest.get(1) {
            None => return ScrubDecision::More,
            Some(byte) if !byte.is_ascii_alphabetic() => return ScrubDecision::Keep,
            Some(_) => {}
        }
        if self.overlap_end == 0 {
            self.overlap = 0;
        }
        if self.overlap >= MAX_OVERLAP {
            return ScrubDecision::Block;
        }
        let started = self.tokenizer.take();
        let mut tokenizer = started.unwrap_or_else(|| Tokenizer::new(false, self.limit));
        let token = tokenizer.next(rest);
        let end = match &token {
            Some(Token::Start(range) | Token::LongStart(range)) => range.end,
            None if rest.len() <= self.limit => {
                self.tokenizer = Some(tokenizer);
                return ScrubDecision::More;
            }
            _ => rest.len(),
        };
        self.overlap += 1;
        self.overlap_end = self.overlap_end.max(end);
        let Some(Token::Start(range)) = token else { return ScrubDecision::Block };
        let spans = tokenizer.take_spans();
        let tag = Tag::new(rest.get(range).unwrap_or_default(), &spans, false);
        // Pages in attributes are already rewritten, for the most likely parse.
        if blocker.changes(&tag.name(), &tag).edits.is_empty() {
            ScrubDecision::Keep
        } else {
            ScrubDecision::Block
        }
    }
}
