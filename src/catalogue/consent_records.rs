//! Detection of unclassified consent records. Consent records are necessary: without them, visitors
//! would be asked again on each page.
//!
//! The name must indicate consent (see `names`), and the value must not be a plain identifier. A
//! tracker could use the name `cookie_notice`, but a consent record contains a choice. Requests and
//! responses both contain name and value, so every replica reaches the same decision.

use super::generalize::is_uuid;
use super::names::{Kind, speaks_of};

/// Length of an alphanumeric identifier, in bytes.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 20..=42;
/// Minimum length of a hexadecimal identifier, and maximum number of digits of a time: microseconds
/// have 16.
const HEX_BYTES: usize = 16;
const MAX_TIME_DIGITS: usize = 16;

/// Whether an unclassified cookie is a consent record, by its name and, if known, its value.
pub fn is_consent_record(name: &[u8], value: Option<&[u8]>) -> bool {
    speaks_of(name) == Some(Kind::ConsentRecord) && !value.is_some_and(is_identifier)
}

/// Whether a value is a single identifier: a UUID, a hash, a random token, or two long numbers.
///
/// TC strings (IAB Europe) are longer than such tokens. Words and lists contain few digits.
fn is_identifier(value: &[u8]) -> bool {
    let value =
        value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is = |has: fn(&u8) -> bool| value.iter().all(has);
    let letters = digits < value.len();
    if is(u8::is_ascii_digit) {
        return digits > MAX_TIME_DIGITS;
    }
    if is(u8::is_ascii_hexdigit) {
        return letters && digits > 0 && value.len() >= HEX_BYTES;
    }
    if is(u8::is_ascii_alphanumeric) {
        return digits >= 3 && TOKEN_BYTES.contains(&value.len());
    }
    std::str::from_utf8(value).is_ok_and(|text| is_uuid(text) || is_number_pair(text))
}

/// A number and a time, as at the end of `GA1.1.1234567890.1700000000`.
fn is_number_pair(text: &str) -> bool {
    let mut parts = text.rsplit('.');
    let mut long = || {
        let part = parts.next().unwrap_or_default();
        part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    long() && long()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_records_are_distinguished_from_identifiers() {
        let record = |value: &str| is_consent_record(b"cookie_notice", Some(value.as_bytes()));
        for value in [
            "",
            "1",
            "true",
            "accepted",
            "\"yes\"",
            "1700000000",
            "1700000000000",
            "2026-11-25T10:00:00.000Z",
            "20261125T100000Z",
            "necessary%2Canalytics",
            "analytics-1_marketing-0",
            "%7B%22id%22%3A%223f2504e0-4f89-11d3-9a0c-0305e82c3301%22%2C%22analytics%22%3Afalse%7D",
            "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
            "allowfunctionalrefuseanalytics",
        ] {
            assert!(record(value), "{value}");
        }
        for value in [
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "\"3f2504e0-4f89-11d3-9a0c-0305e82c3301\"",
            "8f14e45fceea167a5a36dedd4bea2543",
            "8f14e45fceea167a",
            "8f14e45fceea167a5a36dedd4bea25438f14e45fceea167a5a36dedd4bea2543",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "GA1.1.1234567890.1700000000",
            "fb.1.1700000000000.1234567890",
            "123456789012345678901",
        ] {
            assert!(!record(value), "{value}");
        }
        assert!(is_consent_record(b"cookie_notice", None));
        assert!(!is_consent_record(b"gdpr_uid", Some(b"1")));
    }
}
