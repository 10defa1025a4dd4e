//! Element text with URLs: inline CSS, JSON such as import maps, and markup for browsers without scripts.

use super::{Capture, HtmlDocument};
use crate::html::block_tags::disable_script;
use crate::html::captured_text::CapturedText;
use crate::html::css;
use crate::html::loads;
use crate::html::tag::Tag;
use crate::html::tokenizer::Content;
use crate::html::tree::ElementStack;

impl Capture {
    /// Text that may be JSON with URLs, after its start tag is written. The text is dropped if it
    /// contains a blocked URL.
    pub(super) fn json(content: Content) -> Self {
        Self::Json { text: CapturedText::new(content), tag: Vec::new(), disabled: Vec::new() }
    }
}

impl HtmlDocument {
    /// The treatment of the text after a start tag.
    pub(super) fn capture(&self, name: &[u8], content: Content, empty: bool) -> Capture {
        if !self.blocks || empty {
            return Capture::None;
        }
        match name {
            b"style" => Capture::Css(CapturedText::new(content)),
            b"noscript" if content == Content::Raw => {
                Capture::Markup(Box::new(self.inner(ElementStack::without_scripts())))
            }
            _ => Capture::None,
        }
    }

    /// The treatment of a script that is JSON with URLs. `None` for other scripts.
    pub(super) fn capture_json(&self, tag: &Tag<'_>, content: Content) -> Option<Capture> {
        self.is_url_data(tag).then(|| {
            let (mut own, mut disabled) = (Vec::new(), Vec::new());
            tag.write(&[], &mut own);
            tag.write(&disable_script(tag), &mut disabled);
            Capture::Json { text: CapturedText::new(content), tag: own, disabled }
        })
    }

    /// Whether a script's text is JSON with URLs.
    pub(super) fn is_url_data(&self, tag: &Tag<'_>) -> bool {
        let value = tag.attribute(b"type").unwrap_or_default();
        self.blocker.reader.attribute(value).any(|value| loads::is_url_data(&value))
    }

    /// Processes a part of an element's content: text, or else a comment or processing instruction.
    pub(super) fn text(&mut self, bytes: &[u8], is_text: bool, out: &mut Vec<u8>) {
        match &mut self.capture {
            Capture::None => out.extend_from_slice(bytes),
            Capture::Dropped => {}
            Capture::Markup(inner) => drop(inner.push(bytes, out)),
            Capture::Css(css) => {
                css.push(bytes, is_text);
                if css.bytes.len() > self.limit {
                    self.capture = Capture::Dropped;
                }
            }
            Capture::Json { text, disabled, .. } => {
                text.push(bytes, is_text);
                if text.bytes.len() <= self.limit {
                    return;
                }
                if disabled.is_empty() {
                    self.capture = Capture::Dropped;
                } else {
                    out.append(disabled);
                    out.append(&mut text.bytes);
                    self.capture = Capture::None;
                }
            }
        }
    }

    /// Ends the text of the current element.
    pub(super) fn end_capture(&mut self, out: &mut Vec<u8>) {
        let blocker = &self.blocker;
        match std::mem::take(&mut self.capture) {
            Capture::None | Capture::Dropped => {}
            Capture::Css(css) => {
                let texts = css.read(&blocker.reader);
                out.extend(match texts.iter().find_map(|text| blocker.css(text)) {
                    None => css.bytes,
                    Some(text) if css.raw => css::as_ascii(&text),
                    Some(_) => Vec::new(),
                });
            }
            Capture::Json { text, tag, disabled } => {
                let texts = text.read(&blocker.reader);
                let refused = texts.iter().any(|json| blocker.refuses_json(json));
                if refused && disabled.is_empty() {
                    return;
                }
                out.extend(if refused { disabled } else { tag });
                out.extend(text.bytes);
            }
            Capture::Markup(mut inner) => {
                let written = out.len();
                inner.end_capture(out);
                inner.close(out);
                inner.scrub(written, true, out);
                if inner.tree.is_ambiguous() {
                    self.tree.mark_ambiguous();
                }
            }
        }
    }
}
