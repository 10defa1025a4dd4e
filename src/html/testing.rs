//! Test helpers of this module.

use std::sync::Arc;

use super::block_tags::Blocker;
use super::charset::Charset;
use super::document::Insertions;
use super::media_type::{DocumentKind, MediaType};
use super::rewriter::RewritePlan;
use super::text::TextReader;
use super::url_policy::UrlPolicy;
use crate::config::{self, Overrides};
use crate::consent::CategorySet;
use crate::filter::Filter;

/// The policy of the page `https://shop.example/dir/page` for a visitor without consent.
pub(super) fn policy() -> UrlPolicy {
    thread_local! {
        static FILTER: Arc<Filter> = {
            let toml = "[[site]]\nupstream = 'http://127.0.0.1:1'";
            let config = config::parse(toml, None, &Overrides::default()).expect("a valid config");
            let site = config.sites.into_iter().next().expect("a site");
            Arc::new(Filter::new(site.filter))
        };
    }
    let filter = FILTER.with(Arc::clone);
    let site = ("https", "shop.example".to_owned());
    UrlPolicy::new(filter, CategorySet::NECESSARY, site, "/dir/page".to_owned())
}

pub(super) fn blocker(charset: &str, xml: bool) -> Blocker {
    let reader = TextReader { charset: Charset::named(charset), entities: None };
    Blocker { policy: policy(), reader, xml }
}

/// The plan for an HTML page in UTF-8.
pub(super) fn plan(blocks: bool, inserts: Insertions) -> RewritePlan {
    let media_type = MediaType { kind: Some(DocumentKind::Html), charset: Charset::UTF_8 };
    RewritePlan { media_type, policy: policy(), blocks, inserts }
}
