//! Magento cookie restriction mode: `user_allowed_save_cookie`, a JSON object of the websites whose notice the visitor
//! accepted. There is no refusal.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Votes, common_formats, decode};

/// A source for Magento's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact("user_allowed_save_cookie");
    CookieSource::new("magento", [name], &[], settings, read)
}

fn read(source: &CookieSource, value: &[u8], categories: &Categories) -> Option<Reading> {
    let websites = decode::object(value)?;
    if !websites.values().all(|accepted| accepted.as_i64() == Some(1)) {
        return None;
    }
    if websites.is_empty() {
        return Some(Reading::NoDecision);
    }
    if source.map.configured().next().is_none() {
        return Some(common_formats::one_answer(true, categories, None));
    }
    let mut votes = Votes::default();
    let mut accepted = websites.keys().filter(|id| source.map.is_configured(id)).peekable();
    if accepted.peek().is_none() {
        return Some(Reading::NoDecision);
    }
    accepted.for_each(|id| votes.vote(source.map.categories(id), true));
    Some(Reading::decision(votes, &source.map, None))
}
