//! Memory used while rewriting a page, whatever its size.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use consentry::config::{self, Overrides};
use consentry::consent::{CategorySet, Consent};
use consentry::filter::Filter;
use consentry::internal::ConsentUi;
use consentry::internal::{PageOutcome, SiteRewriter};
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};

/// Size in bytes of each part that the origin sends.
const PART: usize = 8 * 1024;

/// A two-megabyte page with third-party tags.
fn page() -> Vec<u8> {
    let mut page = b"<!doctype html><html><head><title>x</title></head><body>".to_vec();
    let mut number = 0;
    while page.len() < 2_000_000 {
        number += 1;
        let tag = format!(
            "<p class=\"a{number}\">Text<img src=\"https://ad.doubleclick.net/{number}.gif\"></p>\n"
        );
        page.extend_from_slice(tag.as_bytes());
    }
    page
}

fn body(parts: Vec<Bytes>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(stream::iter(parts.into_iter().map(|part| Ok(Frame::data(part)))))
}

/// The peak number of allocated bytes while the page is rewritten, and the outcome.
fn most(
    site: &mut config::settings::SiteConfig,
    coding: &'static str,
    text: &[u8],
) -> (u64, Option<PageOutcome>) {
    let filter = Arc::new(Filter::new(site.filter.clone()));
    let centre = ConsentUi::new("x", site.centre.clone(), &site.page, filter, None);
    let pages = SiteRewriter::new(&site.page).unwrap();
    let consent = Consent::undecided(CategorySet::NECESSARY);
    // The origin's chunks and the client's buffers do not count.
    let parts: Vec<Bytes> = text.chunks(PART).map(Bytes::copy_from_slice).collect();
    let asked = || Request::get("/x").header("accept", "text/html").body(()).unwrap();
    // Initialises lazily built tables.
    drop(pages.change(asked(), &consent, Response::new(body(Vec::new())), &centre));
    let mut outcome = None;
    let measured = allocation_counter::measure(|| {
        let response = Response::builder().header("content-type", "text/html");
        let response =
            response.header("content-encoding", coding).body(body(parts.clone())).unwrap();
        let mut changed = pages.change(asked(), &consent, response, &centre);
        while let Some(frame) = changed.body_mut().frame().now_or_never().unwrap() {
            assert!(frame.is_ok());
        }
        outcome = changed.body().outcome();
    });
    (measured.bytes_max, outcome)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_page_needs_at_most_64_kib_plus_the_tables_of_its_coding() {
    let page = page();
    for (toml, expected) in [
        ("banner.enabled = true", PageOutcome::Banner),
        ("page.guard = true", PageOutcome::Guarded),
    ] {
        let toml = format!("{toml}\n[[site]]\nupstream = 'http://a'\n");
        let config = config::parse(&toml, None, &Overrides::default()).unwrap();
        let mut site = config.sites.into_iter().next().unwrap();
        // The list of parts belongs to the test.
        let own = (page.len() / PART + 1) * size_of::<Bytes>();
        let most_plain = most(&mut site, "identity", &page);
        assert_eq!(most_plain.1, Some(expected));
        let plain = most_plain.0 as usize - own;
        assert!(plain <= 64 * 1024, "{toml}: {plain}");
        let (most_gzip, outcome) = most(&mut site, "gzip", &gzip(&page));
        assert_eq!(outcome, Some(expected));
        assert!(most_gzip <= 512 * 1024, "{toml}: {most_gzip}");
    }
}
