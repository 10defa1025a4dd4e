//! The filter as a library: a tower layer around a service, without sockets. Properties that hold for all traffic,
//! and the layer's own behaviour.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use consentry::config::{self, Overrides};
use consentry::cookie::SetCookie;
use consentry::filter::{ClientUri, ConsentLayer, DecisionCache, Filter, VisitorConsent};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

const CATEGORIES: [&str; 4] = ["functional", "analytics", "targeting", "social"];

/// Names of all categories, unclassified names, and some that only browsers accept as names.
const NAMES: [&str; 16] = [
    "PHPSESSID",
    "csrftoken",
    "__Host-session",
    "NEXT_LOCALE",
    "lang",
    "_ga",
    "_ga_X1",
    "__Secure-_ga",
    "_fbp",
    "IDE",
    "__atuvc",
    "unknown",
    "Unknown",
    "",
    "\u{a0}x",
    "wordpress_logged_in_1",
];

fn filter(toml: &str) -> Arc<Filter> {
    let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
    let config = config::parse(&toml, None, &Overrides::default()).unwrap();
    Arc::new(Filter::new(config.sites[0].filter.clone()))
}

static ENFORCING: LazyLock<Arc<Filter>> = LazyLock::new(|| filter(""));
static OBSERVING: LazyLock<Arc<Filter>> = LazyLock::new(|| filter("mode = 'observe'"));

fn consent(granted: u8) -> String {
    let names: Vec<&str> = CATEGORIES
        .iter()
        .enumerate()
        .filter(|(bit, _)| granted & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("consentry=1~{now}~2018-05-25~{}~", names.join("+"))
}

/// The result: the `Cookie` field that the origin received, and the `Set-Cookie` lines that the client received.
#[derive(Debug, PartialEq, Eq)]
struct Filtered {
    cookie: Option<Vec<u8>>,
    lines: Vec<Vec<u8>>,
}

/// The `Cookie` fields that the origin received, joined by `|`.
type ReceivedCookie = Arc<Mutex<Option<Vec<u8>>>>;

/// An origin that responds with these `Set-Cookie` lines.
fn origin(
    received: &ReceivedCookie,
    lines: &[Vec<u8>],
) -> impl Fn(Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> + Clone + use<> {
    let received = Arc::clone(received);
    let lines: Vec<HeaderValue> =
        lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap()).collect();
    move |request| {
        let fields = request.headers().get_all("cookie").iter();
        let fields: Vec<&[u8]> = fields.map(HeaderValue::as_bytes).collect();
        *received.lock().unwrap() = (!fields.is_empty()).then(|| fields.join(&b'|'));
        let mut response = Response::new(Full::<Bytes>::default());
        for line in &lines {
            response.headers_mut().append("set-cookie", line.clone());
        }
        ready(Ok(response))
    }
}

impl Filtered {
    fn of(received: &ReceivedCookie, headers: &HeaderMap) -> Self {
        let lines = headers.get_all("set-cookie").iter();
        let lines = lines.map(|line| line.as_bytes().to_vec()).collect();
        Self { cookie: received.lock().unwrap().take(), lines }
    }
}

fn pass(filter: &Arc<Filter>, cookie: &[u8], lines: &[Vec<u8>], layers: usize) -> Filtered {
    let received = ReceivedCookie::default();
    let origin = service_fn(origin(&received, lines));
    let request =
        Request::builder().uri("http://shop.example/").header("cookie", cookie).body(()).unwrap();
    let layer = ConsentLayer::new(Arc::clone(filter));
    let headers = if layers == 1 {
        layer.layer(origin).oneshot(request).now_or_never().unwrap().unwrap().into_parts().0.headers
    } else {
        layer
            .layer(layer.layer(origin))
            .oneshot(request)
            .now_or_never()
            .unwrap()
            .unwrap()
            .into_parts()
            .0
            .headers
    };
    Filtered::of(&received, &headers)
}

/// The lines without the lists of presumed cookies.
fn without_presumed_lists(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    lines.iter().filter(|line| !line.starts_with(b"consentry_presumed=")).cloned().collect()
}

/// Whether `part` is a subsequence of `whole`.
fn is_subsequence<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|item| rest.any(|other| other == item))
}

