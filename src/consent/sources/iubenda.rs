//! Iubenda: `_iub_cs-SITE`, a JSON object with numbered purposes, or a single `consent` for all.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, common_formats, decode};
use crate::cookie::Cookies;

/// Prefix of the cookie name. The number of the site follows.
const PREFIX: &[u8] = b"_iub_cs-";

/// Default categories of the tool's ids. The meaning of 3 (experience) differs between sites, so it
/// needs `map`.
const DEFAULTS: &[(&str, Category)] = &[
    ("1", Category::NECESSARY),
    ("2", Category::FUNCTIONAL),
    ("4", Category::ANALYTICS),
    ("5", Category::TARGETING),
];

/// Suffix of the cookie with the US opt-outs, and its keys: sale, sharing and targeted advertising.
const US_SUFFIX: &[u8] = b"-uspr";
const US_ANSWERS: [&str; 3] = ["s", "sh", "adv"];

/// Reads Iubenda's cookie.
#[derive(Debug)]
pub(super) struct Iubenda {
    map: IdMap,
}

impl Iubenda {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8], all: &Categories) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let decided_at = entries.get("timestamp").and_then(decode::time);
        match (entries.get("purposes"), entries.get("consent")) {
            (Some(Value::Object(purposes)), _) => {
                match common_formats::boolean_votes(purposes, &self.map) {
                    Some(votes) => Reading::decision(votes, &self.map, decided_at),
                    None => Reading::Malformed,
                }
            }
            (None, Some(Value::Bool(answer))) => {
                common_formats::one_answer(*answer, all, decided_at)
            }
            (None, None) => Reading::NoDecision,
            _ => Reading::Malformed,
        }
    }

    /// Parses `{"s":false,"sh":false,"adv":false}`. `false` means opted out.
    fn read_us(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let answers = US_ANSWERS.iter().filter_map(|name| entries.get(*name));
        match answers.map(Value::as_bool).collect::<Option<Vec<bool>>>().as_deref() {
            None => Reading::Malformed,
            Some([]) => Reading::NoDecision,
            Some(answers) => common_formats::opt_out(
                answers.contains(&false),
                self.map.categories("5"),
                &self.map,
            ),
        }
    }
}

impl ConsentSource for Iubenda {
    fn name(&self) -> &'static str {
        "iubenda"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let of_site =
            |(site, _): &(&[u8], &[u8])| !site.is_empty() && site.iter().all(u8::is_ascii_digit);
        let copies = cookies.beginning_with(PREFIX).filter(of_site);
        let us = cookies
            .beginning_with(PREFIX)
            .filter_map(|(name, value)| Some((name.strip_suffix(US_SUFFIX)?, value)))
            .filter(of_site);
        Reading::of_copies(copies.map(|(_, value)| value), |value| self.read_one(value, categories))
            .and(Reading::of_copies(us.map(|(_, value)| value), |value| self.read_us(value)))
    }
}
