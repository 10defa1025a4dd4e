//! TrustArc: `cmapi_cookie_privacy` lists the permitted levels, counted from 1. `notice_gdpr_prefs`
//! lists them counted from 0, and `notice_preferences` contains the highest level, counted from 0.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] =
    &[("1", Category::NECESSARY), ("2", Category::FUNCTIONAL), ("3", Category::TARGETING)];

/// Reads TrustArc's cookie.
#[derive(Debug)]
pub(super) struct TrustArc {
    map: IdMap,
}

impl TrustArc {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn levels(&self, permitted: &[u8]) -> Reading {
        let Some(text) = decode::percent(permitted) else { return Reading::Malformed };
        let words = text.strip_prefix("permit").map(|rest| rest.split([' ', ',', '_']));
        let Some(words) = words else { return Reading::Malformed };
        let mut granted = Vec::new();
        for word in words.filter(|word| !word.is_empty() && *word != "required") {
            if !word.bytes().all(|byte| byte.is_ascii_digit()) {
                return Reading::Malformed;
            }
            granted.push(word);
        }
        if granted.is_empty() {
            return Reading::Malformed;
        }
        self.permitted(|level| granted.contains(&level))
    }

    /// Parses `0,1,2:`, or only the highest level as `2:`. Anything may follow the colon.
    fn zero_based(&self, value: &[u8], is_highest: bool) -> Reading {
        let text = decode::percent(value);
        let listed = text.as_deref().and_then(|text| text.split_once(':')).map(|(listed, _)| {
            listed.split(',').map(|level| level.parse().ok()).collect::<Option<Vec<u8>>>()
        });
        let is_permitted = |level: u8| match listed.as_ref()?.as_deref()? {
            [highest] if is_highest => Some(level <= *highest),
            _ if is_highest => None,
            listed => Some(listed.contains(&level)),
        };
        if is_permitted(0).is_none() {
            return Reading::Malformed;
        }
        self.permitted(|level| {
            let level = level.parse::<u8>().ok().and_then(|level| level.checked_sub(1));
            level.and_then(is_permitted).unwrap_or_default()
        })
    }

    fn permitted(&self, is_permitted: impl Fn(&str) -> bool) -> Reading {
        Reading::decision(Votes::of_list(&self.map, is_permitted), &self.map, None)
    }
}

impl ConsentSource for TrustArc {
    fn name(&self) -> &'static str {
        "trustarc"
    }

    fn cookie_names(&self) -> Vec<String> {
        ["cmapi_cookie_privacy", "notice_preferences", "notice_gdpr_prefs", "notice_behavior"]
            .map(str::to_owned)
            .to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let of = |name: &[u8], read: &dyn Fn(&[u8]) -> Reading| {
            Reading::of_copies(cookies.values(name), read)
        };
        // All of these cookies contain the same decision. If they disagree, the stricter one wins.
        of(b"cmapi_cookie_privacy", &|value| self.levels(value))
            .and(of(b"notice_gdpr_prefs", &|value| self.zero_based(value, false)))
            .and(of(b"notice_preferences", &|value| self.zero_based(value, true)))
    }
}
