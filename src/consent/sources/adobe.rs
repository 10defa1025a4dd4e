//! Adobe Experience Platform: `kndctr_ORG_AdobeOrg_consent`, `general=in` or `general=out`.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, decode};

/// The cookie name. Organisations have 24 hexadecimal digits.
const NAME: &str = "kndctr_{hex:24}_AdobeOrg_consent";

/// Default categories of the tool's only purpose.
const DEFAULTS: &[(&str, Category)] =
    &[("general", Category::ANALYTICS), ("general", Category::TARGETING)];

/// A source for Adobe's cookies.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let is_rest = |rest: &[u8]| {
        let organisation = rest.strip_suffix(b"_AdobeOrg_consent").unwrap_or_default();
        organisation.len() == 24 && organisation.iter().all(u8::is_ascii_hexdigit)
    };
    let names = [CookieMatcher::pattern(NAME, is_rest)];
    CookieSource::new("adobe", names, DEFAULTS, settings, read)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let text = decode::percent(value)?;
    let (mut votes, mut decided) = (Votes::default(), false);
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        let (purpose, answer) = pair.split_once('=')?;
        let granted = match answer {
            "in" => true,
            "out" => false,
            "pending" => continue,
            _ => return None,
        };
        decided = true;
        votes.vote(source.map.categories(purpose), granted);
    }
    Some(if decided { Reading::decision(votes, &source.map, None) } else { Reading::NoDecision })
}
