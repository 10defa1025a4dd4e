//! Element handling: insertions and inert attributes.

use super::{Banner, Capture, HtmlDocument, Insertions, MAX_DEPTH};
use crate::consent_ui::BannerStyle;
use crate::html::block_tags::{Blocker, EmbeddedPage, TagEdits, disable_script};
use crate::html::charset::Charset;
use crate::html::csp::Policies;
use crate::html::data_url::DataUrl;
use crate::html::media_type::DocumentKind;
use crate::html::tag::{Name, Tag, TagEdit, disabled};
use crate::html::text::TextReader;
use crate::html::tokenizer::Content;
use crate::html::tree::TagFacts;
use crate::html::xml::{Instruction, as_xml, instruction};

impl HtmlDocument {
    /// Processes a start tag.
    pub(super) fn start(&mut self, tag: &Tag<'_>, out: &mut Vec<u8>) {
        let (name, first, lives) = self.begin(tag, out);
        let edits = if self.blocks && lives { self.edits(&name, tag) } else { Vec::new() };
        self.note_for_banner(&name, tag);
        let content = self.open(&name, facts(&name, tag, &self.blocker));
        let empty = tag.is_self_closing() && content == Content::Data;
        let is_script = self.blocks && lives && *name == *b"script" && edits.is_empty();
        let json = is_script.then(|| self.capture_json(tag, content)).flatten();
        if json.is_none() {
            tag.write(&edits, out);
        }
        self.capture = match json {
            Some(json) if !empty => json,
            _ if lives => self.capture(&name, content, empty),
            _ => Capture::None,
        };
        if !empty {
            self.insert_after(&name, first, lives, out);
        }
    }

    /// Processes the start of a tag over the limit.
    pub(super) fn long_start(&mut self, tag: &Tag<'_>, out: &mut Vec<u8>) {
        // The tag may declare namespaces after the limit.
        self.namespaces.follow_all();
        let (name, _, lives) = self.begin(tag, out);
        let mut edits = if self.blocks && lives { self.edits(&name, tag) } else { Vec::new() };
        let is_script = self.blocks && lives && *name == *b"script" && edits.is_empty();
        if is_script && self.is_url_data(tag) {
            edits = disable_script(tag);
        }
        tag.write_start(&edits, out);
        if let Some((attribute, value, raw)) =
            self.tokenizer.open_attribute().and_then(|a| tag.open(a))
        {
            out.push(b' ');
            if self.blocks && self.blocker.refuses_start(&name, attribute, value) {
                out.extend_from_slice(&disabled(attribute));
                out.extend_from_slice(raw.get(attribute.len()..).unwrap_or_default());
            } else {
                out.extend_from_slice(raw);
            }
        } else {
            out.extend_from_slice(tag.rest());
        }
        self.note_for_banner(&name, tag);
        let facts = facts(&name, tag, &self.blocker);
        self.long = Some((name, facts));
    }

    /// Processes the end of a tag over the limit.
    pub(super) fn long_end(&mut self, out: &mut Vec<u8>) {
        let (name, facts) = self.long.take().unwrap_or_default();
        if self.tokenizer.is_end_tag() {
            self.end_element(&name);
            return;
        }
        let self_closing = self.tokenizer.is_self_closing();
        let content = self.open(&name, TagFacts { self_closing, ..facts });
        // Attributes after the limit may change the tree.
        if self.tree.has_cdata() && matches!(&*name, b"font" | b"annotation-xml") {
            self.tree.mark_ambiguous();
        }
        let empty = self_closing && content == Content::Data;
        self.capture = match &*name {
            // The `type` attribute may follow after the limit.
            b"script" if self.blocks && !empty => Capture::json(content),
            _ => self.capture(&name, content, empty),
        };
        if !empty {
            self.insert_after(&name, false, true, out);
        }
    }

    /// Processes an end tag.
    pub(super) fn end_element(&mut self, name: &[u8]) {
        if self.kind == DocumentKind::Html && !self.tokenizer.ends_text() {
            self.tree.end(name);
            if self.pending.banner.is_some() && self.templates == 0 {
                self.open.end(name);
            }
            self.tokenizer.set_cdata(self.tree.has_cdata());
            self.templates = self.templates.saturating_sub(usize::from(name == b"template"));
        }
    }

