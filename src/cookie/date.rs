//! The cookie-date algorithm of RFC 6265bis section 5.1.1: as forgiving as browsers are.

use time::{Date, Month, Time};

/// Reads an `Expires` value into Unix seconds, or `None` where a browser would ignore it.
///
/// ```
/// assert_eq!(consentry::cookie::parse_cookie_date(b"Thu, 01 Jan 1970 00:00:09 GMT"), Some(9));
/// ```
pub fn parse_cookie_date(value: &[u8]) -> Option<i64> {
    let mut clock = None;
    let mut day = None;
    let mut month = None;
    let mut year = None;
    for token in value.split(|byte| is_delimiter(*byte)) {
        let Some(initial) = token.first() else { continue };
        // Only the month begins with a letter that counts; the zone and the weekday say nothing.
        if !initial.is_ascii_digit() {
            if month.is_none() {
                month = parse_month(token);
            }
        } else if clock.is_none() && let Some(found) = parse_clock(token) {
            clock = Some(found);
        } else if day.is_none() && let Some(found) = parse_number(token, 1, 2) {
            day = Some(found);
        } else if year.is_none() && let Some(found) = parse_number(token, 2, 4) {
            year = Some(found);
        }
    }
    let year = match year? {
        short @ 70..=99 => short + 1900,
        short @ 0..=69 => short + 2000,
        full @ 1601.. => full,
        _ => return None,
    };
    let (hour, minute, second) = clock?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month?, u8::try_from(day?).ok()?);
    let time = Time::from_hms(hour, minute, second);
    Some(date.ok()?.with_time(time.ok()?).assume_utc().unix_timestamp())
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// A run of `least` to `most` digits, then a non-digit or the end.
fn parse_number(token: &[u8], least: usize, most: usize) -> Option<u32> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(least..=most).contains(&digits) {
        return None;
    }
    Some(token.iter().take(digits).fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

fn parse_clock(token: &[u8]) -> Option<(u8, u8, u8)> {
    let mut fields = token.splitn(3, |byte| *byte == b':');
    let mut next = |last: bool| -> Option<u8> {
        let field = fields.next()?;
        let number = parse_number(field, 1, 2)?;
        let clean = field.iter().all(u8::is_ascii_digit);
        (last || clean).then(|| u8::try_from(number).ok())?
    };
    Some((next(false)?, next(false)?, next(true)?))
}

fn parse_month(token: &[u8]) -> Option<Month> {
    const NAMES: [(&[u8], Month); 12] = [
        (b"jan", Month::January),
        (b"feb", Month::February),
        (b"mar", Month::March),
        (b"apr", Month::April),
        (b"may", Month::May),
        (b"jun", Month::June),
        (b"jul", Month::July),
        (b"aug", Month::August),
        (b"sep", Month::September),
        (b"oct", Month::October),
        (b"nov", Month::November),
        (b"dec", Month::December),
    ];
    let head = token.get(..3)?;
    NAMES.iter().find(|(name, _)| head.eq_ignore_ascii_case(name)).map(|(_, month)| *month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_seen_in_the_wild_are_read_and_nonsense_is_not() {
        let cases: &[(&str, Option<i64>)] = &[
            ("Wed, 24 Nov 2027 09:00:00 GMT", Some(1_827_046_800)),
            ("Wed, 24-Nov-2027 09:00:00 GMT", Some(1_827_046_800)),
            ("Wednesday, 24-Nov-27 09:00:00 GMT", Some(1_827_046_800)),
            ("Wed Nov 24 09:00:00 2027", Some(1_827_046_800)),
            ("24 nov 2027 9:0:0", Some(1_827_046_800)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("01-Jan-69 00:00:00", Some(3_124_224_000)),
            ("Thu, 01 Jan 1600 00:00:00 GMT", None),
            ("Thu, 31 Feb 2027 00:00:00 GMT", None),
            ("Thu, 01 Jan 2027 24:00:00 GMT", None),
            ("Thu, 01 Jan 2027", None),
            ("0", None),
            ("-1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_cookie_date(text.as_bytes()), *expected, "{text}");
        }
    }
}