fn pairs(cookie: Option<&Vec<u8>>) -> Vec<String> {
    let text =
        cookie.map(|cookie| String::from_utf8_lossy(cookie).into_owned()).unwrap_or_default();
    text.split("; ").filter(|pair| !pair.is_empty()).map(str::to_owned).collect()
}

fn traffic() -> impl Strategy<Value = (Vec<u8>, Vec<Vec<u8>>)> {
    let name = prop::sample::select(&NAMES[..]);
    let sent = prop::collection::vec((name.clone(), "[a-z0-9=\"]{0,6}"), 0..8);
    let ends = prop::sample::select(vec![
        "",
        "; Path=/",
        ";HttpOnly; Secure",
        "; Max-Age=60",
        "; Expires=Wed, 24 Nov 2032 09:00:00 GMT",
        "; x=\u{e9}",
    ]);
    let set = prop::collection::vec((name, "[a-z0-9=\"]{0,6}", ends), 0..8);
    (sent, set).prop_map(|(sent, set)| {
        let sent: Vec<String> =
            sent.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let set = set
            .iter()
            .map(|(name, value, end)| format!("{name}={value}{end}").into_bytes())
            .collect();
        (sent.join("; ").into_bytes(), set)
    })
}

fn with_consent(cookie: &[u8], granted: u8) -> Vec<u8> {
    let mut all = consent(granted).into_bytes();
    if !cookie.is_empty() {
        all.extend_from_slice(b"; ");
        all.extend_from_slice(cookie);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn more_consent_never_strips_more((cookie, lines) in traffic(), less in 0..16_u8, more in 0..16_u8) {
        let filter = &*ENFORCING;
        let (less, more) = (less & more, more);
        let with_less = pass(filter, &with_consent(&cookie, less), &lines, 1);
        let with_more = pass(filter, &with_consent(&cookie, more), &lines, 1);
        prop_assert!(is_subsequence(&with_less.lines, &with_more.lines));
        let (less, more) = (pairs(with_less.cookie.as_ref()), pairs(with_more.cookie.as_ref()));
        prop_assert!(is_subsequence(&less[1..], &more[1..]), "{less:?} {more:?}");
    }

    #[test]
    fn necessary_cookies_always_pass_and_kept_lines_are_unchanged_and_in_order(
        (cookie, lines) in traffic(), granted in 0..16_u8,
    ) {
        let passed = pass(&ENFORCING, &with_consent(&cookie, granted), &lines, 1);
        prop_assert!(is_subsequence(&without_presumed_lists(&passed.lines), &lines), "bytes and order are kept");
        let sent = pairs(Some(&cookie));
        let kept = pairs(passed.cookie.as_ref());
        prop_assert!(is_subsequence(&kept[1..], &sent));
        for name in ["PHPSESSID=", "csrftoken=", "wordpress_logged_in_1="] {
            let count = |pairs: &[String]| pairs.iter().filter(|pair| pair.starts_with(name)).count();
            prop_assert_eq!(count(&kept), count(&sent));
            let count = |lines: &[Vec<u8>]| lines.iter().filter(|line| line.starts_with(name.as_bytes())).count();
            prop_assert_eq!(count(&passed.lines), count(&lines));
        }
    }

    #[test]
    fn filtering_is_idempotent((cookie, lines) in traffic(), granted in 0..16_u8) {
        let cookie = with_consent(&cookie, granted);
        prop_assert_eq!(pass(&ENFORCING, &cookie, &lines, 1), pass(&ENFORCING, &cookie, &lines, 2));
    }

    #[test]
    fn consent_to_everything_and_observe_mode_change_no_cookie((cookie, lines) in traffic(), granted in 0..16_u8) {
        let everything = with_consent(&cookie, 15);
        let whole = Filtered { cookie: Some(everything.clone()), lines: lines.clone() };
        let mut passed = pass(&ENFORCING, &everything, &lines, 1);
        passed.lines = without_presumed_lists(&passed.lines);
        prop_assert_eq!(passed, whole);
        let some = with_consent(&cookie, granted);
        let whole = Filtered { cookie: Some(some.clone()), lines: lines.clone() };
        prop_assert_eq!(pass(&OBSERVING, &some, &lines, 1), whole);
    }

    #[test]
    fn arbitrary_header_bytes_never_panic(
        cookie in prop::collection::vec(any::<u8>(), 0..200),
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5),
    ) {
        let valid = |bytes: Vec<u8>| HeaderValue::from_bytes(&bytes).is_ok().then_some(bytes);
        let lines: Vec<_> = lines.into_iter().filter_map(valid).collect();
        pass(&ENFORCING, &valid(cookie).unwrap_or_default(), &lines, 1);
    }
}