    /// Processes a doctype or processing instruction of an XML document.
    pub(super) fn declaration(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.blocks {
            out.extend_from_slice(bytes);
            return;
        }
        if !bytes.starts_with(b"<?") {
            let doctype = self.namespaces.doctype(bytes, &mut self.blocker);
            self.text(&doctype, false, out);
            return;
        }
        match instruction(bytes, &self.blocker) {
            Instruction::Blocked => {}
            Instruction::AsItIs => self.text(bytes, false, out),
            Instruction::Encoding(label) => {
                if self.charset(&label) {
                    let declaration = String::from_utf8_lossy(bytes).replacen(&label, "utf-8", 1);
                    self.text(declaration.as_bytes(), false, out);
                } else {
                    self.text(bytes, false, out);
                }
            }
        }
    }

    /// Inserts markup of this proxy.
    pub(super) fn insert(&self, markup: &str, out: &mut Vec<u8>) {
        let mut markup = markup.to_owned();
        if let Some(origin) = self.blocker.policy.origin_beside_base() {
            for attribute in ["href", "src", "action"] {
                let absolute = format!(" {attribute}=\"{origin}/");
                markup = markup.replace(&format!(" {attribute}=\"/"), &absolute);
            }
        }
        let markup = if self.kind.is_xml() { as_xml(&markup) } else { markup };
        out.extend_from_slice(markup.as_bytes());
    }

    /// Common first step for every start tag. Returns the element's name, whether it is the
    /// document's first element, and whether it is an HTML or SVG element.
    fn begin(&mut self, tag: &Tag<'_>, out: &mut Vec<u8>) -> (Name, bool, bool) {
        self.end_capture(out);
        let name = tag.name();
        let first = !std::mem::replace(&mut self.started, true);
        let lives = self.kind == DocumentKind::Html || self.namespaces.declare(tag, &self.blocker);
        let before = match self.kind {
            DocumentKind::Html => !matches!(&*name, b"html" | b"head"),
            _ => lives && !first && *name == *b"script",
        };
        if before && let Some(guard) = self.pending.guard.take() {
            self.insert(&guard, out);
        }
        (name, first, lives)
    }

    fn insert_after(&mut self, name: &[u8], first: bool, lives: bool, out: &mut Vec<u8>) {
        let guard = match self.kind {
            DocumentKind::Html => name == b"head",
            _ => lives && first && matches!(name, b"html" | b"svg"),
        };
        if guard && let Some(guard) = self.pending.guard.take() {
            self.insert(&guard, out);
        }
        self.has_body |= lives && name == b"body" && self.templates == 0;
    }

    /// Inserts the banner before the end tag of the body.
    pub(super) fn insert_before_end(&mut self, name: &[u8], out: &mut Vec<u8>) {
        let is_last = name == b"body" && self.templates == 0;
        // XML is well-formed: the body of XHTML is the outermost one.
        let ends = is_last && (self.kind == DocumentKind::Html || self.has_body);
        if ends && let Some(banner) = self.pending.banner.take() {
            self.open.close(out);
            self.insert_banner(banner, out);
        }
    }

    /// Inserts the banner with a style that the page's policies allow.
    pub(super) fn insert_banner(&mut self, banner: Banner, out: &mut Vec<u8>) {
        match banner.linked {
            Some(linked) if self.restricts_styles => self.insert(&linked, out),
            _ => self.insert(&banner.markup, out),
        }
    }

    /// Reads what the position and the kind of the banner depend on.
    fn note_for_banner(&mut self, name: &[u8], tag: &Tag<'_>) {
        if self.pending.banner.is_none() || self.templates > 0 {
            return;
        }
        if self.kind == DocumentKind::Html {
            self.open.start(name);
        }
        let reader = &self.blocker.reader;
        if name == b"meta"
            && let Some(kind) = tag.attribute(b"http-equiv")
            && reader.likely(kind).eq_ignore_ascii_case("content-security-policy")
        {
            let policy = reader.likely(tag.attribute(b"content").unwrap_or_default());
            let policies = Policies::of_text(&policy);
            self.restricts_styles |= policies.banner_style() != BannerStyle::Inline(None);
        }
        if name == b"base"
            && !self.blocks
            && let Some(href) = tag.attribute(b"href")
        {
            let href = reader.likely(href);
            self.blocker.policy.set_base(&href);
        }
    }

