//! Streaming body of a rewritten page, with bounded work and memory per poll.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::outcome::PageOutcome;
use super::rewriter::Rewriter;
use super::transcoder::{PageCoding, Permit, Transcoder};

/// Bytes to process per poll, so that other tasks get their turn.
const TURN: usize = 64 * 1024;

/// Maximum bytes of a compressed page to keep before the decoder has any output: two zstd blocks. A
/// page that exceeds the limit passes unchanged, unless loads are blocked: then the response fails.
const MAX_UNTOUCHED: usize = 256 * 1024;

/// Errors of a rewritten page.
#[derive(Debug, Error)]
pub enum PageError<E> {
    /// Error of the inner body.
    #[error(transparent)]
    Inner(E),
    /// The compressed data is corrupt or truncated.
    #[error("invalid content coding of a page")]
    Coding,
}

/// Body of a page.
pub enum PageBody<B> {
    /// Passes unchanged.
    Unchanged(B),
    /// Is rewritten.
    Rewritten(Box<ActiveRewrite<B>>),
}

/// A body that is being rewritten.
pub struct ActiveRewrite<B> {
    inner: B,
    rewriter: Rewriter,
    codec: Option<Transcoder>,
    /// Input that is not processed yet.
    input: Bytes,
    /// The input so far, as long as the decoder has no output. Such input can still pass unchanged.
    untouched: Option<Vec<Bytes>>,
    /// Chunks to emit unchanged before anything else, in reverse order.
    ahead: Vec<Bytes>,
    state: RewriteState,
    trailers: Option<HeaderMap>,
    plain: Vec<u8>,
    changed: Vec<u8>,
    failed: bool,
    _permit: Option<Permit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RewriteState {
    Changing,
    /// The rest passes unchanged.
    Passing,
    /// The body has ended. `Broken`: an error ends the body.
    Ended,
    Broken,
}

impl<B> PageBody<B> {
    pub(super) fn rewritten(
        inner: B,
        rewriter: Rewriter,
        coding: PageCoding,
        permit: Option<Permit>,
    ) -> Self {
        let codec = Transcoder::of(coding);
        Self::Rewritten(Box::new(ActiveRewrite {
            inner,
            rewriter,
            untouched: codec.is_some().then(Vec::new),
            codec,
            input: Bytes::new(),
            ahead: Vec::new(),
            state: RewriteState::Changing,
            trailers: None,
            plain: Vec::new(),
            changed: Vec::new(),
            failed: false,
            _permit: permit,
        }))
    }

    /// The empty body of a rejected page.
    pub(super) fn refused(inner: B) -> Self {
        let mut body = Self::rewritten(inner, Rewriter::passing(), PageCoding::Identity, None);
        if let Self::Rewritten(body) = &mut body {
            body.state = RewriteState::Ended;
            body.failed = true;
        }
        body
    }

    /// Whether the page was rejected, so that the body is empty.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Rewritten(body) if body.failed && matches!(body.state, RewriteState::Ended))
    }

    /// The inner body.
    pub fn inner(&self) -> &B {
        match self {
            Self::Unchanged(inner) => inner,
            Self::Rewritten(body) => &body.inner,
        }
    }

    /// The outcome for the page so far. `None` if no change was planned.
    pub fn outcome(&self) -> Option<PageOutcome> {
        match self {
            Self::Unchanged(_) => None,
            Self::Rewritten(body) if body.failed || body.rewriter.has_failed() => {
                Some(PageOutcome::Failed)
            }
            Self::Rewritten(body) if body.rewriter.has_banner() => Some(PageOutcome::Banner),
            Self::Rewritten(body) => body.rewriter.blocks().then_some(PageOutcome::Guarded),
        }
    }
}

