//! Instruction counts of the parts of a request, and of each consent source for a two-kilobyte header: `make
//! instructions`. Valgrind counts them, so every run of the same binary gives the same result.
//! `benches/instructions.txt` contains the recorded counts, which must not grow.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use consentry::config::{self, Overrides};
use consentry::consent::{CategorySet, Consent, ConsentReader, Signals};
use consentry::cookie::{Cookies, SetCookie, pairs};
use consentry::filter::{ConsentLayer, DecisionCache, Filter, FilterBody};
use consentry::internal::ConsentUi;
use consentry::internal::SiteRewriter;
use consentry::policy::Policy;
use futures_util::FutureExt;
use gungraun::{library_benchmark, library_benchmark_group, main};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use support::{COOKIE, SET_COOKIES};
use tower::{Layer, Service};

struct Prepared {
    reader: Arc<ConsentReader>,
    header: String,
}

impl Prepared {
    fn read(&self) -> Consent {
        let cookies = Cookies::new([self.header.as_bytes()]);
        self.reader.read(black_box(&cookies), Signals::default(), None, 1_796_083_200)
    }
}

/// A tool's reader and a header with its cookie. Both are warmed up, so that one-time initialisation is not
/// counted, and leaked, so that dropping them is not counted.
fn prepare(tool: &str) -> &'static Prepared {
    let (_, header) = support::headers().find(|(other, _)| other == tool).expect("a sample");
    let prepared = Prepared { reader: support::reader(tool), header };
    // Many times, so that the allocator's deferred work is done.
    (0..100).for_each(|_| assert!(prepared.read().is_decided(), "{tool}"));
    Box::leak(Box::new(prepared))
}

/// The source `auto`, for a visitor without a consent cookie.
fn prepare_without(cookies: &str) -> &'static Prepared {
    let mut header = cookies.to_owned();
    while header.len() < 2048 {
        header = format!("{header}; {cookies}");
    }
    let prepared = Prepared { reader: support::reader("auto"), header };
    assert!(!prepared.read().is_decided());
    Box::leak(Box::new(prepared))
}

#[library_benchmark(setup = prepare)]
#[bench::axeptio("axeptio")]
#[bench::borlabs("borlabs")]
#[bench::c15t("c15t")]
#[bench::commanders_act("commanders-act")]
#[bench::complianz("complianz")]
#[bench::cookiebot("cookiebot")]
#[bench::cookiefirst("cookiefirst")]
#[bench::cookieinformation("cookieinformation")]
#[bench::cookielawinfo("cookielawinfo")]
#[bench::cookiescript("cookiescript")]
#[bench::cookieyes("cookieyes")]
#[bench::didomi("didomi")]
#[bench::django_cookie_consent("django-cookie-consent")]
#[bench::drupal("drupal")]
#[bench::fides("fides")]
#[bench::gpp("gpp")]
#[bench::hubspot("hubspot")]
#[bench::iubenda("iubenda")]
#[bench::klaro("klaro")]
#[bench::moove("moove")]
#[bench::onetrust("onetrust")]
#[bench::osano("osano")]
#[bench::pandectes("pandectes")]
#[bench::shopify("shopify")]
#[bench::tarteaucitron("tarteaucitron")]
#[bench::tcf("tcf")]
#[bench::tealium("tealium")]
#[bench::trustarc("trustarc")]
#[bench::usprivacy("usprivacy")]
#[bench::vanilla_cookieconsent("vanilla-cookieconsent")]
#[bench::wp_consent_api("wp-consent-api")]
#[bench::zaraz("zaraz")]
#[bench::no_decision(args = (support::COOKIE), setup = prepare_without)]
fn read_consent(prepared: &Prepared) -> Consent {
    black_box(prepared.read())
}

/// This many `Set-Cookie` lines.
fn lines(count: usize) -> Vec<&'static str> {
    SET_COOKIES.into_iter().cycle().take(count).collect()
}

#[library_benchmark]
#[bench::eight(COOKIE)]
fn read_cookies(field: &str) -> usize {
    pairs(black_box(field.as_bytes())).map(|pair| black_box(pair).name.len()).sum()
}

#[library_benchmark]
#[bench::six(lines(6))]
fn read_set_cookies(lines: Vec<&'static str>) -> Vec<&'static str> {
    for line in &lines {
        black_box(SetCookie::parse(black_box(line.as_bytes())).scope().deletes(1_795_500_000));
    }
    lines
}

/// A site's policy with this many rules.
fn policy(rules: usize) -> &'static Policy {
    let settings = support::settings(&support::rules(rules));
    &Box::leak(Box::new(settings)).policy
}

#[library_benchmark(setup = policy)]
#[bench::with_10_rules(10)]
#[bench::with_1000_rules(1_000)]
#[bench::with_10000_rules(10_000)]
fn classify(policy: &Policy) -> usize {
    let known = |name: &&[u8]| policy.catalogue.cookie(black_box(name)).is_some();
    [&b"name_3"[..], b"start_4_rest", b"neither_of_them"].iter().filter(|name| known(name)).count()
}

#[library_benchmark(setup = policy)]
#[bench::one(10)]
fn decide(policy: &Policy) -> bool {
    let consent = Consent::undecided(CategorySet::NECESSARY);
    policy.stored_cookie(black_box(b"name_3"), &Cookies::default(), &consent).permitted
}

/// An origin that answers immediately with these lines.
#[derive(Clone)]
struct Origin(Vec<&'static str>);

impl Service<Request<()>> for Origin {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::builder();
        for line in &self.0 {
            response = response.header("set-cookie", *line);
        }
        ready(Ok(response.body(Empty::new()).unwrap()))
    }
}

