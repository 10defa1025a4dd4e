//! Rewriter of a page: determines the kind and encoding, and passes the bytes through `document`.
//!
//! Pages in UTF-16 and ISO-2022-JP, where ASCII bytes can be other characters, are converted to
//! UTF-8.

use encoding_rs::{CoderResult, Decoder};

use super::block_tags::Blocker;
use super::charset::Charset;
use super::document::{HtmlDocument, Insertions};
use super::media_type::{MediaType, SNIFFED, Sniffed, sniff};
use super::text::TextReader;
use super::url_policy::UrlPolicy;

/// UTF-8 byte order mark, which takes precedence over every label.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The planned changes of one page.
#[derive(Debug)]
pub(super) struct RewritePlan {
    pub(super) media_type: MediaType,
    pub(super) policy: UrlPolicy,
    /// Whether blocked loads are made inert.
    pub(super) blocks: bool,
    pub(super) inserts: Insertions,
}

/// The rewriter of one page.
pub(super) struct Rewriter {
    stage: RewriterStage,
    decoder: Option<Decoder>,
    banner: bool,
    failed: bool,
}

enum RewriterStage {
    /// The kind is unknown. Contains the first bytes.
    Start(Box<RewritePlan>, Vec<u8>),
    Document(Box<HtmlDocument>),
    /// The rest passes unchanged.
    Passing,
}

impl Rewriter {
    pub(super) fn new(plan: RewritePlan) -> Self {
        let banner = plan.inserts.banner.is_some();
        let stage = RewriterStage::Start(Box::new(plan), Vec::new());
        Self { stage, decoder: None, banner, failed: false }
    }

    /// A rewriter that changes nothing.
    pub(super) fn passing() -> Self {
        Self { stage: RewriterStage::Passing, decoder: None, banner: false, failed: false }
    }

    /// Whether the rest of the page passes unchanged.
    pub(super) fn is_over(&self) -> bool {
        match &self.stage {
            RewriterStage::Start(..) => false,
            RewriterStage::Document(document) => document.is_done(),
            RewriterStage::Passing => true,
        }
    }

    /// Whether the page could not be rewritten.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the banner is in the page.
    pub(super) fn has_banner(&self) -> bool {
        self.banner
            && matches!(&self.stage, RewriterStage::Document(document) if document.has_banner())
    }

    /// Whether blocked loads are made inert.
    pub(super) fn blocks(&self) -> bool {
        match &self.stage {
            RewriterStage::Start(plan, _) => plan.blocks,
            RewriterStage::Document(document) => document.blocks(),
            RewriterStage::Passing => false,
        }
    }

    /// Rewrites a part of the page. Returns the number of bytes read: fewer if the rest passes unchanged.
    pub(super) fn push(&mut self, page: &[u8], out: &mut Vec<u8>) -> usize {
        let RewriterStage::Start(_, start) = &mut self.stage else { return self.feed(page, out) };
        if start.is_empty() && self.begin(page, false, out) {
            return self.feed(page, out);
        }
        let RewriterStage::Start(_, start) = &mut self.stage else { return 0 };
        let taken = page.len().min(SNIFFED.saturating_sub(start.len()));
        let (first, rest) = page.split_at_checked(taken).unwrap_or_default();
        start.extend_from_slice(first);
        let start = std::mem::take(start);
        if !self.begin(&start, false, out) {
            if let RewriterStage::Start(_, kept) = &mut self.stage {
                *kept = start;
            }
            return taken;
        }
        let read = self.feed(&start, out);
        out.extend_from_slice(start.get(read..).unwrap_or_default());
        if self.is_over() { taken } else { taken + self.feed(rest, out) }
    }

    /// Ends the page.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let RewriterStage::Start(_, start) = &mut self.stage {
            let start = std::mem::take(start);
            self.begin(&start, true, out);
            let read = self.feed(&start, out);
            out.extend_from_slice(start.get(read..).unwrap_or_default());
        }
        if let Some(mut decoder) = self.decoder.take() {
            self.decode(&mut decoder, &[], true, out);
        }
        if let RewriterStage::Document(document) = &mut self.stage {
            document.end(out);
        }
    }

    /// Determines the kind of the page from its first bytes. Returns whether the stage is decided.
    fn begin(&mut self, start: &[u8], ended: bool, out: &mut Vec<u8>) -> bool {
        let RewriterStage::Start(plan, _) = &mut self.stage else { return true };
        let kind = match plan.media_type.kind {
            Some(kind) => Some(kind),
            None => match sniff(start) {
                Sniffed::Document(kind) => Some(kind),
                Sniffed::More if !ended => return false,
                Sniffed::More | Sniffed::Other => None,
            },
        };
        let Some(kind) = kind else {
            self.stage = RewriterStage::Passing;
            return true;
        };
        let may_be_marked = match start.first() {
            Some(0 | 0xef | 0xfe | 0xff) | None => true,
            Some(b'<') => kind.is_xml(),
            Some(_) => false,
        };
        if may_be_marked && start.len() < 4 && !ended {
            return false;
        }
        let charset = Charset::of_start(start, kind.is_xml());
        let mut charset = charset.unwrap_or(plan.media_type.charset);
        if !charset.is_ascii_compatible() {
            if !plan.blocks {
                self.failed = true;
                self.stage = RewriterStage::Passing;
                return true;
            }
            out.extend_from_slice(BOM);
            self.decoder = Some(charset.decoder());
            charset = Charset::UTF_8;
        }
        let reader = TextReader { charset, entities: None };
        let inserts = std::mem::take(&mut plan.inserts);
        let blocker = Blocker { policy: plan.policy.clone(), reader, xml: kind.is_xml() };
        let document = HtmlDocument::new(kind, blocker, plan.blocks, inserts);
        self.stage = RewriterStage::Document(Box::new(document));
        true
    }

    /// Passes bytes through the document. Returns the number of bytes read.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        if let Some(mut decoder) = self.decoder.take() {
            self.decode(&mut decoder, bytes, false, out);
            self.decoder = Some(decoder);
            return bytes.len();
        }
        let RewriterStage::Document(document) = &mut self.stage else { return 0 };
        let read = document.push(bytes, out);
        if let Some((charset, rest)) = document.take_new_charset() {
            self.decoder = Some(charset.decoder());
            self.feed(&rest, out);
            return read + self.feed(bytes.get(read..).unwrap_or_default(), out);
        }
        read
    }

    /// Passes bytes in another encoding through the document.
    fn decode(&mut self, decoder: &mut Decoder, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        let RewriterStage::Document(document) = &mut self.stage else { return };
        let mut rest = bytes;
        let mut piece = [0; 4096];
        loop {
            let (result, read, written, _) = decoder.decode_to_utf8(rest, &mut piece, last);
            document.push(piece.get(..written).unwrap_or_default(), out);
            rest = rest.get(read..).unwrap_or_default();
            if result == CoderResult::InputEmpty {
                return;
            }
        }
    }
}
