//! Criterion benchmarks of the parts of a request: `make bench`. `make instructions` counts instructions for
//! regression tests.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod support;

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use consentry::consent::Signals;
use consentry::cookie::{Cookies, SetCookie, pairs};
use consentry::filter::{ConsentLayer, DecisionCache, Filter};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use support::{COOKIE, SET_COOKIES, settings};
use tower::{Layer, Service, service_fn};

fn cookies(criterion: &mut Criterion) {
    criterion.bench_function("read 8 request cookies", |bencher| {
        bencher.iter(|| {
            pairs(black_box(COOKIE.as_bytes())).map(|pair| pair.name.len()).sum::<usize>()
        });
    });
    criterion.bench_function("read 6 Set-Cookie with attributes", |bencher| {
        bencher.iter(|| {
            let deletes = |line: &&&str| {
                SetCookie::parse(black_box(line.as_bytes())).scope().deletes(1_795_500_000)
            };
            SET_COOKIES.iter().filter(deletes).count()
        });
    });
}

fn look_ups(criterion: &mut Criterion) {
    for rules in [10, 10_000] {
        let settings = settings(&support::rules(rules));
        criterion.bench_function(&format!("classify 3 names with {rules} rules"), |bencher| {
            bencher.iter(|| {
                let known =
                    |name: &&[u8]| settings.policy.catalogue.cookie(black_box(name)).is_some();
                [&b"name_3"[..], b"start_4_rest", b"neither_of_them"]
                    .iter()
                    .filter(|name| known(name))
                    .count()
            });
        });
    }
}

/// One sample of each source, in a two-kilobyte header.
fn sources(criterion: &mut Criterion) {
    for (tool, header) in support::headers() {
        let reader = support::reader(&tool);
        let cookies = Cookies::new([header.as_bytes()]);
        criterion.bench_function(&format!("read the consent of {tool}"), |bencher| {
            bencher
                .iter(|| reader.read(black_box(&cookies), Signals::default(), None, 1_796_083_200));
        });
    }
}

fn requests(criterion: &mut Criterion) {
    let consent = "consentry=1~4000000000~2018-05-25~functional~; ";
    let cookies = || format!("{consent}{COOKIE}");
    for (what, cookie, lines, remembers) in [
        ("a request without cookies", String::new(), 0, false),
        ("a request with 8 cookies and 6 Set-Cookie", cookies(), 1, false),
        ("the same again on its connection", cookies(), 1, true),
        ("a request with 8 cookies and 48 Set-Cookie", cookies(), 8, false),
    ] {
        let mut layer = ConsentLayer::new(Arc::new(Filter::new(settings("")))).without_extensions();
        if remembers {
            layer = layer.with_decision_cache(Arc::new(DecisionCache::default()));
        }
        let lines: Vec<HeaderValue> =
            (0..lines).flat_map(|_| SET_COOKIES).map(HeaderValue::from_static).collect();
        criterion.bench_function(what, |bencher| {
            bencher.iter(|| {
                let lines = lines.clone();
                let mut service = layer.layer(service_fn(move |_| {
                    let mut response = Response::new(Full::<Bytes>::default());
                    for line in &lines {
                        response.headers_mut().append("set-cookie", line.clone());
                    }
                    async { Ok::<_, Infallible>(response) }
                }));
                let mut request = Request::new(());
                if !cookie.is_empty() {
                    request.headers_mut().insert("cookie", HeaderValue::from_str(&cookie).unwrap());
                }
                service.call(request).now_or_never().unwrap()
            });
        });
    }
}

criterion_group!(benches, cookies, look_ups, sources, requests);
criterion_main!(benches);