/// Lifetime attributes as written by servers and attackers.
fn lifetime() -> impl Strategy<Value = String> {
    let age = "[-+]?[0-9]{0,3}x?".prop_map(|age| format!("; Max-Age={age}"));
    let date = prop::sample::select(vec![
        "Wed, 24 Nov 2032 09:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Thu, 01-Jan-70 00:00:00 GMT",
        "1x Jan 1970 00:00:00",
        "0",
        "",
    ]);
    let date = date.prop_map(|date| format!("; Expires={date}"));
    let other =
        prop::sample::select(vec!["; Path=/x", "; Domain=.shop.example", "; Secure; HttpOnly"]);
    let any = prop_oneof![2 => age, 2 => date, 1 => other.prop_map(str::to_owned)];
    prop::collection::vec(any, 0..5).prop_map(|attributes| attributes.concat())
}

proptest! {
    #[test]
    fn without_consent_a_line_is_stripped_or_a_deletion_without_value(
        attributes in lifetime(), name in prop::sample::select(&["_ga", "unknown", "", "__Secure-_ga"][..]),
    ) {
        let line = format!("{name}=secret{attributes}").into_bytes();
        let once = pass(&BLOCKING, b"", std::slice::from_ref(&line), 1).lines;
        prop_assert!(once.len() <= 1);
        for line in &once {
            let read = SetCookie::parse(line);
            prop_assert!(read.scope().deletes(0) && read.name == name.as_bytes());
            prop_assert!(memchr::memmem::find(line, b"secret").is_none());
        }
        if SetCookie::parse(&line).scope().deletes(0) {
            prop_assert_eq!(once.len(), 1, "one deletion per cookie");
        }
        prop_assert_eq!(&pass(&BLOCKING, b"", &once, 1).lines, &once, "twice is once");
        let granted = pass(&BLOCKING, &with_consent(b"", 15), std::slice::from_ref(&line), 1);
        prop_assert_eq!(granted.lines, [line]);
    }

    #[test]
    fn a_known_tracker_is_never_presumed_necessary(
        attributes in "(; HttpOnly)?(; Secure)?(; Max-Age=[1-9][0-9]{0,8})?",
        name in prop::sample::select(&["_ga", "_fbp", "__Secure-_ga", "visitor_session", "TS0track"][..]),
    ) {
        let line = format!("{name}=secret{attributes}").into_bytes();
        prop_assert_eq!(pass(&ENFORCING, b"", &[line], 1).lines, Vec::<Vec<u8>>::new());
        // Not even if the client's list contains the name, nor in a process without other state.
        let sent = format!("consentry_presumed=1~~~0~_ga~_fbp~__Secure-_ga; {name}=1");
        let passed = pass(&ENFORCING, sent.as_bytes(), &[], 1);
        prop_assert_eq!(pairs(passed.cookie.as_ref()).len(), 1);
    }
}

