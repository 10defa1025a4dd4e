//! Element text that is buffered until the element ends.

use super::text::TextReader;
use super::tokenizer::Content;

/// Buffered element text.
#[derive(Debug, Default)]
pub(super) struct CapturedText {
    /// The source bytes.
    pub(super) bytes: Vec<u8>,
    /// The text without comments and processing instructions; empty if `raw`.
    text: Vec<u8>,
    /// Raw text, without comments and character references.
    pub(super) raw: bool,
}

impl CapturedText {
    /// Empty text of an element with this content model.
    pub(super) fn new(content: Content) -> Self {
        Self { raw: content != Content::Data, ..Self::default() }
    }

    /// Adds a part of the content: text, or else a comment or processing instruction.
    pub(super) fn push(&mut self, bytes: &[u8], is_text: bool) {
        self.bytes.extend_from_slice(bytes);
        if is_text && !self.raw {
            self.text.extend_from_slice(bytes);
        }
    }

    /// The text in each possible encoding.
    pub(super) fn read(&self, reader: &TextReader) -> Vec<String> {
        reader.content(if self.raw { &self.bytes } else { &self.text }, self.raw)
    }
}
