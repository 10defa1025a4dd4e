//! Tests that consented traffic, observe mode and page loads pass unchanged, for all kinds of
//! requests and responses.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use super::{ConsentLayer, Filter, PIXEL};
use crate::clock::unix_now;
use crate::config::{Overrides, parse};

const REQUEST: &[(&str, &str)] = &[
    ("host", "shop.example"),
    ("if-none-match", "\"7\""),
    ("if-modified-since", "Tue, 24 Nov 2020 09:00:00 GMT"),
    ("if-range", "\"7\""),
    ("if-match", "\"7\""),
    ("if-unmodified-since", "Tue, 24 Nov 2020 09:00:00 GMT"),
    ("sec-ch-ua-model", "\"x\""),
    ("available-dictionary", ":7:"),
    ("attribution-reporting-eligible", "event-source"),
    ("service-worker-navigation-preload", "visitor-7"),
    ("sec-browsing-topics", "();p=P0000000"),
    ("x-uidh", "7"),
];

const RESPONSE: &[(&str, &str)] = &[
    ("cache-control", "public, max-age=60"),
    ("etag", "\"7\""),
    ("last-modified", "Mon, 28 Sep 1970 06:00:00 GMT"),
    ("set-cookie", "_ga=1; Path=/"),
    ("set-cookie", "IDE=1; Path=/; Max-Age=0"),
    ("set-cookie", "unknown_tracker=1"),
    ("nel", "{\"report_to\":\"nel\",\"max_age\":60}"),
    ("report-to", "{\"endpoints\":[{\"url\":\"https://tracker.test/\"}]}"),
    ("reporting-endpoints", "a=\"https://tracker.test/7\""),
    ("accept-ch", "Sec-CH-UA-Model"),
    ("observe-browsing-topics", "?1"),
    ("attribution-reporting-register-source", "{}"),
    ("shared-storage-write", "set;key=\"id\""),
    ("use-as-dictionary", "match=\"/*\""),
    ("set-cookie2", "a=1"),
];

fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    let mut headers = HeaderMap::new();
    fields.iter().map(field).for_each(|(name, value)| _ = headers.append(name, value));
    headers
}

/// A request and the origin's response to it.
struct SampleExchange {
    what: &'static str,
    method: Method,
    target: &'static str,
    fields: &'static [(&'static str, &'static str)],
    status: StatusCode,
    media_type: &'static str,
    body: &'static [u8],
}

fn exchanges() -> Vec<SampleExchange> {
    let image: &[_] = &[("sec-fetch-dest", "image"), ("sec-fetch-mode", "no-cors")];
    let page: &[_] = &[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];
    let ping: &[_] = &[("content-type", "text/ping"), ("sec-fetch-mode", "no-cors")];
    let exchange = |what, method, target, fields, status, body| SampleExchange {
        what,
        method,
        target,
        fields,
        status,
        media_type: if body == PIXEL { "image/gif" } else { "text/html" },
        body,
    };
    let (get, post, ok, none) =
        (|| Method::GET, || Method::POST, StatusCode::OK, StatusCode::NO_CONTENT);
    vec![
        exchange("a page", get(), "/", page, ok, b"<p>"),
        exchange("a page at a beacon's path", get(), "/matomo.php?rec=1", page, ok, b"<p>"),
        exchange("a beacon", get(), "/matomo.php?rec=1", image, ok, PIXEL),
        exchange("a beacon without content", get(), "/matomo.php?rec=1", image, none, b""),
        exchange("a beacon that pictures fit too", get(), "/pictures/7.gif", image, ok, PIXEL),
        exchange("an unknown pixel", get(), "/p?uid=7", image, ok, PIXEL),
        exchange("an unknown pixel without content", get(), "/p?uid=7", image, none, b""),
        exchange("a beacon by its media type", post(), "/p?uid=7", ping, none, b""),
    ]
}

