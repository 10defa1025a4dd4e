//! Values that are checked when they are read: numbers, durations, dates and names.
//!
//! An error is a message. A second line of it is a hint.

use std::time::Duration;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{Date, Month};

/// A number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32")]
#[schemars(inline, extend("minimum" = LEAST, "maximum" = MOST))]
pub(in crate::config) struct Number<const LEAST: u32, const MOST: u32>(pub(in crate::config) u32);

impl<const LEAST: u32, const MOST: u32> TryFrom<u32> for Number<LEAST, MOST> {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match (LEAST..=MOST).contains(&number) {
            true => Ok(Self(number)),
            false => Err(format!("{number} is out of range ({LEAST} to {MOST})")),
        }
    }
}

impl<const LEAST: u32, const MOST: u32> Number<LEAST, MOST> {
    pub(in crate::config) fn get<N: TryFrom<u32> + Default>(self) -> N {
        N::try_from(self.0).unwrap_or_default()
    }
}

/// A duration of at least `LEAST` milliseconds: one or more numbers with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = pattern(LEAST), "x-minimum" = format!("{LEAST}ms")))]
pub(in crate::config) struct Time<const LEAST: u64>(pub(in crate::config) Duration);

/// The form of a duration. It allows more than the units that exist.
fn pattern(least: u64) -> &'static str {
    match least {
        0 => r"^(0|(\s*[0-9][0-9.\s]*[A-Za-zµ]+)+\s*)$",
        _ => r"^(?=.*[1-9])(\s*[0-9][0-9.\s]*[A-Za-zµ]+)+\s*$",
    }
}

/// A default.
pub(super) fn seconds<const LEAST: u64>(seconds: u64) -> Time<LEAST> {
    Time(Duration::from_secs(seconds))
}

impl<const LEAST: u64> TryFrom<String> for Time<LEAST> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match humantime::parse_duration(&text) {
            Ok(duration) if duration >= Duration::from_millis(LEAST) => Ok(Self(duration)),
            _ => {
                let above = if LEAST == 0 { "" } else { " above 0" };
                let hint = format!("a number{above} with a unit: \"500ms\", \"5s\", \"2m\"");
                Err(format!("`{text}` is not a duration\n{hint}"))
            }
        }
    }
}

impl<const LEAST: u64> Serialize for Time<LEAST> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}s", self.0.as_secs()))
    }
}

/// A date without a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "toml::value::Datetime")]
#[schemars(inline, with = "String", extend("format" = "date"))]
pub(in crate::config) struct Day(pub(in crate::config) Date);

impl Day {
    /// The date of the notice that defines consentry's categories.
    pub(in crate::config) const FIRST_NOTICE: Self =
        match Date::from_calendar_date(2018, Month::May, 25) {
            Ok(date) => Self(date),
            Err(_) => Self(Date::MIN),
        };
}

impl TryFrom<toml::value::Datetime> for Day {
    type Error = &'static str;

    fn try_from(typed: toml::value::Datetime) -> Result<Self, Self::Error> {
        let date = typed.date.filter(|_| typed.time.is_none()).and_then(|date| {
            let month = Month::try_from(date.month).ok()?;
            Date::from_calendar_date(i32::from(date.year), month, date.day).ok()
        });
        date.map(Self).ok_or("is not a date\nsuch as 2018-05-25, without quotes or time")
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The name of a cookie, of at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub(in crate::config) struct CookieName(pub(in crate::config) String);

impl TryFrom<String> for CookieName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wildcard = text.contains(['*', '{', '}']);
        let is_plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b';' | b',' | b'"');
        if !wildcard && !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain) {
            return Ok(Self(text));
        }
        let hint = if wildcard {
            "use a single name, without wildcards and placeholders"
        } else {
            "letters, digits, `-` and `_`, at most 64 of them"
        };
        Err(format!("`{text}` is not a cookie name\n{hint}"))
    }
}

/// The name of a cookie, or a pattern with one `*` after at least four characters. Shorter prefixes would match cookies
/// of other software.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub(in crate::config) struct CookiePattern(pub(in crate::config) String);

impl TryFrom<String> for CookiePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some((start, end)) = text.split_once('*') else {
            return CookieName::try_from(text).map(|name| Self(name.0));
        };
        CookieName::try_from(format!("{start}{end}"))?;
        if start.len() < 4 {
            let hint = "one `*`, after at least four characters";
            return Err(format!("`{text}` matches too many cookies\n{hint}"));
        }
        Ok(Self(text))
    }
}

/// The name of a header field (RFC 9110 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, with = "String")]
pub(in crate::config) struct FieldName(pub(in crate::config) HeaderName);

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = text.parse().map(Self);
        name.map_err(|_| format!("`{text}` is not a header field name"))
    }
}

/// The name of a request field that consentry may set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, with = "String")]
pub(in crate::config) struct OwnField(pub(in crate::config) HeaderName);

impl TryFrom<String> for OwnField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let FieldName(name) = FieldName::try_from(text.clone())?;
        let known = name.as_str();
        let used_names = TAKEN.split(' ').any(|name| name == known);
        if used_names || TAKEN_PREFIXES.iter().any(|start| known.starts_with(start)) {
            let hint = "use another name, such as \"X-Consent\"";
            return Err(format!("`{text}` has another meaning in requests\n{hint}"));
        }
        Ok(Self(name))
    }
}

/// Request fields with a defined meaning. A value of consentry's would be lost, or misinterpreted.
const TAKEN: &str = "\
    age authorization cache-control cdn-loop connection cookie cookie2 date dnt expect forwarded \
    from host http2-settings keep-alive link max-forwards origin pragma prefer priority range \
    referer set-cookie te trailer transfer-encoding traceparent tracestate upgrade \
    upgrade-insecure-requests user-agent via warning x-forwarded-by x-forwarded-client-cert \
    x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto \
    x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-forwarded-user x-real-ip \
    x-request-id";

/// Prefixes of such fields.
const TAKEN_PREFIXES: [&str; 6] =
    ["accept", "access-control-", "content-", "if-", "proxy-", "sec-"];
