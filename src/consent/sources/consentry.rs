//! The native consent cookie: `consentry=1~UNIX_SECONDS~NOTICE_DATE~CATEGORIES~RECEIPT`.

use ::cookie::Cookie;
use thiserror::Error;
use time::{Date, Month};

use crate::consent::source::{ConsentSource, Reading, SourceDecision};
use crate::consent::{Categories, Category, CategorySet, VendorSet};
use crate::cookie::Cookies;

/// A value longer than this, in octets, is not ours.
const MAX_VALUE_OCTETS: usize = 1024;

/// Reads the native cookie.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Native {
    /// The cookie's name.
    pub const COOKIE: &'static str = "consentry";
}

impl ConsentSource for Native {
    fn name(&self) -> &'static str {
        "consentry"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![Self::COOKIE.to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let mut copies = cookies.values(Self::COOKIE.as_bytes()).peekable();
        if copies.peek().is_none() {
            return Reading::NoDecision;
        }
        let readable: Vec<_> = copies
            .filter_map(|value| NativeCookie::parse(value, categories).ok())
            .map(|cookie| SourceDecision {
                granted: cookie.granted,
                denied: categories.all().difference(cookie.granted),
                decided_at: Some(cookie.decided_at),
                notice_date: Some(cookie.notice_date),
                refused_vendors: VendorSet::EMPTY,
                tool: None,
            })
            .collect();
        if readable.is_empty() { Reading::Malformed } else { Reading::Decisions(readable) }
    }
}

/// The content of a native consent cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeCookie {
    /// When the visitor decided, in Unix seconds.
    pub decided_at: i64,
    /// The date of the notice in force then.
    pub notice_date: Date,
    /// The granted categories; necessary is always in.
    pub granted: CategorySet,
    /// The receipt's id; may be empty.
    pub receipt: String,
}

/// Why a value is not a native consent cookie.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NativeCookieError {
    /// Not text, or longer than the longest we write.
    #[error("not ASCII text of at most {MAX_VALUE_OCTETS} octets")]
    NotText,
    /// Another number of `~` parts than five.
    #[error("not five parts separated by `~`")]
    Parts,
    /// Another version than 1.
    #[error("unknown version")]
    Version,
    /// The second part is not a time.
    #[error("the time is not a number of Unix seconds")]
    Time,
    /// The third part is not a date.
    #[error("the notice date is not YYYY-MM-DD")]
    NoticeDate,
    /// A category name has characters that no category has.
    #[error("the categories are not names joined by `+`")]
    Categories,
}

impl NativeCookie {
    /// Reads a cookie value. Categories that the site does not know are passed over.
    ///
    /// # Errors
    /// When the value is not of the form `1~UNIX_SECONDS~NOTICE_DATE~CATEGORIES~RECEIPT`.
    pub fn parse(value: &[u8], categories: &Categories) -> Result<Self, NativeCookieError> {
        if value.len() > MAX_VALUE_OCTETS || !value.is_ascii() {
            return Err(NativeCookieError::NotText);
        }
        let text = std::str::from_utf8(value).map_err(|_| NativeCookieError::NotText)?;
        // The `cookie` crate takes the quotes off that some servers put around a value.
        let cookie = Cookie::new(Native::COOKIE, text);
        let mut parts = cookie.value_trimmed().split('~');
        let mut part = || parts.next().ok_or(NativeCookieError::Parts);
        let (version, seconds, date, names, receipt) =
            (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(NativeCookieError::Parts);
        }
        if version != "1" {
            return Err(NativeCookieError::Version);
        }
        if !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NativeCookieError::Time);
        }
        let decided_at = seconds.parse().map_err(|_| NativeCookieError::Time)?;
        let mut granted = CategorySet::NECESSARY;
        for name in names.split('+').filter(|_| !names.is_empty()) {
            let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(NativeCookieError::Categories);
            }
            if let Some(category) = categories.find(name) {
                granted.insert(category);
            }
        }
        let notice_date = parse_date(date).ok_or(NativeCookieError::NoticeDate)?;
        Ok(Self { decided_at, notice_date, granted, receipt: receipt.to_owned() })
    }

    /// Writes the cookie as `NAME=VALUE`.
    pub fn render(&self, categories: &Categories) -> String {
        Cookie::new(Native::COOKIE, self.value(categories)).to_string()
    }

    /// Writes the cookie's value.
    pub fn value(&self, categories: &Categories) -> String {
        let names = categories.names_of(self.granted.difference(CategorySet::NECESSARY));
        let Self { decided_at, notice_date, receipt, .. } = self;
        format!("1~{decided_at}~{notice_date}~{}~{receipt}", names.join("+"))
    }

    /// Whether a category was granted.
    pub fn grants(&self, category: Category) -> bool {
        self.granted.contains(category)
    }
}

/// A date of the form `YYYY-MM-DD`, and no other.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    let digits = |range: std::ops::Range<usize>| -> Option<i32> {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let dashes = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    if text.len() != 10 || !dashes {
        return None;
    }
    let month = Month::try_from(u8::try_from(digits(5..7)?).ok()?).ok()?;
    Date::from_calendar_date(digits(0..4)?, month, u8::try_from(digits(8..10)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<NativeCookie, NativeCookieError> {
        NativeCookie::parse(value.as_bytes(), &Categories::default())
    }

    #[test]
    fn the_documented_example_reads_and_writes_itself() {
        let value = "1~1795500000~2018-05-25~functional+analytics~";
        let cookie = parse(value).expect("the example is valid");
        assert_eq!(cookie.decided_at, 1_795_500_000);
        assert!(cookie.grants(Category::FUNCTIONAL) && cookie.grants(Category::ANALYTICS));
        assert!(!cookie.grants(Category::TARGETING) && cookie.grants(Category::NECESSARY));
        assert_eq!(cookie.render(&Categories::default()), format!("consentry={value}"));
    }

    #[test]
    fn a_refusal_of_everything_is_a_decision() {
        let cookie = parse("1~1795500000~2018-05-25~~r-1").expect("valid");
        assert_eq!(cookie.granted, CategorySet::NECESSARY);
        assert_eq!(cookie.receipt, "r-1");
    }

    #[test]
    fn unknown_categories_are_passed_over() {
        let cookie = parse("1~1795500000~2018-05-25~analytics+video~").expect("valid");
        assert!(cookie.grants(Category::ANALYTICS));
    }

    #[test]
    fn what_is_not_of_the_form_is_malformed() {
        use NativeCookieError::*;
        let cases = [
            ("", Parts),
            ("1", Parts),
            ("1~1795500000~2018-05-25~analytics", Parts),
            ("1~1795500000~2018-05-25~analytics~~", Parts),
            ("2~1795500000~2018-05-25~analytics~", Version),
            ("1~now~2018-05-25~analytics~", Time),
            ("1~-1~2018-05-25~analytics~", Time),
            ("1~~2018-05-25~analytics~", Time),
            ("1~99999999999999999999~2018-05-25~analytics~", Time),
            ("1~1795500000~~analytics~", NoticeDate),
            ("1~1795500000~2018-13-25~analytics~", NoticeDate),
            ("1~1795500000~2018-W21-5~analytics~", NoticeDate),
            ("1~1795500000~2018-05-25~analytics+~", Categories),
            ("1~1795500000~2018-05-25~ANALYTICS~", Categories),
            ("1~1795500000~2018-05-25~analytics,social~", Categories),
            ("1~1795500000~2018-05-25~analytics~\u{e9}", NotText),
        ];
        for (value, error) in cases {
            assert_eq!(parse(value), Err(error), "{value}");
        }
    }
}