/// What the origin received, and the status, headers and body that the client received.
type Passed = (Option<HeaderMap>, StatusCode, HeaderMap, Bytes);

fn pass(filter: &Arc<Filter>, exchange: &SampleExchange, cookie: &str) -> (Passed, Passed) {
    let mut request = Request::new(());
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = exchange.target.parse().expect("a target");
    *request.headers_mut() = map(&[REQUEST, exchange.fields, &[("cookie", cookie)]].concat());
    let mut answer = Response::new(Full::new(Bytes::from_static(exchange.body)));
    *answer.status_mut() = exchange.status;
    *answer.headers_mut() = map(&[RESPONSE, &[("content-type", exchange.media_type)]].concat());
    let body = Bytes::from_static(exchange.body);
    let sent = (Some(request.headers().clone()), exchange.status, answer.headers().clone(), body);
    let got = Mutex::new(None);
    let mut answer = Some(answer);
    let origin = service_fn(|request: Request<()>| {
        *got.lock().expect("no panic") = Some(request.headers().clone());
        std::future::ready(Ok::<_, Infallible>(answer.take().expect("one request")))
    });
    let layer = ConsentLayer::new(Arc::clone(filter));
    let response = layer.layer(origin).oneshot(request).now_or_never().expect("nothing is awaited");
    let (parts, body) = response.expect("a response").into_parts();
    let body = body.collect().now_or_never().expect("nothing is awaited").expect("a body");
    let got = got.into_inner().expect("no panic");
    (sent, (got, parts.status, parts.headers, body.to_bytes()))
}

fn filter(toml: &str) -> Arc<Filter> {
    let toml = format!(
        "{toml}\nexpire.enabled = true\n[[beacon]]\npath = '/pictures/*.gif'\ncategory = 'analytics'\n\
         [[site]]\nupstream = 'http://127.0.0.1:1'"
    );
    let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
    Arc::new(Filter::new(config.sites[0].filter.clone()))
}

fn cookies(granted: &str) -> String {
    format!("consentry=1~{}~2018-05-25~{granted}~; _ga=1; IDE=2; other_tracker=3", unix_now())
}

#[test]
fn with_full_consent_everything_passes_unchanged() {
    let all = cookies("functional+analytics+targeting+social");
    for detect in ["off", "report", "block"] {
        let filter = filter(&format!("beacons.detect = '{detect}'"));
        for exchange in exchanges() {
            let (sent, got) = pass(&filter, &exchange, &all);
            assert_eq!(got, sent, "{}, detect = {detect}", exchange.what);
        }
    }
}

#[test]
fn observe_mode_changes_nothing_for_any_consent() {
    for detect in ["off", "report", "block"] {
        let filter = filter(&format!("mode = 'observe'\nbeacons.detect = '{detect}'"));
        for exchange in exchanges() {
            for granted in ["", "analytics", "functional+analytics+targeting+social"] {
                let (sent, got) = pass(&filter, &exchange, &cookies(granted));
                // `Alt-Svc` and similar fields are not part of this test.
                assert_eq!(got, sent, "{}, detect = {detect}, {granted}", exchange.what);
            }
        }
    }
}

#[test]
fn without_consent_pages_are_forwarded_and_beacons_of_the_same_path_are_not() {
    let filter = filter("beacons.detect = 'block'");
    for exchange in exchanges() {
        let (sent, got) = pass(&filter, &exchange, &cookies(""));
        let is_page = exchange.what.starts_with("a page");
        let known = exchange.what.starts_with("a beacon") && !exchange.what.contains("pictures");
        assert_eq!(got.0.is_none(), known, "{}: whether the origin saw it", exchange.what);
        assert!(got != sent, "{}", exchange.what);
        if is_page {
            assert_eq!((got.1, &got.3), (sent.1, &sent.3), "{}", exchange.what);
        } else {
            assert!(!got.2.contains_key("etag"), "{}", exchange.what);
        }
    }
}
