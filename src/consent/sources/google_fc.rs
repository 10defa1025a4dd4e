//! Google Privacy & messaging (Funding Choices): `FCCDCF`, a JSON array. The fourth element contains a TC string, the
//! fifth a US privacy string.

use serde_json::Value;

use super::usprivacy;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, IdMap, decode};
use crate::cookie::Cookies;

/// Positions in the array. Later elements contain the visitor's id and no consent.
const TC_STRING: usize = 3;
const US_PRIVACY: usize = 4;

/// Reads Google's cookie.
#[derive(Debug)]
pub(super) struct GoogleFc {
    tc_strings: TcStrings,
    american: IdMap,
}

impl GoogleFc {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            tc_strings: TcStrings::new(settings),
            american: IdMap::new(usprivacy::DEFAULTS, &settings.map),
        }
    }

    fn read_one(&self, value: &[u8]) -> Option<Reading> {
        let json = decode::json(value)?;
        let items = json.as_array()?;
        let tc_string = match items.get(TC_STRING) {
            None | Some(Value::Null) => None,
            Some(list) => list.as_array()?.first(),
        };
        let european = match tc_string {
            None | Some(Value::Null) => Reading::NoDecision,
            Some(text) => self.tc_strings.read(text.as_str()?),
        };
        let american = match items.get(US_PRIVACY).and_then(Value::as_array).map(Vec::as_slice) {
            Some([_, Value::String(text), ..]) => usprivacy::read_string(text, &self.american),
            _ => Reading::NoDecision,
        };
        Some(european.and(american))
    }
}

impl ConsentSource for GoogleFc {
    fn name(&self) -> &'static str {
        "google-fc"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["FCCDCF".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"FCCDCF"), |value| {
            self.read_one(value).unwrap_or(Reading::Malformed)
        })
    }
}