impl<B: Body<Data = Bytes>> ActiveRewrite<B> {
    /// Processes a part of the input. Returns the output.
    fn work(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(codec) = &mut self.codec else {
            let part = self.input.len().min(TURN);
            let part = self.input.get(..part).unwrap_or_default();
            let taken = self.rewriter.push(part, &mut out);
            self.input.advance(taken.min(self.input.len()));
            if self.rewriter.is_over() {
                self.state = RewriteState::Passing;
                let rest = std::mem::take(&mut self.input);
                self.ahead.extend((!rest.is_empty()).then_some(rest));
            }
            return out;
        };
        let mut worked = 0;
        while worked < TURN {
            let decoded = codec.decode(&self.input, &mut self.plain);
            let Ok(taken) = decoded else {
                self.break_off();
                return out;
            };
            self.input.advance(taken.min(self.input.len()));
            worked += self.plain.len();
            if !self.plain.is_empty() {
                self.untouched = None;
            }
            let kept = self.untouched.iter().flatten().map(Bytes::len).sum::<usize>();
            if kept > MAX_UNTOUCHED {
                self.break_off();
                return out;
            }
            self.changed.clear();
            let pushed = self.rewriter.push(&self.plain, &mut self.changed);
            let rest = self.plain.get(pushed..).unwrap_or_default();
            let encoded = codec.encode(&self.changed, &mut out);
            if encoded.and_then(|()| codec.encode(rest, &mut out)).is_err() {
                self.break_off();
                return out;
            }
            if taken == 0 && self.plain.is_empty() || self.input.is_empty() && !codec.has_more() {
                break;
            }
        }
        out
    }

    /// Handles corrupt data. The bytes so far pass unchanged if nothing was forwarded and nothing
    /// is blocked.
    fn break_off(&mut self) {
        self.failed = true;
        self.input = Bytes::new();
        match self.untouched.take().filter(|_| !self.rewriter.blocks()) {
            Some(untouched) => {
                self.ahead.extend(untouched.into_iter().rev());
                self.state = RewriteState::Passing;
            }
            None => self.state = RewriteState::Broken,
        }
    }

    /// Handles the end of the inner body.
    fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.state = RewriteState::Ended;
        let Some(codec) = &mut self.codec else {
            self.rewriter.end(&mut out);
            return out;
        };
        if !codec.is_whole() {
            let nothing = self.untouched.as_ref().is_some_and(Vec::is_empty);
            self.break_off();
            self.failed = !nothing;
            if self.state == RewriteState::Passing {
                self.state = RewriteState::Ended;
            }
            if let Some(codec) = self.codec.as_mut().filter(|_| self.state == RewriteState::Broken)
            {
                // Forward the output so far, as the origin sent it.
                let _ = codec.flush(&mut out);
            }
            return out;
        }
        self.changed.clear();
        self.rewriter.end(&mut self.changed);
        let finished = codec.encode(&self.changed, &mut out).and_then(|()| codec.finish(&mut out));
        if finished.is_err() {
            self.failed = true;
            self.state = RewriteState::Broken;
        }
        out
    }

    fn has_work(&self) -> bool {
        !self.input.is_empty() || self.codec.as_ref().is_some_and(Transcoder::has_more)
    }
}

