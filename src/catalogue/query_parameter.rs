//! Query parameters that beacon rules require.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{Pattern, PatternError, glob};

/// A query parameter that a rule requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryParameter {
    /// The key, decoded.
    key: String,
    /// The decoded value and its form in lower case. `None` for any value.
    value: Option<[Pattern; 2]>,
}

impl QueryParameter {
    /// Parses `key`, or `key=value` with `*` and placeholders in the value. Both are decoded.
    ///
    /// # Errors
    /// When the value is not a valid pattern.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let (key, value) = split_parameter(text);
        let value = value.map(|value| {
            let folded = value.to_ascii_lowercase();
            Ok([Pattern::new(value)?, Pattern::new(&folded)?])
        });
        Ok(Self { key: key.to_owned(), value: value.transpose()? })
    }

    /// Whether a query has the parameter, as origins parse it. Decodes escapes, accepts `;` as a separator, and treats
    /// dots and spaces in keys like PHP.
    pub(super) fn is_in(&self, query: &str, ignore_case: bool) -> bool {
        let folded = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
        let php = |byte: u8| if matches!(byte, b'.' | b' ') { b'_' } else { folded(byte) };
        query.split(['&', ';']).any(|parameter| {
            let (key, value) = split_parameter(parameter);
            let key = form_decoded(key);
            let key = key.trim_ascii_start().iter().copied();
            key.map(php).eq(self.key.bytes().map(php))
                && self.value.as_ref().is_none_or(|[exact, lower]| {
                    let value = value.map(form_decoded).unwrap_or_default();
                    if ignore_case {
                        glob::matches(lower, &value.to_ascii_lowercase())
                    } else {
                        glob::matches(exact, &value)
                    }
                })
        })
    }
}

fn split_parameter(parameter: &str) -> (&str, Option<&str>) {
    parameter.split_once('=').map_or((parameter, None), |(key, value)| (key, Some(value)))
}

/// A part of a query, form-decoded.
pub(crate) fn form_decoded(part: &str) -> Cow<'_, [u8]> {
    if !part.contains(['%', '+']) {
        return Cow::Borrowed(part.as_bytes());
    }
    Cow::Owned(percent_decode_str(&part.replace('+', " ")).collect())
}
