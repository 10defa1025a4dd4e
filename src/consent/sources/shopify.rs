//! Shopify: `_tracking_consent`. The current format is `3CONSENT.ALLOWED_REGION_…`, in which a capital letter of a
//! purpose grants and a small one refuses. The older one is JSON with a digit per purpose under `con.CMP`.

use serde_json::Value;

use crate::consent::cookie_source::{CookieMatcher, CookieSource};
use crate::consent::source::{Reading, SourceSettings};
use crate::consent::{Category, IdMap, Votes, decode};

/// Default categories of the tool's ids. `s` is the sale of personal data.
const DEFAULTS: &[(&str, Category)] = &[
    ("a", Category::ANALYTICS),
    ("m", Category::TARGETING),
    ("p", Category::FUNCTIONAL),
    ("s", Category::TARGETING),
];

/// A source for Shopify's cookie.
pub(super) fn source(settings: &SourceSettings) -> CookieSource {
    let name = CookieMatcher::exact("_tracking_consent");
    CookieSource::new("shopify", [name], DEFAULTS, settings, |source, value, _| {
        let text = decode::percent(value)?;
        let votes = match text.strip_prefix('3') {
            Some(compact) => read_compact(compact, &source.map)?,
            None => read_json(&decode::decoded_json(&text, value)?, &source.map)?,
        };
        Some(match votes {
            Some(votes) => Reading::decision(votes, &source.map, None),
            None => Reading::NoDecision,
        })
    })
}

/// The votes of the current format. `Some(None)` without an answer. The part after the dot is what the region allows,
/// and no choice of the visitor.
fn read_compact(text: &str, map: &IdMap) -> Option<Option<Votes>> {
    let mut fields = text.split('_');
    let (consent, _) = fields.next()?.split_once('.')?;
    // A value without a region is truncated.
    fields.next().filter(|region| !region.is_empty())?;
    let mut votes = None::<Votes>;
    for letter in consent.chars() {
        let id = letter.to_ascii_lowercase();
        if !matches!(id, 'a' | 'm' | 'p' | 's') {
            return None;
        }
        let categories = map.categories(id.encode_utf8(&mut [0; 4]));
        votes.get_or_insert_default().vote(categories, letter.is_ascii_uppercase());
    }
    Some(votes)
}

/// The votes of the older format. `Some(None)` without an answer.
fn read_json(json: &Value, map: &IdMap) -> Option<Option<Votes>> {
    // The tool reads this version only.
    if json.get("v")?.as_str()? != "2.1" {
        return None;
    }
    let mut votes = None::<Votes>;
    for (id, answer) in json.get("con")?.get("CMP")?.as_object()? {
        let granted = match answer.as_str()? {
            "1" => true,
            "0" => false,
            "" => continue,
            _ => return None,
        };
        votes.get_or_insert_default().vote(map.categories(id), granted);
    }
    Some(votes)
}