impl<B: Body<Data = Bytes> + Unpin> ActiveRewrite<B> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError<B::Error>>>> {
        loop {
            if let Some(ahead) = self.ahead.pop() {
                return Poll::Ready(Some(Ok(Frame::data(ahead))));
            }
            let out = match self.state {
                RewriteState::Passing => {
                    let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
                    return Poll::Ready(frame.map(|frame| frame.map_err(PageError::Inner)));
                }
                RewriteState::Ended => {
                    return Poll::Ready(self.trailers.take().map(|t| Ok(Frame::trailers(t))));
                }
                RewriteState::Broken => {
                    self.state = RewriteState::Ended;
                    return Poll::Ready(Some(Err(PageError::Coding)));
                }
                RewriteState::Changing if self.has_work() => self.work(),
                RewriteState::Changing => match Pin::new(&mut self.inner).poll_frame(context) {
                    Poll::Pending => {
                        let mut out = Vec::new();
                        let flushed = self.codec.as_mut().map(|codec| codec.flush(&mut out));
                        if flushed.is_some_and(|flushed| flushed.is_err()) {
                            self.break_off();
                        }
                        if out.is_empty() && self.state == RewriteState::Changing {
                            return Poll::Pending;
                        }
                        out
                    }
                    Poll::Ready(None) => self.finish(),
                    Poll::Ready(Some(Err(error))) => {
                        self.state = RewriteState::Ended;
                        return Poll::Ready(Some(Err(PageError::Inner(error))));
                    }
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => {
                            if let Some(untouched) = &mut self.untouched {
                                untouched.push(data.clone());
                            }
                            self.input = data;
                            continue;
                        }
                        Err(frame) => {
                            self.trailers = frame.into_trailers().ok();
                            self.finish()
                        }
                    },
                },
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))));
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for PageBody<B> {
    type Data = Bytes;
    type Error = PageError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError<B::Error>>>> {
        match self.get_mut() {
            Self::Unchanged(inner) => {
                let frame = ready!(Pin::new(inner).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(PageError::Inner)))
            }
            Self::Rewritten(body) => body.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Unchanged(inner) => inner.is_end_stream(),
            Self::Rewritten(body) => match body.state {
                RewriteState::Passing => body.ahead.is_empty() && body.inner.is_end_stream(),
                RewriteState::Ended => body.ahead.is_empty() && body.trailers.is_none(),
                RewriteState::Changing | RewriteState::Broken => false,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Unchanged(inner) => inner.size_hint(),
            Self::Rewritten(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::document::{Banner, Insertions};
    use crate::html::testing::plan;
    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;
    use std::convert::Infallible;

    const BANNER: &str = "<aside id=banner>&#8364;</aside>";

    const CODINGS: [PageCoding; 4] =
        [PageCoding::Identity, PageCoding::Gzip, PageCoding::Brotli, PageCoding::Zstd];

    fn coded(plain: &[u8], coding: PageCoding) -> Vec<u8> {
        let mut out = Vec::new();
        match Transcoder::of(coding) {
            None => out.extend_from_slice(plain),
            Some(mut codec) => {
                codec.encode(plain, &mut out).expect("encodes");
                codec.finish(&mut out).expect("finishes");
            }
        }
        out
    }

    /// The decoded text, and whether the stream is complete.
    fn decoded(mut text: &[u8], coding: PageCoding) -> (Vec<u8>, bool) {
        let Some(mut codec) = Transcoder::of(coding) else { return (text.to_vec(), true) };
        let (mut all, mut plain) = (Vec::new(), Vec::new());
        loop {
            let Ok(taken) = codec.decode(text, &mut plain) else { return (all, false) };
            text = &text[taken..];
            all.extend_from_slice(&plain);
            if text.is_empty() && !codec.has_more() || taken == 0 && plain.is_empty() {
                return (all, codec.is_whole());
            }
        }
    }

    fn rewriter() -> Rewriter {
        let banner = Banner { markup: BANNER.into(), linked: None };
        let inserts = Insertions { banner: Some(banner), ..Insertions::default() };
        Rewriter::new(plan(false, inserts))
    }

    fn body(
        chunks: Vec<Vec<u8>>,
        coding: PageCoding,
    ) -> PageBody<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
        PageBody::rewritten(StreamBody::new(stream::iter(frames)), rewriter(), coding, None)
    }

    /// The output, whether it ends without an error, and the outcome.
    fn through(chunks: Vec<Vec<u8>>, coding: PageCoding) -> (Vec<u8>, bool, Option<PageOutcome>) {
        let mut body = body(chunks, coding);
        let mut out = Vec::new();
        loop {
            match body.frame().now_or_never().expect("nothing is waited for") {
                None => return (out, true, body.outcome()),
                Some(Err(_)) => return (out, false, body.outcome()),
                Some(Ok(frame)) => out.extend_from_slice(frame.data_ref().expect("data")),
            }
        }
    }

    fn cut(text: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut_at| cut_at % (text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|two| text[two[0]..two[1]].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn a_page_differs_only_by_one_banner_in_any_chunking_and_coding(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "<!doctype html>", "<html>", "<head>", "<title>a</body>b</title>", "</head>", "<BODY class='x>y'>",
                "<body", ">", "text <", "<!-- <body> -->", "<script>'<body>'</script>", "<p a=\"<body>\">", "\u{e9}\0\r\n",
                "</body></html>", "<svg><body>", "<![CDATA[<body>]]>", "<textarea><body>", "&amp;", "<template><body></template>",
            ]), 0..30),
            filler in 0..3000_usize,
            cuts in prop::collection::vec(0..10_000_usize, 0..6),
            coding in prop::sample::select(CODINGS.to_vec()),
        ) {
            let mut html = "x".repeat(filler);
            html.extend(pieces);
            let text = coded(html.as_bytes(), coding);
            let (out, whole, outcome) = through(cut(&text, &cuts), coding);
            prop_assert!(whole);
            if html.is_empty() && coding == PageCoding::Identity {
                prop_assert_eq!(outcome, Some(PageOutcome::Banner));
            }
            let (out, ended) = decoded(&out, coding);
            prop_assert!(ended);
            let out = String::from_utf8(out).expect("text");
            prop_assert_eq!(out.matches(BANNER).count(), 1);
            let (before, after) = out.split_once(BANNER).expect("a banner");
            let kept = html.strip_suffix(after).expect("the rest of the page");
            let mut before = before;
            while let Some((start, name)) = before.strip_suffix('>').and_then(|rest| rest.rsplit_once("</"))
                && before.len() > kept.len()
                && name.bytes().all(|byte| byte.is_ascii_lowercase())
            {
                before = start;
            }
            if after.is_empty() {
                // Open constructs are closed, so that they do not hide the banner. An incomplete
                // tag is dropped.
                let tags = kept.match_indices('<').map(|(at, _)| at).chain([kept.len()]);
                let closing = ["", "</", "-->", ">", "]]>"];
                let fits = tags.filter_map(|at| before.strip_prefix(&kept[..at])).any(|rest| {
                    closing.iter().any(|start| rest.starts_with(start) && (!start.is_empty() || rest.is_empty()))
                });
                prop_assert!(fits, "{}", before);
            } else {
                prop_assert_eq!(before, kept);
            }
            prop_assert_eq!(outcome, Some(PageOutcome::Banner));
        }
    }

    #[test]
    fn the_banner_is_last_in_the_body_or_in_a_page_without_an_end_tag() {
        for (html, expected) in [
            ("<html><body class=a><p>x", format!("<html><body class=a><p>x{BANNER}")),
            ("<body>x</BODY ></html>\n", format!("<body>x{BANNER}</BODY ></html>\n")),
            ("x</body><p>y</body>", format!("x{BANNER}</body><p>y</body>")),
            ("<p>no body", format!("<p>no body{BANNER}")),
            (
                "<body><!-- </body> --><script>'</body>'</script><title></body></title></body>",
                format!(
                    "<body><!-- </body> --><script>'</body>'</script><title></body></title>{BANNER}</body>"
                ),
            ),
            (
                "<body><div hidden><ul><li>a<li>b</ul><svg><path/></body>",
                format!(
                    "<body><div hidden><ul><li>a<li>b</ul><svg><path/></path></svg></div>{BANNER}</body>"
                ),
            ),
            (
                "<body><table><tr><td>a</body>",
                format!("<body><table><tr><td>a</td></tr></table>{BANNER}</body>"),
            ),
            (
                "<body><div></div></div><br/></body>",
                format!("<body><div></div></div><br/>{BANNER}</body>"),
            ),
            (
                "<body><template></body></template></body>",
                format!("<body><template></body></template>{BANNER}</body>"),
            ),
        ] {
            let (out, _, _) = through(vec![html.into()], PageCoding::Identity);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn a_body_with_an_invalid_coding_start_passes_unchanged() {
        for coding in [PageCoding::Gzip, PageCoding::Brotli, PageCoding::Zstd] {
            let html = b"\xff<html><body>not coded at all, whatever the head says".to_vec();
            let (out, whole, outcome) = through(cut(&html, &[3, 9]), coding);
            assert_eq!(
                (out, whole, outcome),
                (html, true, Some(PageOutcome::Failed)),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn a_truncated_coding_ends_with_an_error_as_from_the_origin() {
        for coding in [PageCoding::Gzip, PageCoding::Brotli, PageCoding::Zstd] {
            // Non-repeating letters, so that the compressed size is about half of the text.
            let mut html = String::from("<body>");
            let mut state = 1_u32;
            for _ in 0..400_000 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                html.push(char::from(b'a' + u8::try_from(state >> 28).unwrap_or(0)));
            }
            let text = coded(html.as_bytes(), coding);
            let (out, whole, outcome) = through(vec![text[..text.len() / 2].to_vec()], coding);
            assert_eq!((whole, outcome), (false, Some(PageOutcome::Failed)), "{coding:?}");
            let (out, ended) = decoded(&out, coding);
            assert!(!ended, "{coding:?}");
            assert!(html.as_bytes().starts_with(&out) && out.len() > 1000, "{coding:?}");
        }
    }

    #[test]
    fn further_gzip_members_and_zstd_frames_are_decoded_and_trailing_garbage_is_ignored() {
        let page = b"<body>one".to_vec();
        for garbage in [&b"garbage"[..], b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x07", b"\0\0\0\0"] {
            let gzip = [coded(&page, PageCoding::Gzip), garbage.to_vec()].concat();
            let (out, whole, _) = through(vec![gzip], PageCoding::Gzip);
            assert!(
                whole && decoded(&out, PageCoding::Gzip).0.starts_with(b"<body>one<aside"),
                "{garbage:?}"
            );
        }
        for coding in [PageCoding::Gzip, PageCoding::Zstd] {
            let parts = [coded(&page, coding), coded(b" two", coding), coded(b" three", coding)];
            let coded = parts.concat();
            for size in [1, 2, 3, 7, coded.len()] {
                let chunks = coded.chunks(size).map(<[u8]>::to_vec).collect();
                let (out, whole, _) = through(chunks, coding);
                assert!(whole, "{coding:?} {size}");
                let out = decoded(&out, coding).0;
                assert!(out.starts_with(b"<body>one two three<aside"), "{coding:?} {size}");
            }
            let (_, whole, _) = through(vec![coded[..coded.len() - 3].to_vec()], coding);
            assert!(!whole, "{coding:?}: cut in the last part");
        }
    }

    #[test]
    fn a_decompression_bomb_is_processed_in_small_pieces() {
        for coding in [PageCoding::Gzip, PageCoding::Brotli, PageCoding::Zstd] {
            let html = [b"<body>".to_vec(), vec![b'0'; 30_000_000]].concat();
            let mut body = body(vec![coded(&html, coding)], coding);
            let (mut count, mut out) = (0, Vec::new());
            while let Some(frame) = body.frame().now_or_never().expect("nothing is waited for") {
                out.extend_from_slice(frame.expect("good").data_ref().expect("data"));
                count += 1;
                let PageBody::Rewritten(body) = &body else { panic!("a page") };
                let held = body.plain.capacity() + body.changed.capacity();
                assert!(held <= 256 * 1024, "{coding:?}: {held}");
            }
            // At most 128 KiB a poll, on average.
            assert!(count >= html.len() / (128 * 1024), "{coding:?}: {count}");
            let (out, ended) = decoded(&out, coding);
            assert!(ended && out.len() == html.len() + BANNER.len(), "{coding:?}");
        }
    }

    #[test]
    fn a_coding_without_output_is_abandoned() {
        // The head of a gzip stream with an endless file name (RFC 1952 section 2.3.1).
        let mut endless = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff".to_vec();
        endless.extend(vec![b'x'; 2_000_000]);
        let chunks = endless.chunks(10_000).map(<[u8]>::to_vec).collect();
        let (out, whole, outcome) = through(chunks, PageCoding::Gzip);
        assert_eq!((out.len(), whole, outcome), (endless.len(), true, Some(PageOutcome::Failed)));
        assert_eq!(out, endless);
    }

    #[test]
    fn a_tag_above_4_mib_is_flushed_before_its_end_and_the_banner_follows() {
        let start = format!("<html><head data-x=\"{}", "<a ".repeat(1_450_000));
        let html = format!("{start}\"><body>");
        for coding in CODINGS {
            let unended = coded(start.as_bytes(), coding);
            let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(unended)))]);
            let inner = StreamBody::new(first.chain(stream::pending()));
            let mut body = PageBody::rewritten(inner, rewriter(), coding, None);
            let mut out = Vec::new();
            while let Some(Some(frame)) = body.frame().now_or_never() {
                out.extend_from_slice(frame.expect("good").data_ref().expect("data"));
            }
            let (out, _) = decoded(&out, coding);
            let kept = start.len() - out.len();
            assert!(start.as_bytes().starts_with(&out) && kept < 64 * 1024, "{coding:?}: {kept}");

            let (out, whole, outcome) = through(vec![coded(html.as_bytes(), coding)], coding);
            assert_eq!((whole, outcome), (true, Some(PageOutcome::Banner)), "{coding:?}");
            let (out, ended) = decoded(&out, coding);
            assert!(ended && out == format!("{html}{BANNER}").into_bytes(), "{coding:?}");
        }
    }

    #[test]
    fn utf_16_pages_are_unchanged_for_any_declared_charset() {
        let html: Vec<u8> =
            "\u{feff}<html><body>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (out, whole, outcome) = through(vec![html.clone()], PageCoding::Identity);
        assert_eq!((out, whole, outcome), (html, true, Some(PageOutcome::Failed)));
    }

    #[test]
    fn received_bytes_are_flushed_while_the_origin_pauses() {
        for coding in CODINGS {
            let html = coded(b"<body><p>first</p>", coding);
            let chunks = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(html)))]);
            let inner = StreamBody::new(chunks.chain(stream::pending()));
            let mut body = PageBody::rewritten(inner, rewriter(), coding, None);
            let mut out = Vec::new();
            while let Some(Some(frame)) = body.frame().now_or_never() {
                out.extend_from_slice(frame.expect("good").data_ref().expect("data"));
            }
            let (out, _) = decoded(&out, coding);
            assert!(out.ends_with(b"<p>first</p>"), "{coding:?} {}", out.escape_ascii());
        }
    }
}
