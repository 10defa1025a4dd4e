//! HTML rewriting with banner and guard. The first byte chooses between them and sets the content coding. The
//! second byte sets where the page is split. The rest is the page as the origin sends it, encoded or not.
//!
//! Checked properties: no panic and no endless wait. Without the guard, an unencoded page is unchanged apart from
//! one banner, and an encoded page that cannot be decoded passes unchanged.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use consentry::internal::ConsentUi;
use consentry::config::{self, Overrides};
use consentry::consent::{CategorySet, Consent};
use consentry::filter::Filter;
use consentry::internal::{PageOutcome, SiteRewriter};
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use libfuzzer_sys::fuzz_target;

const BANNER: &[u8] = b"<consentry-banner class=\"consentry-banner\"";

/// With the banner only, and with both banner and guard.
static SITES: LazyLock<[(SiteRewriter, ConsentUi); 2]> = LazyLock::new(|| {
    ["banner.enabled = true", "banner.enabled = true\npage.guard = true"].map(|toml| {
        let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
        let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
        let site = config.sites.into_iter().next().expect("a site");
        let filter = Arc::new(Filter::new(site.filter));
        let centre = ConsentUi::new("x", site.centre, &site.page, filter, None);
        (SiteRewriter::new(&site.page).expect("something to change"), centre)
    })
});

fuzz_target!(|bytes: &[u8]| {
    let [how, cut, page @ ..] = bytes else { return };
    let guard = usize::from(how & 4 != 0);
    let (pages, centre) = &SITES[guard];
    let coding = ["identity", "gzip", "br", "zstd"][usize::from(how & 3)];
    let cut = page.len() * usize::from(*cut) / 256;
    let parts = [&page[..cut], &page[cut..]].map(|part| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part))));
    let body = StreamBody::new(stream::iter(parts));
    let response = Response::builder().header("content-type", "text/html").header("content-encoding", coding);
    let request = Request::get("/a?b").header("accept", "text/html").body(()).expect("a request");
    let consent = Consent::undecided(CategorySet::NECESSARY);
    let response = response.body(body).expect("a response");
    let mut changed = pages.change(request, &consent, response, centre);
    let (mut out, mut whole) = (Vec::new(), true);
    while let Some(frame) = changed.body_mut().frame().now_or_never().expect("nothing is waited for") {
        match frame {
            Ok(frame) => out.extend_from_slice(&frame.into_data().expect("data")),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    let outcome = changed.body().outcome();
    assert!(whole || coding != "identity", "what is not coded is not broken");
    if coding == "identity" && guard == 0 {
        let places: Vec<usize> = (0..out.len()).filter(|at| out[*at..].starts_with(BANNER)).collect();
        if outcome == Some(PageOutcome::Failed) && places.is_empty() {
            assert_eq!(out, page, "as it is");
            return;
        }
        // The page may contain the same bytes itself.
        // Open elements are closed before the banner.
        let fits = |at: usize| {
            let same = out[..at].iter().zip(page).take_while(|(out, page)| out == page).count();
            (0..=same).rev().any(|end| {
                let is_closing = out[end..at].split_inclusive(|byte| *byte == b'>').all(|tag| tag.starts_with(b"</") && tag.ends_with(b">"));
                is_closing && out.ends_with(&page[end..])
            })
        };
        let inside = places.iter().any(|at| fits(*at));
        // At the end of the page open elements are closed, and an incomplete tag is dropped.
        let same = out.iter().zip(page).take_while(|(out, page)| out == page).count();
        let at_the_end = same == page.len() || page[..=same].contains(&b'<');
        assert!(!places.is_empty() && (inside || at_the_end), "the same but for the banner");
    }
    if coding != "identity" && outcome == Some(PageOutcome::Failed) && whole {
        assert_eq!(out, page, "a coding that cannot be read passes as it is");
    }
});