/// The result of a request's `Cookie` fields and signals: the data received by the origin and by the client, and
/// the report.
fn outcome(layer: &ConsentLayer, cookies: &[&[u8]], gpc: bool, page: bool) -> (Filtered, String) {
    let received = ReceivedCookie::default();
    let origin = service_fn(origin(&received, &[]));
    let mut request = Request::builder().uri("http://shop.example/");
    for cookie in cookies {
        request = request.header("cookie", *cookie);
    }
    request = request.header("sec-gpc", if gpc { "1" } else { "0" });
    request = request.header("sec-fetch-mode", if page { "navigate" } else { "no-cors" });
    let request = request.body(()).unwrap();
    let response = layer.layer(origin).oneshot(request).now_or_never().unwrap().unwrap();
    (Filtered::of(&received, response.headers()), format!("{:?}", response.body().report()))
}

static BLOCKING: LazyLock<Arc<Filter>> = LazyLock::new(|| filter("unclassified = 'block'"));
static STRICT: LazyLock<Arc<Filter>> =
    LazyLock::new(|| filter("[[cookie]]\nname = 'lang'\ncategory = 'targeting'"));

proptest! {
    #[test]
    fn a_connection_with_a_decision_cache_passes_the_same_cookies(
        requests in prop::collection::vec((0..3_usize, 0..4_usize, any::<bool>(), any::<bool>(), any::<bool>()), 1..8),
        pool in prop::collection::vec((traffic(), 0..16_u8), 4),
    ) {
        let pool: Vec<Vec<u8>> =
            pool.iter().map(|((cookie, _), granted)| with_consent(cookie, *granted)).collect();
        let recall = Arc::new(DecisionCache::default());
        for (which, cookie, gpc, page, twice) in requests {
            let filter = [&*ENFORCING, &*OBSERVING, &*STRICT][which];
            let fields: &[&[u8]] = if twice { &[&pool[cookie], &pool[0]] } else { &[&pool[cookie]] };
            let layer = ConsentLayer::new(Arc::clone(filter));
            let with_decision_cache = layer.clone().with_decision_cache(Arc::clone(&recall));
            prop_assert_eq!(outcome(&with_decision_cache, fields, gpc, page), outcome(&layer, fields, gpc, page));
        }
    }
}

proptest! {
    #[test]
    fn the_consent_in_the_request_permits_exactly_the_lines_that_pass(
        (cookie, lines) in traffic(), granted in 0..16_u8, gpc in any::<bool>(), which in 0..3_usize,
    ) {
        let filter = [&*ENFORCING, &*BLOCKING, &*STRICT][which];
        for line in lines {
            let text = std::str::from_utf8(&line).unwrap();
            let permitted = Mutex::new(None);
            let origin = service_fn(|request: Request<()>| {
                let consent = request.extensions().get::<VisitorConsent>().unwrap();
                *permitted.lock().unwrap() = Some(consent.allows_set_cookie(text));
                let mut response = Response::new(Full::<Bytes>::default());
                response.headers_mut().append("set-cookie", HeaderValue::from_bytes(&line).unwrap());
                ready(Ok::<_, Infallible>(response))
            });
            let request = Request::builder().uri("/").header("cookie", with_consent(&cookie, granted));
            let request = request.header("sec-gpc", if gpc { "1" } else { "0" }).body(()).unwrap();
            let layer = ConsentLayer::new(Arc::clone(filter));
            let response = layer.layer(origin).oneshot(request).now_or_never().unwrap().unwrap();
            let passed = response.headers().get_all("set-cookie").iter().any(|set| set.as_bytes() == line);
            prop_assert_eq!(permitted.lock().unwrap().take(), Some(passed), "{}", text);
        }
    }
}

#[test]
fn cached_decisions_are_counted_each_time_and_never_printed() {
    let filter = filter("");
    let recall = Arc::new(DecisionCache::default());
    let layer = ConsentLayer::new(Arc::clone(&filter)).with_decision_cache(Arc::clone(&recall));
    for _ in 0..3 {
        outcome(&layer, &[b"_ga=va1ue; new=va1ue"], false, false);
    }
    let seen = filter.inventory().cookies(&filter.settings().policy.catalogue);
    let sent: Vec<_> = seen.iter().map(|seen| (seen.name.as_str(), seen.counts.sent)).collect();
    assert_eq!(sent, [("new", 3), ("_ga", 3)]);
    assert!(!format!("{recall:?}{layer:?}").contains("va1ue"));
}

