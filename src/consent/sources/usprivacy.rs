//! IAB US Privacy string: `usprivacy`, four characters, the third of which is the opt-out of sale.
//! Without an opt-out, the default applies.

use std::borrow::Cow;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, common_formats, decode};
use crate::cookie::Cookies;

/// Default category of the opt-out of sale. Strings of US law have no purposes: every opt-out concerns advertising.
pub(super) const DEFAULTS: &[(&str, Category)] = &[("sale", Category::TARGETING)];

/// Reads the US privacy string's cookie.
#[derive(Debug)]
pub(super) struct UsPrivacy {
    map: IdMap,
}

impl UsPrivacy {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map) }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        // Iubenda embeds the string in JSON.
        let inner =
            decode::json(value).and_then(|json| json.get("uspString")?.as_str().map(str::to_owned));
        let text = inner.or_else(|| decode::percent(value).map(Cow::into_owned));
        read_string(&text.unwrap_or_default(), &self.map)
    }
}

/// Parses a US privacy string, case-insensitive (IAB "U.S. Privacy String", version 1).
pub(super) fn read_string(text: &str, map: &IdMap) -> Reading {
    match text.trim().to_ascii_uppercase().as_bytes() {
        [b'1', b'Y' | b'N' | b'-', sale, b'Y' | b'N' | b'-'] => match sale {
            b'Y' => common_formats::opt_out(true, map.categories("sale"), map),
            b'N' => common_formats::opt_out(false, map.categories("sale"), map),
            b'-' => Reading::NoDecision,
            _ => Reading::Malformed,
        },
        _ => Reading::Malformed,
    }
}

impl ConsentSource for UsPrivacy {
    fn name(&self) -> &'static str {
        "usprivacy"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["usprivacy".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"usprivacy"), |value| self.read_one(value))
    }
}
