//! Tests of the limits on memory, input and output per request or response. The limits are
//! literals, so that a changed constant fails here too.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use super::cookie_deletion::PageLoadDeletions;
use super::filtered_head::FilteredHead;
use super::observation::ItemDecision;
use super::request::{RequestContext, filter as filter_request};
use super::{
    BeaconPost, BlockedKind, ClientInfo, ConsentLayer, DecisionCache, Filter, PIXEL, SeenItem,
};
use crate::config::{Overrides, parse};
use crate::consent::{CategorySet, Consent};
use crate::cookie::SetCookie;
use crate::http::FieldSection;

const NOW: i64 = 1_795_500_000;

fn filter(toml: &str) -> Arc<Filter> {
    let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
    let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
    Arc::new(Filter::new(config.sites[0].filter.clone()))
}

/// Filters a page load with these `Cookie` fields.
fn page_load(filter: &Arc<Filter>, fields: &[String]) -> RequestContext {
    let mut lines = vec![("host", "shop.example"), ("accept", "text/html")];
    lines.extend(fields.iter().map(|field| ("cookie", field.as_str())));
    let fields = FieldSection::from_lines(&lines);
    let (method, uri) = (Method::GET, Uri::from_static("/"));
    let host = Some("shop.example");
    let body = crate::catalogue::BodyStart::Unavailable;
    let request = FilteredHead { method: &method, uri: &uri, host, fields: &fields, body };
    filter_request(filter, request, ClientInfo::default(), None, NOW).expect("it is no beacon").0
}

/// A cookie name for each number. The names differ in more than digits.
fn name(number: usize) -> String {
    let letter = |shift: usize| char::from(b'a' + u8::try_from(number >> shift & 15).unwrap_or(0));
    ['u', letter(8), letter(4), letter(0)].iter().collect()
}

fn pairs(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("{}=1; ", name(number))).collect()
}

fn seen(filter: &Filter) -> Vec<SeenItem<'_>> {
    filter.inventory().cookies(&filter.settings().policy.catalogue)
}

#[test]
fn a_request_records_64_unclassified_cookies_and_every_classified_one() {
    for fields in [
        vec![format!("{}_ga=1", pairs(0..200))],
        vec![pairs(0..100), format!("{}_ga=1", pairs(100..200))],
    ] {
        let filter = filter("");
        page_load(&filter, &fields);
        let seen = seen(&filter);
        assert_eq!(seen.iter().filter(|item| item.rule.is_none()).count(), 64);
        assert!(seen.iter().any(|item| item.name == "_ga"));
    }
}

#[test]
fn names_above_256_bytes_are_not_recorded() {
    for (length, recorded) in [(256, 1), (257, 0)] {
        let filter = filter("");
        let name = "x".repeat(length);
        let outcome = ItemDecision { permitted: false, decided: false, presumed: None };
        page_load(&filter, &[format!("{name}=1")]);
        assert_eq!(seen(&filter).len(), recorded, "sent");
        let path = format!("/{}", &name[1..]);
        let catalogue = &filter.settings().policy.catalogue;
        let posts = BeaconPost::ALL.map(Some);
        for (number, post) in std::iter::once(None).chain(posts).enumerate() {
            filter.inventory.record_unclassified_beacon(&path, post, outcome, NOW);
            let beacons = filter.inventory().beacons(catalogue);
            assert_eq!(beacons.len(), recorded * (number + 1), "a beacon's path, {post:?}");
        }
        for kind in BlockedKind::ALL {
            filter.inventory().record_blocked(kind, &name, NOW);
            assert_eq!(filter.inventory().blocked(kind).len(), recorded, "{kind:?}");
        }
        let filter = self::filter("");
        set(&filter, &format!("{name}=1"));
        assert_eq!(seen(&filter).len(), recorded, "set");
    }
}

/// Filters a response that sets a cookie.
fn set(filter: &Arc<Filter>, line: &str) {
    let mut context = page_load(filter, &[]);
    let mut headers = HeaderMap::new();
    headers.insert("set-cookie", HeaderValue::from_str(line).expect("a line"));
    super::response::filter(filter, &mut context, &headers, NOW);
}

#[test]
fn domains_above_256_bytes_are_not_recorded() {
    for (length, kept) in [(256, true), (257, false)] {
        let filter = filter("");
        set(&filter, &format!("uid=1; Domain={}", "d".repeat(length)));
        let seen = seen(&filter);
        let attributes = seen[0].attributes.as_ref().expect("attributes");
        assert_eq!(attributes.domain.is_some(), kept, "{length}");
    }
}

const RULES: &str = "catalogue = []\nexpire.max_per_response = 200\nlimits.cookies = 10000\n\
                     [[cookie]]\nname = 'u*'\ncategory = 'analytics'\n\
                     [[cookie]]\nname = 'keep*'\ncategory = 'necessary'";

