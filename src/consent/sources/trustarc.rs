//! TrustArc: `cmapi_cookie_privacy` lists the permitted levels; without it, `notice_preferences` has the
//! highest one, counted from 0.

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// What the tool's own ids stand for.
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

    /// `2:`, or `2:` and something after it.
    fn highest(&self, value: &[u8]) -> Reading {
        let text = decode::percent(value);
        let highest = text.as_deref().and_then(|text| text.split_once(':'));
        let Some(highest) = highest.and_then(|(highest, _)| highest.parse::<u8>().ok()) else {
            return Reading::Malformed;
        };
        self.permitted(|level| {
            level.parse::<u16>().is_ok_and(|level| level <= u16::from(highest) + 1)
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
        let levels = cookies.values(b"cmapi_cookie_privacy").map(|value| self.levels(value));
        match levels.fold(Reading::NoDecision, Reading::and) {
            Reading::NoDecision => {
                let highest = cookies.values(b"notice_preferences");
                Reading::of_copies(highest, |value| self.highest(value))
            }
            said => said,
        }
    }
}
