//! Piwik PRO: `ppms_privacy_APP`, JSON with the status of each purpose: 1 granted, 0 refused, -1 not decided.

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Categories, Category, Votes, decode};

/// The cookie name. It ends with the UUID of the app.
const NAME: &str = "ppms_privacy_{hex:8}-{hex:4}-{hex:4}-{hex:4}-{hex:12}";

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("analytics", Category::ANALYTICS),
    ("ab_testing_and_personalization", Category::FUNCTIONAL),
    ("user_feedback", Category::FUNCTIONAL),
    ("conversion_tracking", Category::TARGETING),
    ("remarketing", Category::TARGETING),
    ("marketing_automation", Category::TARGETING),
];

/// A source for Piwik PRO's cookies.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let names = [CookieMatcher::pattern(NAME, is_uuid)];
    CookieSource::new("piwik-pro", names, DEFAULTS, settings, read)
}

fn is_uuid(text: &[u8]) -> bool {
    let lengths = text.split(|byte| *byte == b'-').map(<[u8]>::len);
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    lengths.eq([8, 4, 4, 4, 12]) && text.iter().all(is_part)
}

fn read(source: &CookieSource, value: &[u8], _: &Categories) -> Option<Reading> {
    let entries = decode::object(value)?;
    let (mut votes, mut decided, mut decided_at) = (Votes::default(), false, None);
    for (purpose, answer) in entries.get("consents")?.as_object()? {
        let granted = match answer.get("status")?.as_i64()? {
            1 => true,
            0 => false,
            -1 => continue,
            _ => return None,
        };
        decided = true;
        votes.vote(source.map.categories(purpose), granted);
        // The oldest answer determines the age.
        let updated_at = answer.get("updatedAt").and_then(decode::time);
        decided_at = [decided_at, updated_at].into_iter().flatten().min();
    }
    Some(if decided {
        Reading::decision(votes, &source.map, decided_at)
    } else {
        Reading::NoDecision
    })
}
