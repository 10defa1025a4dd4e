//! Dates and times as text: calendar dates (`YYYY-MM-DD`) and RFC 3339. Cookie dates have their own
//! algorithm, in `cookie`.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// Parses a date in the form `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    // Every native consent cookie has a date. This is ten times as fast as the parser of `time`.
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number: u16, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
        })
    };
    let short = |digits: [u8; 2]| u8::try_from(number(&digits)?).ok();
    let month = Month::try_from(short([m1, m2])?).ok()?;
    Date::from_calendar_date(number(&[y1, y2, y3, y4])?.into(), month, short([d1, d2])?).ok()
}

/// Parses a time in RFC 3339 into Unix seconds.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

/// Parses Unix seconds, a date (its first second in UTC) or a time in RFC 3339 into Unix seconds.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let date = || parse_date(text).map(|date| date.midnight().assume_utc().unix_timestamp());
    text.parse().ok().or_else(date).or_else(|| parse_rfc3339(text))
}

/// Formats Unix seconds in RFC 3339. `None` for years beyond 9999.
pub(crate) fn rfc3339(at: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(at).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_four_two_and_two_digits_and_is_in_the_calendar() {
        for text in ["2018-05-25", "0000-01-01", "9999-12-31", "2024-02-29"] {
            assert_eq!(parse_date(text).map(|date| date.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "2018-5-25",
            "2018-05-25 ",
            "+018-05-25",
            "-018-05-25",
            "2018-13-25",
            "2018-02-29",
            "2018-00-01",
            "2018-W21-5",
            "20180525",
            "2018/05/25",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_unix_seconds_a_date_or_rfc_3339() {
        for (text, expected) in [
            ("1795500000", Some(1_795_500_000)),
            ("-1", Some(-1)),
            ("2026-11-24", Some(1_795_478_400)),
            ("2026-11-24T06:00:00Z", Some(1_795_500_000)),
            ("2026-11-24T07:00:00.5+01:00", Some(1_795_500_000)),
            ("2026-11-24T06:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
        assert_eq!(rfc3339(1_795_500_000).as_deref(), Some("2026-11-24T06:00:00Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