type Answer = Option<Result<Response<FilterBody<Empty<Bytes>>>, Infallible>>;

struct PreparedFilter {
    layer: ConsentLayer,
    origin: Origin,
    cookie: Option<String>,
}

impl PreparedFilter {
    fn answer(&self) -> Answer {
        let mut request = Request::builder().uri("/").header("host", "shop.example");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let request = request.body(()).unwrap();
        self.layer.layer(self.origin.clone()).call(black_box(request)).now_or_never()
    }
}

/// A filter that has already seen such requests. `cookies` is whether the client sends cookies.
fn prepare_filter(cookies: bool, set_cookies: usize) -> &'static PreparedFilter {
    let filter = Arc::new(Filter::new(support::settings("")));
    let cookie =
        cookies.then(|| format!("consentry=1~4000000000~2018-05-25~functional~; {COOKIE}"));
    let origin = Origin(lines(set_cookies));
    let prepared =
        PreparedFilter { layer: ConsentLayer::new(filter).without_extensions(), origin, cookie };
    (0..100).for_each(|_| drop(prepared.answer()));
    Box::leak(Box::new(prepared))
}

#[library_benchmark(setup = prepare_filter)]
#[bench::without_cookies(false, 0)]
#[bench::request_cookies(true, 0)]
#[bench::six_set_cookies(false, 6)]
#[bench::fifty_set_cookies(false, 50)]
#[bench::both(true, 6)]
fn filter(prepared: &PreparedFilter) -> Answer {
    black_box(prepared.answer())
}

/// The same on a connection that has just sent such a request.
fn prepare_filter_again(cookies: bool, set_cookies: usize) -> &'static PreparedFilter {
    let PreparedFilter { layer, origin, cookie } = prepare_filter(cookies, set_cookies);
    let layer = layer.clone().with_decision_cache(Arc::new(DecisionCache::default()));
    let prepared = PreparedFilter { layer, origin: origin.clone(), cookie: cookie.clone() };
    // Entries are valid until the end of the second, so measuring starts in a new second.
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let began = now().as_secs();
    while now().as_secs() == began {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    drop(prepared.answer());
    Box::leak(Box::new(prepared))
}

#[library_benchmark(setup = prepare_filter_again)]
#[bench::request_cookies(true, 0)]
#[bench::both(true, 6)]
fn filter_again(prepared: &PreparedFilter) -> Answer {
    black_box(prepared.answer())
}

struct Page {
    pages: SiteRewriter,
    centre: ConsentUi,
    media_type: &'static str,
    text: Bytes,
}

impl Page {
    /// Rewrites the page and returns its length.
    fn rewrite(&self) -> usize {
        let request = Request::get("/shop?page=2").header("host", "shop.example");
        let request = request.header("accept", "text/html").header("sec-fetch-dest", "document");
        let request = request.body(()).unwrap();
        let response = Response::builder().header("content-type", self.media_type);
        let response = response.body(Full::new(self.text.clone())).unwrap();
        let consent = Consent::undecided(CategorySet::NECESSARY);
        let response = self.pages.change(request, &consent, response, &self.centre);
        let (_, mut body) = response.into_parts();
        let mut length = 0;
        while let Some(frame) = body.frame().now_or_never().unwrap() {
            length += frame.unwrap().into_data().unwrap().len();
        }
        length
    }
}

/// A 64 KiB page whose `<body>` starts after `head` bytes, on a site with this TOML.
fn page(toml: &str, head: usize, media_type: &'static str) -> &'static Page {
    let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
    let config = config::parse(&toml, None, &Overrides::default()).unwrap();
    let site = config.sites.into_iter().next().unwrap();
    let filter = Arc::new(Filter::new(site.filter));
    let centre = ConsentUi::new("x", site.centre, &site.page, filter, None);
    let mut text = String::from("<!doctype html><html lang=en><head><meta charset=utf-8>");
    while text.len() < head {
        text.push_str("<link rel=\"stylesheet\" href=\"/assets/app-1234567890.css\">\n");
    }
    text.push_str("</head><body class=\"shop\">\n");
    while text.len() < 64 * 1024 {
        text.push_str(
            "<div class=\"card\"><a href=\"/products/1234\"><img src=\"/images/1234.webp\" alt=\"\"></a>\
             <p>Some words that say what this product is, and what it costs.</p></div>\n",
        );
    }
    let pages = SiteRewriter::new(&site.page).unwrap();
    let page = Page { pages, centre, media_type, text: Bytes::from(text) };
    (0..100).for_each(|_| assert!(page.rewrite() > 0));
    Box::leak(Box::new(page))
}

const BANNER: &str = "banner.enabled = true";
const GUARD: &str = "page.guard = true";

#[library_benchmark(setup = page)]
#[bench::banner(BANNER, 150, "text/html")]
#[bench::banner_after_8_kib(BANNER, 8 * 1024, "text/html")]
#[bench::guard(GUARD, 150, "text/html")]
#[bench::guard_no_html(GUARD, 150, "application/json")]
fn rewrite_page(page: &Page) -> usize {
    black_box(page.rewrite())
}

library_benchmark_group!(name = pages; benchmarks = rewrite_page);
library_benchmark_group!(name = consent_sources; benchmarks = read_consent);
library_benchmark_group!(name = cookies; benchmarks = read_cookies, read_set_cookies);
library_benchmark_group!(name = decisions; benchmarks = classify, decide);
library_benchmark_group!(name = whole_requests; benchmarks = filter, filter_again);
main!(library_benchmark_groups = cookies, decisions, whole_requests, pages, consent_sources);
