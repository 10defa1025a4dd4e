//! Lifetimes of cookies, from catalogue files and from `Set-Cookie` lines.

/// The lifetime of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieLifetime {
    /// Until the browser is closed.
    Session,
    /// Until the visitor deletes it.
    Persistent,
    /// A count of a unit.
    Span(u32, LifetimeUnit),
}

/// The unit of a lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeUnit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// 24 hours.
    Days,
    /// A calendar month.
    Months,
    /// A calendar year.
    Years,
}

impl LifetimeUnit {
    /// All units.
    pub const ALL: [Self; 5] = [Self::Minutes, Self::Hours, Self::Days, Self::Months, Self::Years];

    /// The name in locale files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
            Self::Months => "months",
            Self::Years => "years",
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A twelfth of 365.25 days.
const MONTH: u64 = 2_629_800;

impl CookieLifetime {
    /// Parses `session`, `persistent`, or a number with a unit such as `13 months`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "session" => return Some(Self::Session),
            "persistent" => return Some(Self::Persistent),
            _ => {}
        }
        let (number, unit) = text.split_once(' ')?;
        let number: u32 = number.parse().ok()?;
        let unit = match unit.strip_suffix('s').unwrap_or(unit) {
            "second" => return Some(Self::of_seconds(i64::from(number))),
            "minute" => LifetimeUnit::Minutes,
            "hour" => LifetimeUnit::Hours,
            "day" => LifetimeUnit::Days,
            "week" => return Some(Self::Span(number.checked_mul(7)?, LifetimeUnit::Days)),
            "month" => LifetimeUnit::Months,
            "year" => LifetimeUnit::Years,
            _ => return None,
        };
        Some(Self::Span(number, unit))
    }

    /// The lifetime of so many seconds, in the unit that people would use: 34,128,000 seconds are 13 months.
    pub fn of_seconds(seconds: i64) -> Self {
        let seconds = u64::try_from(seconds).unwrap_or(0).max(1);
        let (size, unit) = match seconds {
            0..HOUR => (MINUTE, LifetimeUnit::Minutes),
            HOUR..172_800 => (HOUR, LifetimeUnit::Hours),
            172_800..5_184_000 => (DAY, LifetimeUnit::Days),
            _ => {
                let months = (seconds + MONTH / 2) / MONTH;
                if months.is_multiple_of(12) {
                    return Self::Span(narrow(months / 12), LifetimeUnit::Years);
                }
                return Self::Span(narrow(months), LifetimeUnit::Months);
            }
        };
        Self::Span(narrow(((seconds + size / 2) / size).max(1)), unit)
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_of_catalogue_files_are_parsed() {
        for (text, lifetime) in [
            ("session", Some(CookieLifetime::Session)),
            ("persistent", Some(CookieLifetime::Persistent)),
            ("1 day", Some(CookieLifetime::Span(1, LifetimeUnit::Days))),
            ("13 months", Some(CookieLifetime::Span(13, LifetimeUnit::Months))),
            ("2 weeks", Some(CookieLifetime::Span(14, LifetimeUnit::Days))),
            ("3 seconds", Some(CookieLifetime::Span(1, LifetimeUnit::Minutes))),
            ("up to 1 year", None),
            ("99999999999999999 years", None),
            ("", None),
        ] {
            assert_eq!(CookieLifetime::parse(text), lifetime, "{text}");
        }
    }

    #[test]
    fn seconds_are_printed_in_common_units() {
        for (seconds, count, unit) in [
            (-5, 1, LifetimeUnit::Minutes),
            (20, 1, LifetimeUnit::Minutes),
            (1800, 30, LifetimeUnit::Minutes),
            (3600, 1, LifetimeUnit::Hours),
            (86_400, 24, LifetimeUnit::Hours),
            (7 * 86_400, 7, LifetimeUnit::Days),
            (30 * 86_400, 30, LifetimeUnit::Days),
            (90 * 86_400, 3, LifetimeUnit::Months),
            (182 * 86_400, 6, LifetimeUnit::Months),
            (365 * 86_400, 1, LifetimeUnit::Years),
            (34_128_000, 13, LifetimeUnit::Months),
            (730 * 86_400, 2, LifetimeUnit::Years),
            (i64::MAX, u32::MAX, LifetimeUnit::Months),
        ] {
            let CookieLifetime::Span(shown, shown_unit) = CookieLifetime::of_seconds(seconds)
            else {
                panic!("{seconds} seconds are a span");
            };
            if seconds < i64::MAX {
                assert_eq!((shown, shown_unit), (count, unit), "{seconds}");
            }
        }
    }
}