#[test]
fn the_report_describes_the_changes_to_a_library_user() {
    let filter = filter("");
    let origin = service_fn(|_: Request<()>| async {
        let response =
            Response::builder().header("set-cookie", "_ga=1").header("set-cookie", "new=1");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from("page")).unwrap())
    });
    let request = Request::builder().uri("/").header("cookie", "_fbp=1; _ga=1").body(()).unwrap();
    let response = ConsentLayer::new(Arc::clone(&filter))
        .layer(origin)
        .oneshot(request)
        .now_or_never()
        .unwrap()
        .unwrap();
    let report = response.body().report();
    assert_eq!(report.request_stripped.total(), 2);
    assert_eq!(report.response_stripped.total(), 2);
    assert!(!report.consent.is_decided());
    let seen = filter.inventory().cookies(&filter.settings().policy.catalogue);
    let names: Vec<&str> = seen.iter().map(|seen| seen.name.as_str()).collect();
    assert_eq!(names, ["new", "_fbp", "_ga"], "unclassified names are first");
    assert_eq!(seen.iter().filter(|seen| seen.rule.is_none()).count(), 1);
    let body = response.into_body().collect().now_or_never().unwrap().unwrap();
    assert_eq!(body.to_bytes(), "page");
}

#[test]
fn the_application_sees_no_url_identifier_without_consent() {
    let of = |cookie: &str, uri: &'static str| {
        let seen = Arc::new(Mutex::new(None));
        let seen_by_origin = Arc::clone(&seen);
        let origin = service_fn(move |request: Request<()>| {
            let kept = request.extensions().get().map(|ClientUri(uri)| uri.to_string());
            let referer = request.headers()["referer"].to_str().unwrap().to_owned();
            *seen_by_origin.lock().unwrap() = Some((request.uri().to_string(), kept, referer));
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        });
        let request = Request::builder()
            .uri(uri)
            .header("cookie", cookie)
            .header("referer", "https://shop.example/?gclid=7")
            // The application is mounted below another path.
            .extension(ClientUri(format!("/shop{uri}").parse().unwrap()))
            .body(())
            .unwrap();
        let layer = ConsentLayer::new(Arc::clone(&ENFORCING));
        let response = layer.layer(origin).oneshot(request).now_or_never().unwrap().unwrap();
        let stripped = response.body().report().parameters_stripped.total();
        (seen.lock().unwrap().take().unwrap(), stripped)
    };
    let texts = |uri: &str, kept: &str, referer: &str| {
        (uri.to_owned(), Some(kept.to_owned()), referer.to_owned())
    };
    let stripped = texts("/a?b=c", "/shop/a?b=c", "https://shop.example/");
    assert_eq!(of("", "/a?fbclid=1&b=c"), (stripped, 2));
    let granted = consent(0b0100);
    let kept = texts("/a?fbclid=1&b=c", "/shop/a?fbclid=1&b=c", "https://shop.example/?gclid=7");
    assert_eq!(of(&granted, "/a?fbclid=1&b=c"), (kept, 0));
}

#[test]
fn deletions_for_https_visitors_are_secure() {
    let of = |secure: bool| {
        let origin = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let request = Request::builder()
            .uri("/")
            .header("host", "localhost:3000")
            .header("sec-fetch-mode", "navigate")
            .header("cookie", "_ga=1")
            .body(())
            .unwrap();
        let layer = ConsentLayer::new(filter("")).secure(secure);
        let response = layer.layer(origin).oneshot(request).now_or_never().unwrap().unwrap();
        response.headers()["set-cookie"].to_str().unwrap().to_owned()
    };
    assert_eq!(of(false), "_ga=; Max-Age=0; Path=/");
    assert_eq!(of(true), "_ga=; Max-Age=0; Path=/; Secure");
}

