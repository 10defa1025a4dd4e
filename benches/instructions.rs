//! How many instructions each consent source takes to read a header of two kilobytes: `make instructions`.
//! Counted by valgrind, and so the same on every run of the same binary.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use consentry::consent::{Consent, ConsentReader, Signals};
use consentry::cookie::Cookies;
use gungraun::{library_benchmark, library_benchmark_group, main};

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

/// A tool's reader and a header that holds its cookie; read once, so that nothing is made for the first time,
/// and never dropped, which would be counted too.
fn prepare(tool: &str) -> &'static Prepared {
    let (_, header) = support::headers().find(|(other, _)| other == tool).expect("a sample");
    let prepared = Prepared { reader: support::reader(tool), header };
    // Often, so that what the allocator puts off is done.
    (0..100).for_each(|_| assert!(prepared.read().is_decided(), "{tool}"));
    Box::leak(Box::new(prepared))
}

/// `auto`, where the visitor has no consent cookie.
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

library_benchmark_group!(name = consent_sources; benchmarks = read_consent);
main!(library_benchmark_groups = consent_sources);
