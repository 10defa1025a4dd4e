//! Pandectes: `_pandectes_gdpr`, base64 JSON. Only "allow" and "deny" apply to everything; "mixed"
//! counts as "deny".

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading};
use crate::consent::{Categories, common_formats, decode};
use crate::cookie::Cookies;

/// Reads Pandectes's cookie.
#[derive(Debug)]
pub(super) struct Pandectes;

impl ConsentSource for Pandectes {
    fn name(&self) -> &'static str {
        "pandectes"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["_pandectes_gdpr".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(b"_pandectes_gdpr"), |value| {
            let Some(entries) = decode::base64_object(value) else {
                return Reading::Malformed;
            };
            let granted = match entries.get("status").and_then(Value::as_str) {
                Some("allow") => true,
                // The categories of a mixed answer are in an undocumented bit mask.
                Some("deny" | "mixed") => false,
                _ => return Reading::Malformed,
            };
            common_formats::one_answer(
                granted,
                categories,
                entries.get("timestamp").and_then(decode::time),
            )
        })
    }
}