#[test]
fn a_page_load_deletes_at_most_192_cookies_of_a_request() {
    for (cookies, deleted) in [(192, 192), (193, 192), (600, 192)] {
        let filter = filter(RULES);
        for fields in [vec![pairs(0..cookies)], vec![pairs(0..90), pairs(90..cookies)]] {
            let page = page_load(&filter, &fields).page_load.expect("deletions");
            assert_eq!(page.names.len(), deleted);
        }
    }
}

#[test]
fn a_withdrawal_processes_at_most_192_cookies_of_a_request() {
    let filter = filter(RULES);
    for (kept, deletes) in [(191, true), (192, false)] {
        let necessary: String = (0..kept).map(|number| format!("keep{number}=1; ")).collect();
        let mut headers = HeaderMap::new();
        headers
            .insert(COOKIE, HeaderValue::from_str(&format!("{necessary}uid=1")).expect("a field"));
        let consent = Consent::undecided(CategorySet::NECESSARY);
        let at = ("shop.example", "/");
        let lines = filter.deletions(&consent, at, &headers, ClientInfo::default(), NOW);
        assert_eq!(!lines.is_empty(), deletes, "{kept}");
    }
}

#[test]
fn deletions_of_long_names_rotate_within_32_kib_per_response() {
    let filter = filter(RULES);
    let names: Vec<Box<[u8]>> = (0..80)
        .map(|number| format!("{}{}", name(number), "x".repeat(1000)).into_bytes().into())
        .collect();
    let page = PageLoadDeletions { names, secure: false };
    let mut deleted = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let lines = page.deletions(&filter, ("a", "/"), 5);
        let bytes: usize = lines.iter().map(HeaderValue::len).sum();
        assert!((16 * 1024..=32 * 1024).contains(&bytes), "{bytes}");
        deleted.extend(lines.iter().map(|line| SetCookie::parse(line.as_bytes()).name.to_vec()));
    }
    assert_eq!(deleted.len(), 80);
}

#[test]
fn cookie_fields_above_4_kib_are_not_cached() {
    let filter = filter("");
    for (length, remembered) in [(4096, true), (4097, false)] {
        let cache = DecisionCache::default();
        let field = format!("a={}", "x".repeat(length - 2)).into_bytes();
        let fields = HeaderMap::new();
        let known =
            || super::decision_cache::decision(&filter, &fields, &field, false, Some(&cache), NOW);
        assert_eq!(Arc::ptr_eq(&known(), &known()), remembered, "{length}");
    }
}

/// The body of an image response sent in these parts, as the client receives it. `None` while the
/// filter waits for more.
fn image(parts: &[Bytes], reusable: bool) -> Option<Bytes> {
    let filter = filter("beacons.detect = 'block'");
    let frames: Vec<_> =
        parts.iter().cloned().map(|part| Ok::<_, Infallible>(Frame::data(part))).collect();
    let frames = stream::iter(frames);
    let frames = if reusable { frames.chain(stream::pending()).boxed() } else { frames.boxed() };
    let response = Response::builder().header("content-type", "image/gif");
    let response = response.body(StreamBody::new(frames)).expect("a response");
    let mut response = Some(response);
    let origin =
        service_fn(move |_: Request<()>| std::future::ready(response.take().ok_or("one response")));
    let request = Request::get("/p?uid=7").header("host", "shop.example");
    let request = request.header("sec-fetch-dest", "image").body(()).expect("a request");
    let response = ConsentLayer::new(filter).layer(origin).oneshot(request).now_or_never()?;
    let mut body = response.expect("a response").into_body();
    let mut all = Vec::new();
    while let Some(Some(frame)) = body.frame().now_or_never() {
        all.extend_from_slice(frame.expect("a good body").data_ref().expect("data"));
    }
    Some(all.into())
}

#[test]
fn images_above_1_kib_are_not_pixels_in_any_chunking() {
    let pixel = |length: usize| {
        let mut image = PIXEL.to_vec();
        image.resize(length, 0);
        Bytes::from(image)
    };
    for (length, blocked) in [(43, true), (1024, true), (1025, false), (2048, false), (5000, false)]
    {
        let whole = pixel(length);
        for part in [1, 100, 512, 1000, 1024, 1025, 4096] {
            let parts: Vec<Bytes> = whole.chunks(part).map(Bytes::copy_from_slice).collect();
            let expected = if blocked { Bytes::from_static(PIXEL) } else { whole.clone() };
            assert_eq!(
                image(&parts, false).as_ref(),
                Some(&expected),
                "{length} in parts of {part}"
            );
        }
    }
}

#[test]
fn an_image_is_buffered_only_until_it_is_known_not_to_be_a_pixel() {
    let part = Bytes::from(vec![0; 1025]);
    assert_eq!(image(std::slice::from_ref(&part), true).as_ref(), Some(&part));
}
