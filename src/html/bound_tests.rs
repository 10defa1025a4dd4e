//! Tests of the limits on memory and work of the page rewriter. The limits are literals, so that a
//! changed constant fails here too.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};

use super::body::PageBody;
use super::document::{HtmlDocument, Insertions};
use super::media_type::DocumentKind;
use super::rewriter::Rewriter;
use super::scrubber::Scrubber;
use super::testing::{blocker, plan};
use super::text::Entities;
use super::tokenizer::{Token, Tokenizer};
use super::transcoder::{PageCoding, RewriteLimit, Transcoder};
use super::tree::{ElementStack, TagFacts};

const CODINGS: [PageCoding; 4] =
    [PageCoding::Identity, PageCoding::Gzip, PageCoding::Brotli, PageCoding::Zstd];

#[test]
fn a_site_transcodes_at_most_256_pages_at_a_time() {
    let budget = RewriteLimit::default();
    let mut permits: Vec<_> = (0..256).map(|_| budget.take().expect("a permit")).collect();
    assert!(budget.take().is_none() && budget.is_empty());
    drop(permits.pop());
    assert!(!budget.is_empty());
    permits.push(budget.take().expect("a permit"));
    assert!(budget.take().is_none());
    drop(permits);
    assert!((0..256).all(|_| budget.take().is_some()), "each is given back once");
}

/// Letters that hardly compress.
fn letters(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + u8::try_from(state >> 28).unwrap_or(0)
    };
    std::iter::repeat_with(letter).take(count).collect()
}

/// A guarded body with these chunks. `page_request` counts the chunks that were polled.
fn guarded<'a>(
    parts: &'a [Vec<u8>],
    coding: PageCoding,
    page_request: &'a AtomicUsize,
) -> PageBody<impl Body<Data = Bytes, Error = Infallible> + Unpin + 'a> {
    let frames = parts.iter().map(|part| Ok(Frame::data(Bytes::copy_from_slice(part))));
    let frames = stream::iter(frames).inspect(|_| _ = page_request.fetch_add(1, Relaxed));
    let rewriter = Rewriter::new(plan(true, Insertions::default()));
    PageBody::rewritten(StreamBody::new(frames), rewriter, coding, None)
}

#[test]
fn large_chunks_are_rewritten_in_pieces_of_at_most_128_kib() {
    let html = [b"<body>".to_vec(), letters(1_000_000)].concat();
    for coding in CODINGS {
        let mut coded = Vec::new();
        match Transcoder::of(coding) {
            None => coded.clone_from(&html),
            Some(mut codec) => {
                codec.encode(&html, &mut coded).expect("encodes");
                codec.finish(&mut coded).expect("finishes");
            }
        }
        let page_request = AtomicUsize::new(0);
        let parts = [coded];
        let mut body = guarded(&parts, coding, &page_request);
        let (mut largest, mut count) = (0, 0);
        while let Some(frame) = body.frame().now_or_never().expect("nothing is waited for") {
            let frame = frame.unwrap_or_else(|_| panic!("{coding:?}"));
            largest = largest.max(frame.into_data().expect("data").len());
            count += 1;
        }
        assert!(largest <= 128 * 1024 && count >= 4, "{coding:?}: {largest} of {count}");
    }
}

#[test]
fn at_most_256_kib_of_a_coded_page_are_buffered_without_output() {
    // The head of a gzip stream with an endless file name (RFC 1952 section 2.3.1).
    let endless = [b"\x1f\x8b\x08\x08\0\0\0\0\0\xff".to_vec(), vec![b'x'; 1_000_000]].concat();
    let parts: Vec<Vec<u8>> = endless.chunks(8 * 1024).map(<[u8]>::to_vec).collect();
    let page_request = AtomicUsize::new(0);
    let mut body = guarded(&parts, PageCoding::Gzip, &page_request);
    let first = body.frame().now_or_never().expect("nothing is waited for");
    assert!(matches!(first, Some(Err(_))), "blocked loads never pass unread");
    assert!((31..=34).contains(&page_request.load(Relaxed)), "{page_request:?}");
}

/// Pushes a document in chunks of 64 KiB. Returns the output before its end.
fn pushed(document: &mut HtmlDocument, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in text.chunks(64 * 1024) {
        assert_eq!(document.push(part, &mut out), part.len());
    }
    out
}