    /// Adds an element to the tree. Returns the content model of its text.
    fn open(&mut self, name: &[u8], facts: TagFacts) -> Content {
        if self.kind.is_xml() {
            return Content::Data;
        }
        let content = self.tree.start(name, facts);
        self.tokenizer.set_content(content, name);
        self.tokenizer.set_cdata(self.tree.has_cdata());
        self.templates += usize::from(name == b"template");
        content
    }

    /// The edits of a tag.
    fn edits<'a>(&mut self, name: &[u8], tag: &Tag<'a>) -> Vec<TagEdit<'a>> {
        let TagEdits { mut edits, pages } = self.blocker.changes(name, tag);
        for (attribute, page) in pages {
            edits.extend(self.embedded(attribute, page));
        }
        if name == b"base"
            && edits.is_empty()
            && self.templates == 0
            && let Some(href) = tag.attribute(b"href")
        {
            let href = self.blocker.reader.likely(href);
            self.blocker.policy.set_base(&href);
        }
        if name == b"meta"
            && !self.blocker.reader.charset.is_labelled()
            && let Some((attribute, label, utf_8)) = self.blocker.named_charset(tag)
            && self.charset(&label)
        {
            edits.push(TagEdit::Set(attribute, utf_8));
        }
        edits
    }

    /// Applies the encoding that the document declares. Returns whether the rest is converted to
    /// UTF-8.
    fn charset(&mut self, label: &str) -> bool {
        let charset = Charset::declared(label);
        if self.blocker.reader.charset.is_labelled() || charset.is_ascii_compatible() {
            self.blocker.reader.charset = self.blocker.reader.charset.or(charset);
            return false;
        }
        self.new_charset = self.decodes.then_some(charset);
        self.blocker.reader.charset = Charset::UTF_8;
        true
    }

    /// Rewrites a page in an attribute.
    fn embedded<'a>(&self, attribute: &'a [u8], page: EmbeddedPage) -> Option<TagEdit<'a>> {
        let mut blocker = self.blocker.clone();
        blocker.xml = false;
        blocker.policy = blocker.policy.nested();
        blocker.reader = TextReader { charset: Charset::UTF_8, entities: None };
        let mut inserts = Insertions::default();
        let (kind, text, data) = match page {
            EmbeddedPage::Srcdoc(text) => {
                inserts.guard = self.guard.clone();
                (DocumentKind::Html, text.into_bytes(), None)
            }
            EmbeddedPage::Data(url) => {
                let mut data = DataUrl::page(&url)?;
                blocker.reader.charset = data.media_type.charset;
                blocker.xml = data.kind.is_xml();
                (data.kind, std::mem::take(&mut data.bytes), Some(data))
            }
        };
        if self.depth >= MAX_DEPTH || !blocker.reader.charset.is_ascii_compatible() {
            return Some(TagEdit::Disable(attribute));
        }
        let mut document = Self::new(kind, blocker, true, inserts).with_limit(self.limit);
        document.depth = self.depth + 1;
        document.decodes = false;
        let mut out = Vec::with_capacity(text.len());
        document.push(&text, &mut out);
        document.end(&mut out);
        if out == text {
            return None;
        }
        let value = match data {
            Some(data) => data.with(&out),
            None => String::from_utf8_lossy(&out).into_owned(),
        };
        Some(TagEdit::Set(attribute, value))
    }
}

/// The facts about a tag that tree construction needs.
pub(super) fn facts(name: &[u8], tag: &Tag<'_>, blocker: &Blocker) -> TagFacts {
    let has = |attribute: &&[u8]| tag.attribute(attribute).is_some();
    let is_html = |value: &[u8]| {
        let encoding = blocker.reader.likely(value).to_ascii_lowercase();
        matches!(encoding.as_str(), "text/html" | "application/xhtml+xml")
    };
    TagFacts {
        self_closing: tag.is_self_closing(),
        is_styled: name == b"font" && [&b"color"[..], b"face", b"size"].iter().any(has),
        is_html: name == b"annotation-xml" && tag.attribute(b"encoding").is_some_and(is_html),
    }
}
