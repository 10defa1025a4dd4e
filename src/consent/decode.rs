//! Decoders for the cookies of consent tools: percent-encoding, base64, JSON, times. Input is
//! bounded, types are strict, and invalid input yields `None`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use crate::http::parse_rfc3339;

/// Maximum length of a value, in bytes.
pub(super) const MAX_BYTES: usize = 8 * 1024;
/// Maximum nesting of JSON.
const MAX_DEPTH: usize = 16;

/// The value as UTF-8 text.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    if value.len() > MAX_BYTES {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// Percent-decodes the value once. `+` is not decoded.
pub(super) fn percent(value: &[u8]) -> Option<Cow<'_, str>> {
    // Fast path: most values have no escapes.
    if memchr::memchr(b'%', value).is_none() {
        return text(value).map(Cow::Borrowed);
    }
    if value.len() > MAX_BYTES {
        return None;
    }
    let mut decoded = Vec::with_capacity(value.len());
    decoded.extend(percent_decode(value));
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Parses percent-encoded or raw JSON. Deeply nested JSON and JSON with duplicate keys are invalid,
/// because duplicate keys are ambiguous.
pub(super) fn json(value: &[u8]) -> Option<Value> {
    decoded_json(&percent(value)?, value)
}

/// Like [`json`], for a value that is percent-decoded already.
pub(super) fn decoded_json(decoded: &str, value: &[u8]) -> Option<Value> {
    parse_json(decoded).or_else(|| parse_json(text(value)?))
}

/// Parses a percent-encoded or raw JSON object.
pub(super) fn object(value: &[u8]) -> Option<Map<String, Value>> {
    entries(json(value)?)
}

/// Parses a JSON object in base64, with or without padding or percent-encoding.
pub(super) fn base64_object(value: &[u8]) -> Option<Map<String, Value>> {
    entries(base64_json(value)?)
}

fn entries(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(entries) => Some(entries),
        _ => None,
    }
}

/// Parses JSON in base64, with or without padding or percent-encoding.
pub(super) fn base64_json(value: &[u8]) -> Option<Value> {
    parse_json(&base64_text(percent(value)?.as_bytes())?)
}

/// Decodes base64 text, with or without padding.
pub(super) fn base64_text(value: &[u8]) -> Option<String> {
    String::from_utf8(STANDARD_PAD_INDIFFERENT.decode(value).ok()?).ok()
}

/// Parses raw JSON.
pub(super) fn parse_json(text: &str) -> Option<Value> {
    let (mut depth, mut deepest, mut keys) = (0_usize, 0, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            b':' if !quoted => keys += 1,
            _ => {}
        }
    }
    if deepest > MAX_DEPTH {
        return None;
    }
    // Parsing drops duplicate keys, so that fewer keys remain than colons.
    serde_json::from_str(text).ok().filter(|value| count_keys(value) == keys)
}

fn count_keys(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_keys).sum(),
        Value::Object(entries) => entries.values().map(|value| 1 + count_keys(value)).sum(),
        _ => 0,
    }
}

/// A JSON array that contains only strings.
pub(super) fn texts(list: &Value) -> Option<Vec<&str>> {
    list.as_array()?.iter().map(Value::as_str).collect()
}

/// A time in Unix seconds, from RFC 3339 text or a number of seconds, tenths of seconds or
/// milliseconds.
pub(crate) fn time(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => time_text(text),
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)).and_then(unix)
        }
        _ => None,
    }
}

/// Like [`time`], for text.
pub(super) fn time_text(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(number) => unix(number),
        Err(_) => parse_rfc3339(text),
    }
}

fn unix(number: i64) -> Option<i64> {
    match number {
        ..=0 => None,
        1..=9_999_999_999 => Some(number),
        10_000_000_000..=99_999_999_999 => Some(number / 10),
        _ => Some(number / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_parsed_encoded_or_raw_and_rejected_if_nested_duplicated_or_truncated() {
        assert_eq!(json(b"%7B%22a%22%3Atrue%7D"), Some(serde_json::json!({"a": true})));
        assert_eq!(json(b"{\"a\":\"x:y%20\"}"), Some(serde_json::json!({"a": "x:y "})));
        assert_eq!(json(b"{\"a\":false,\"a\":true}"), None);
        assert_eq!(json(b"{\"a\":tr"), None);
        assert_eq!(json("[".repeat(17).as_bytes()), None);
        assert!(json(format!("{}{}", "[".repeat(16), "]".repeat(16)).as_bytes()).is_some());
        assert_eq!(json(&[b' '; 9000]), None);
        assert_eq!(base64_json(b"eyJhIjoxfQ"), Some(serde_json::json!({"a": 1})));
        assert_eq!(base64_json(b"eyJhIjoxfQ=="), Some(serde_json::json!({"a": 1})));
        assert_eq!(base64_json(b"*"), None);
    }

    #[test]
    fn times_are_parsed_in_every_unit_that_tools_use() {
        let at = Some(1_768_478_400);
        for text in [
            "1768478400",
            "17684784000",
            "1768478400000",
            "2026-01-15T12:00:00Z",
            "2026-01-15T13:00:00.000+01:00",
        ] {
            assert_eq!(time_text(text), at, "{text}");
        }
        assert_eq!(time_text("soon"), None);
        assert_eq!(time_text("-1"), None);
    }

    #[test]
    fn values_above_8_kib_and_json_deeper_than_16_are_rejected() {
        for (length, is_read) in [(8192, true), (8193, false)] {
            let value = format!("\"{}\"", "x".repeat(length - 2));
            assert_eq!(text(value.as_bytes()).is_some(), is_read, "{length}");
            assert_eq!(percent(value.as_bytes()).is_some(), is_read, "{length}");
            assert_eq!(json(value.as_bytes()).is_some(), is_read, "{length}");
        }
        for (depth, is_read) in [(16, true), (17, false)] {
            let lists = "[".repeat(depth) + &"]".repeat(depth);
            let objects = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
            assert_eq!(parse_json(&lists).is_some(), is_read, "{depth}");
            assert_eq!(parse_json(&objects).is_some(), is_read, "{depth}");
        }
    }
}
