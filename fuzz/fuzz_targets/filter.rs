//! The whole filter with arbitrary bytes: the first line is the `Cookie` field, each other line a `Set-Cookie`.
//!
//! Checked properties: nothing panics, passed cookies are unchanged and in order, necessary cookies pass, tracking
//! cookies do not, and filtering is idempotent.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use consentry::config::{self, Overrides};
use consentry::cookie::{SetCookie, pairs};
use consentry::filter::{ConsentLayer, Filter};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};

static FILTER: LazyLock<Arc<Filter>> = LazyLock::new(|| {
    let toml = "[[site]]\nupstream = 'http://127.0.0.1:1'";
    let config = config::parse(toml, None, &Overrides::default()).expect("a valid config");
    Arc::new(Filter::new(config.sites[0].filter.clone()))
});

fn pass(cookie: Option<HeaderValue>, lines: Vec<HeaderValue>) -> (Option<HeaderValue>, Vec<HeaderValue>) {
    let reached = Arc::new(Mutex::new(None));
    let received = Arc::clone(&reached);
    let origin = service_fn(move |request: Request<()>| {
        *received.lock().expect("one thread") = request.headers().get("cookie").cloned();
        let mut response = Response::new(Full::<Bytes>::default());
        for line in &lines {
            response.headers_mut().append("set-cookie", line.clone());
        }
        async { Ok::<_, Infallible>(response) }
    });
    let mut request = Request::new(());
    if let Some(cookie) = cookie {
        request.headers_mut().insert("cookie", cookie);
    }
    let layer = ConsentLayer::new(Arc::clone(&FILTER));
    let response = layer.layer(origin).oneshot(request).now_or_never().expect("nothing waits").expect("infallible");
    let reached = reached.lock().expect("one thread").take();
    (reached, response.headers().get_all("set-cookie").iter().cloned().collect())
}

fuzz_target!(|bytes: &[u8]| {
    let mut fields = bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let cookie = fields.next();
    let lines: Vec<HeaderValue> = fields.take(32).collect();
    let (reached, kept) = pass(cookie.clone(), lines.clone());

    // The filter adds the lists of presumed cookies after the origin's lines.
    let is_list = |line: &&HeaderValue| line.as_bytes().starts_with(b"consentry_presumed=");
    let first_list = kept.iter().position(|line| is_list(&line)).unwrap_or(kept.len());
    let (foreign, lists) = kept.split_at(first_list);
    assert!(lists.iter().all(|line| is_list(&line)), "lists come last");
    let mut rest = lines.iter();
    let kept_or_deleted = |line: &HeaderValue, other: &HeaderValue| {
        other == line || SetCookie::parse(other.as_bytes()).deletion().as_ref() == Some(line)
    };
    assert!(foreign.iter().all(|line| rest.any(|other| kept_or_deleted(line, other))), "unchanged or replaced, in order");
    let name = |line: &HeaderValue| SetCookie::parse(line.as_bytes()).name.to_vec();
    let necessary = |lines: &[HeaderValue]| lines.iter().filter(|line| name(line) == b"PHPSESSID").count();
    assert_eq!(necessary(&kept), necessary(&lines), "necessary passes");

    // A fuzzer may generate a valid consent cookie. Without one no tracking cookie passes.
    let consents = bytes.windows(9).any(|window| window == b"consentry");
    if !consents {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        let deletes = |line: &HeaderValue| SetCookie::parse(line.as_bytes()).scope().deletes(now as i64 + 1);
        assert!(kept.iter().all(|line| name(line) != b"_ga" || deletes(line)), "no tracker is set");
        let reached = reached.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
        assert!(pairs(reached).all(|pair| pair.name != b"_ga"), "no tracker is sent");
    }
    assert_eq!(pass(reached.clone(), kept.clone()), (reached, kept), "twice is once");
});
