//! Allocation test: without a consent cookie, which is the case for most requests, no source allocates.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use consentry::config::{self, Overrides};
use consentry::consent::Signals;
use consentry::consent::sources::names;
use consentry::cookie::Cookies;
use consentry::filter::Filter;

#[test]
fn sources_do_not_allocate_without_a_consent_cookie() {
    let header = "session=8f14e45fceea167a5a36dedd4bea2543; _ga=GA1.2.1234567890.1700000000; csrftoken=abcdef; lang=en";
    for name in names() {
        let toml = format!("[consent]\nsources = ['{name}']\n[[site]]\nupstream = 'http://a'");
        let config = config::parse(&toml, None, &Overrides::default()).unwrap();
        let reader = &config.sites[0].filter.reader;
        let measured = allocation_counter::measure(|| {
            let cookies = Cookies::new([header.as_bytes()]);
            let consent = reader.read(&cookies, Signals::default(), None, 1_796_083_200);
            assert!(!consent.is_decided());
        });
        assert_eq!(measured.count_total, 0, "{name}");
    }
    let counted = allocation_counter::measure(|| drop(vec![1_u8]));
    assert_eq!(counted.count_total, 1, "the counter counts");
}

#[test]
fn sites_share_the_catalogue() {
    let bytes = |sites: usize| {
        let site = |number: usize| {
            format!(
                "[[site]]\nname = 's{number}'\nhosts = ['s{number}.example']\nupstream = 'http://a'\n\
                 [[site.cookie]]\nname = 'own{number}'\ncategory = 'necessary'\n"
            )
        };
        let toml: String = (0..sites).map(site).collect();
        let mut kept = Vec::new();
        let measured = allocation_counter::measure(|| {
            let config = config::parse(&toml, None, &Overrides::default()).unwrap();
            let filters = config.sites.iter().map(|site| Filter::new(site.filter.clone()));
            kept.push((filters.collect::<Vec<_>>(), config));
        });
        measured.bytes_current
    };
    let (one, many) = (bytes(1), bytes(101));
    let each = (many - one) / 100;
    assert!(each < 20 * 1024, "{each} bytes for each further site, {one} for the first");
}