#[test]
fn an_error_of_the_inner_service_passes_through() {
    let origin = service_fn(|_: Request<()>| async { Err::<Response<Full<Bytes>>, _>("down") });
    let request = Request::builder().uri("/").body(()).unwrap();
    let failed =
        ConsentLayer::new(filter("")).layer(origin).oneshot(request).now_or_never().unwrap();
    assert_eq!(failed.err(), Some("down"));
}

/// The tables of `docs/fields.md` below a title: the names in the first cell of each row, and the other cells.
fn documented(title: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let text = include_str!("../docs/fields.md");
    let (_, section) = text.split_once(&format!("## {title}\n")).expect("a section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let cells_after = cells[1..].iter().map(|cell| (*cell).to_owned()).collect();
        (quoted(cells[0]), cells_after)
    })
    .collect()
}

/// The parts of a text in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The filtered field of a request to this path, and of its response.
fn field_after(
    filter: &Arc<Filter>,
    path: &str,
    cookie: &str,
    name: &str,
    value: &str,
) -> [Option<String>; 2] {
    let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
    let value = HeaderValue::from_str(value).unwrap();
    let of =
        |headers: &HeaderMap| headers.get(&name).map(|value| value.to_str().unwrap().to_owned());
    let sent = Mutex::new(None);
    let origin = service_fn(|request: Request<()>| {
        *sent.lock().unwrap() = of(request.headers());
        let mut response = Response::new(Full::<Bytes>::default());
        response.headers_mut().insert(&name, value.clone());
        ready(Ok::<_, Infallible>(response))
    });
    let mut request = Request::builder()
        .uri(path)
        .header("host", "shop.example")
        .header("cookie", cookie)
        .body(())
        .unwrap();
    request.headers_mut().insert(&name, value.clone());
    let layer = ConsentLayer::new(Arc::clone(filter));
    let response = layer.layer(origin).oneshot(request).now_or_never().unwrap().unwrap();
    [sent.lock().unwrap().take(), of(response.headers())]
}

#[test]
fn each_field_has_the_documented_verdict() {
    let filter = filter("[[beacon]]\npath = '/beacon'\ncategory = 'necessary'");
    let (none, all) = (consent(0), consent(15));
    let rows = documented("Fields that need consent");
    assert!(rows.len() > 25, "{}", rows.len());
    for (names, cells) in rows {
        let [direction, _, default, ..] = &cells[..] else { panic!("{cells:?}") };
        for name in names {
            let name = name.replace('*', "X");
            let value = match name.as_str() {
                "Reporting-Endpoints" => "a=\"https://tracker.test/7\"",
                "Report-To" => "{\"endpoints\":[{\"url\":\"https://tracker.test/\"}]}",
                _ => "visitor-7",
            };
            let path = if direction.starts_with("beacon's") { "/beacon" } else { "/" };
            let kept = Some(value.to_owned());
            let left = field_after(&filter, path, &none, &name, value);
            let granted = field_after(&filter, path, &all, &name, value);
            for (index, side) in ["request", "response"].into_iter().enumerate() {
                assert_eq!(granted[index], kept, "{name} in a {side} with consent");
                let concerned = direction.contains(side) || direction == "both";
                let stripped = concerned && default != "off";
                let expected = match name.as_str() {
                    "Service-Worker-Navigation-Preload" if stripped => Some("true".to_owned()),
                    _ => kept.clone().filter(|_| !stripped),
                };
                assert_eq!(left[index], expected, "{name} in a {side} without consent");
            }
        }
    }
    for (names, _) in documented("Fields that pass") {
        for name in names {
            let left = field_after(&filter, "/", &none, &name, "x");
            assert_eq!(left, [Some("x".to_owned()), Some("x".to_owned())], "{name}");
        }
    }
}

#[test]
fn every_known_field_has_a_documented_verdict() {
    let verdicts: Vec<String> = quoted(include_str!("../docs/fields.md"))
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let names = include_str!("data/http-fields.txt").lines().filter(|line| !line.starts_with('#'));
    let missing: Vec<&str> = names
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            !verdicts.iter().any(|verdict| match verdict.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => *verdict == name,
            })
        })
        .collect();
    assert_eq!(missing, [""; 0]);
}
