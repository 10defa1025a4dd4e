//! Iubenda: `_iub_cs-POLICY` or `_iub_cs-sSITE`, a JSON object with numbered purposes, or a single `consent` for all.

use serde_json::Value;

use crate::consent::cookie_source::is_digits;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, common_formats, decode};
use crate::cookie::Cookies;

/// The cookie names: the number of the policy, or `s` and the number of the site. Names with the suffix are of the US
/// opt-outs.
const NAMES: [&str; 4] =
    ["_iub_cs-{digits}", "_iub_cs-s{digits}", "_iub_cs-{digits}-uspr", "_iub_cs-s{digits}-uspr"];
const PREFIX: &[u8] = b"_iub_cs-";
const US_SUFFIX: &[u8] = b"-uspr";

/// Default categories of the tool's ids. The meaning of 3 (experience) differs between sites, so it
/// needs `map`.
const DEFAULTS: &[(&str, Category)] = &[
    ("1", Category::NECESSARY),
    ("2", Category::FUNCTIONAL),
    ("4", Category::ANALYTICS),
    ("5", Category::TARGETING),
];

/// The keys of the US opt-outs: sale, sharing and targeted advertising.
const US_ANSWERS: [&str; 3] = ["s", "sh", "adv"];

/// Reads Iubenda's cookie.
#[derive(Debug)]
pub(super) struct Iubenda {
    map: IdMap,
}

/// Whether the text is the number of a policy, or `s` and the number of a site.
fn is_number(text: &[u8]) -> bool {
    is_digits(text.strip_prefix(b"s").unwrap_or(text))
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
        NAMES.map(str::to_owned).to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let named = || cookies.beginning_with(PREFIX);
        let copies = named().filter(|(rest, _)| is_number(rest)).map(|(_, value)| value);
        let us = named().filter(|(rest, _)| rest.strip_suffix(US_SUFFIX).is_some_and(is_number));
        let us = us.map(|(_, value)| value);
        Reading::of_copies(copies, |value| self.read_one(value, categories))
            .and(Reading::of_copies(us, |value| self.read_us(value)))
    }
}