#[test]
fn at_most_4_mib_of_a_tag_or_style_sheet_are_buffered() {
    for (start, value) in [(&b"<p title=\""[..], b'x'), (b"<style>", b'x')] {
        for (length, is_over) in [(4_000_000, false), (4_300_000, true)] {
            let mut document = HtmlDocument::new(
                DocumentKind::Html,
                blocker("utf-8", false),
                true,
                Insertions::default(),
            );
            let mut out = pushed(&mut document, &[start, &vec![value; length]].concat());
            if start == b"<style>" {
                document.end(&mut out);
                assert_eq!(out.len() < 100, is_over, "{length}: a sheet above is dropped");
            } else {
                assert_eq!(!out.is_empty(), is_over, "{length}: a tag above goes on in parts");
            }
        }
    }
}

#[test]
fn at_most_1024_attributes_of_a_tag_are_parsed() {
    for (count, is_long) in [(1023, false), (1025, true)] {
        let tag = format!("<p{}>", " a".repeat(count));
        let token = Tokenizer::new(false, usize::MAX).next(tag.as_bytes());
        assert_eq!(matches!(token, Some(Token::LongStart(_))), is_long, "{count}: {token:?}");
    }
}

#[test]
fn long_attribute_names_are_truncated_to_64_bytes() {
    let over = "<p aaaaaaaaaaaaaaaaaaaa=1 ";
    for (before, length, is_cut) in [
        ("<p ", 60, false),
        ("<p ", 120, true),
        ("<p a ", 120, true),
        (over, 60, false),
        (over, 120, true),
    ] {
        let tag = format!("{before}{}", "x".repeat(length));
        let mut tokenizer = Tokenizer::new(false, 16);
        let mut tokens = Vec::new();
        for end in (4..=tag.len()).step_by(4).chain([tag.len()]) {
            while let Some(token) = tokenizer.next(&tag.as_bytes()[..end]) {
                tokens.push(token);
            }
        }
        let passed = tokens.last().is_some_and(|token| match token {
            Token::LongStart(range) | Token::Markup(range) => range.end == tag.len(),
            _ => false,
        });
        assert_eq!(passed, is_cut, "{before}{length}: {tokens:?}");
    }
}

#[test]
fn an_element_nested_256_deep_in_svg_makes_the_page_ambiguous() {
    for (depth, is_ambiguous) in [(256, false), (257, true)] {
        let mut tree = ElementStack::default();
        for _ in 0..depth {
            tree.start(b"svg", TagFacts::default());
        }
        assert_eq!(tree.is_ambiguous(), is_ambiguous, "{depth}");
    }
}

#[test]
fn an_ambiguous_tag_is_buffered_up_to_the_limit() {
    let mut scrubber = Scrubber::new(1000);
    let blocker = blocker("utf-8", false);
    let mut out = Vec::new();
    let mut sent = 0;
    for part in [&b"<p title=\""[..]].into_iter().chain([&[b'x'; 100][..]; 20]) {
        sent += part.len();
        scrubber.push(part, false, &blocker, &mut out);
        assert_eq!(out.is_empty(), sent <= 1000, "{sent}");
    }
}

#[test]
fn at_most_64_entities_of_4_kib_are_kept_per_document() {
    let doctype = |count: usize, length: usize| -> String {
        let value = "x".repeat(length);
        (0..count).map(|number| format!("<!ENTITY e{number} \"{value}\">")).collect()
    };
    for (count, length, is_ambiguous) in
        [(64, 1, false), (65, 1, true), (1, 4096, false), (1, 4097, true)]
    {
        let entities = Entities::default();
        assert_eq!(
            entities.are_ambiguous(&doctype(count, length)),
            is_ambiguous,
            "{count} {length}"
        );
    }
    let mut entities = Entities::default();
    entities.declare(&doctype(40, 1));
    assert!(entities.are_ambiguous("<!ENTITY x1 \"\"><!ENTITY x2 \"\">".repeat(13).as_str()));
    let more: String = (0..25).map(|number| format!("<!ENTITY f{number} \"\">")).collect();
    assert!(entities.are_ambiguous(&more), "the documents of a page count together");
}

#[test]
fn entities_of_entities_do_not_grow_a_text_without_bound() {
    let mut entities = Entities::default();
    entities.declare(&format!("<!ENTITY e0 \"{}\">", "x".repeat(1000)));
    for level in 1..10 {
        let value = format!("&e{};", level - 1).repeat(100);
        entities.declare(&format!("<!ENTITY e{level} \"{value}\">"));
    }
    let text = "&e9;".repeat(1000);
    let expanded = entities.expanded(std::borrow::Cow::Borrowed(&text));
    assert!(expanded.len() < 64 * 1024, "{}", expanded.len());
}
