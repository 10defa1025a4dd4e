//! Parser for cookie dates (RFC 6265bis section 5.1.1), as lenient as browsers.

use time::{Date, Month, Time};

/// Parses an `Expires` value into Unix seconds. `None` if browsers would ignore the value.
///
/// ```
/// assert_eq!(consentry::cookie::parse_cookie_date(b"Thu, 01 Jan 1970 00:00:09 GMT"), Some(9));
/// ```
pub fn parse_cookie_date(value: &[u8]) -> Option<i64> {
    if let Some(seconds) = parse_fixed_date(value) {
        return Some(seconds);
    }
    let mut clock = None;
    let mut day = None;
    let mut month = None;
    let mut year = None;
    for token in value.split(|byte| is_delimiter(*byte)) {
        let Some(initial) = token.first() else { continue };
        // Of the tokens that start with a letter, only the month matters. Weekday and zone are
        // ignored.
        if !initial.is_ascii_digit() {
            if month.is_none() {
                month = parse_month(token);
            }
        } else if clock.is_none()
            && let Some(found) = parse_clock(token)
        {
            clock = Some(found);
        } else if day.is_none()
            && let Some(found) = parse_number(token, 1, 2)
        {
            day = Some(found);
        } else if year.is_none()
            && let Some(found) = parse_number(token, 2, 4)
        {
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
    let date =
        Date::from_calendar_date(i32::try_from(year).ok()?, month?, u8::try_from(day?).ok()?);
    let time = Time::from_hms(hour, minute, second);
    Some(date.ok()?.with_time(time.ok()?).assume_utc().unix_timestamp())
}

/// Fast path for the common format `Wed, 24 Nov 2027 09:00:00 GMT` (RFC 9110 section 5.6.7), also
/// with dashes. Parsed by position.
pub(super) fn parse_fixed_date(value: &[u8]) -> Option<i64> {
    let [
        _,
        _,
        _,
        b',',
        b' ',
        d1,
        d2,
        s1,
        m1,
        m2,
        m3,
        s2,
        y1,
        y2,
        y3,
        y4,
        b' ',
        clock @ ..,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = value
    else {
        return None;
    };
    let [h1, h2, b':', n1, n2, b':', c1, c2] = clock else { return None };
    if !matches!((s1, s2), (b' ', b' ') | (b'-', b'-')) {
        return None;
    }
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| byte - b'0');
    let two = |tens: &u8, ones: &u8| Some(digit(tens)? * 10 + digit(ones)?);
    let year = i32::from(two(y1, y2)?) * 100 + i32::from(two(y3, y4)?);
    let month = parse_month(&[*m1, *m2, *m3])?;
    let date = Date::from_calendar_date(year, month, two(d1, d2)?).ok().filter(|_| year >= 1601)?;
    let time = Time::from_hms(two(h1, h2)?, two(n1, n2)?, two(c1, c2)?).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

/// Whether each token of a date is a word, a number or a time. Parsers agree on how to split such
/// dates.
pub(super) fn is_plain(value: &[u8]) -> bool {
    let all = |token: &[u8], of: fn(&u8) -> bool| token.iter().all(of);
    value.split(|byte| is_delimiter(*byte)).all(|token| {
        all(token, u8::is_ascii_alphabetic)
            || token.split(|byte| *byte == b':').all(|part| all(part, u8::is_ascii_digit))
    })
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// Parses a run of `least` to `most` digits, followed by a non-digit or the end.
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
    fn common_date_formats_are_parsed_and_garbage_is_rejected() {
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

    proptest::proptest! {
        #[test]
        fn the_positional_parser_agrees_with_the_token_parser_on_the_fixed_format(
            day in 0..40_u8, month in "(Jan|feb|MAR|Nov|Dec|Foo)", year in 1500..2500_u16,
            hour in 0..26_u8, minute in 0..70_u8, second in 0..70_u8, dash in "[ -]",
        ) {
            let text = format!("Wed, {day:02}{dash}{month}{dash}{year} {hour:02}:{minute:02}:{second:02} GMT");
            // The trailing delimiter only defeats the fast path.
            let by_token = parse_cookie_date(format!("{text};").as_bytes());
            proptest::prop_assert_eq!(parse_cookie_date(text.as_bytes()), by_token);
        }
    }
}
