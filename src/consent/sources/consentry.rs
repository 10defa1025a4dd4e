//! The native consent cookie: `consentry=1~UNIX_SECONDS~NOTICE_DATE~CATEGORIES~RECEIPT`, or
//! `consentry=1~UNIX_SECONDS~NOTICE_DATE~CATEGORIES~RECEIPT~SIGNATURE` with signing keys.

use std::sync::Arc;

use thiserror::Error;
use time::Date;

use crate::consent::source::{ConsentSource, Reading, SourceDecision, Void};
use crate::consent::{Categories, CategorySet, CookieKeys, VendorSet};
use crate::cookie::Cookies;
use crate::http::parse_date;

/// Maximum length of a value, in bytes. Longer values are malformed.
const MAX_VALUE_BYTES: usize = 1024;
/// The length of a signature: 32 bytes in base64url without padding.
const SIGNATURE_LENGTH: usize = 43;

/// Reads the native cookie.
#[derive(Debug, Clone)]
pub struct Native {
    keys: Option<Arc<CookieKeys>>,
}

impl Native {
    /// The cookie's name.
    pub const COOKIE: &'static str = "consentry";

    /// A source. With keys, only signed cookies can grant anything.
    pub fn new(keys: Option<Arc<CookieKeys>>) -> Self {
        Self { keys }
    }

    fn read_one(&self, value: &[u8], categories: &Categories) -> Option<SourceDecision> {
        let cookie = NativeCookie::parse(value, categories);
        let signed = self.keys.as_ref().is_none_or(|keys| NativeCookie::is_signed(value, keys));
        let decision = |granted, denied, void| SourceDecision {
            granted,
            denied,
            decided_at: None,
            ends_at: None,
            notice_date: None,
            refused_vendors: VendorSet::EMPTY,
            tool: None,
            own: true,
            void,
        };
        match cookie {
            Ok(cookie) => Some(SourceDecision {
                decided_at: Some(cookie.decided_at),
                notice_date: Some(cookie.notice_date),
                ..decision(
                    cookie.granted,
                    categories.all().difference(cookie.granted),
                    (!signed).then_some(Void::Unsigned),
                )
            }),
            // The malformed cookie may have overwritten a refusal, so the default must not apply.
            Err(_) if self.keys.is_some() => {
                Some(decision(CategorySet::NECESSARY, CategorySet::EMPTY, Some(Void::Unsigned)))
            }
            Err(_) => None,
        }
    }
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
        let mut readable: Vec<_> =
            copies.filter_map(|value| self.read_one(value, categories)).collect();
        if readable.iter().any(|decision| decision.void.is_none()) {
            // Unsigned copies are ignored next to a signed one.
            readable.retain(|decision| decision.void.is_none());
        }
        if readable.is_empty() { Reading::Malformed } else { Reading::Decisions(readable) }
    }
}

/// The content of a native consent cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeCookie {
    /// Time of the decision, in Unix seconds.
    pub decided_at: i64,
    /// Date of the notice at that time.
    pub notice_date: Date,
    /// The granted categories. Always includes necessary.
    pub granted: CategorySet,
    /// The receipt id. Empty without receipts, and for visitors who refused everything.
    pub receipt: String,
}

/// Why a value is not a valid native consent cookie.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NativeCookieError {
    /// Not ASCII text, or too long.
    #[error("not ASCII text of at most {MAX_VALUE_BYTES} bytes")]
    NotText,
    /// Not five parts separated by `~`, or six with a signature at the end.
    #[error("not five parts separated by `~`, with or without a signature")]
    Parts,
    /// The version is not 1.
    #[error("unknown version")]
    Version,
    /// The second part is not a valid time.
    #[error("the time is not a number of Unix seconds")]
    Time,
    /// The third part is not a valid date.
    #[error("the notice date is not YYYY-MM-DD")]
    NoticeDate,
    /// A category name has invalid characters.
    #[error("the categories are not names joined by `+`")]
    Categories,
}

impl NativeCookie {
    /// Parses a cookie value, signed or not, without checking the signature. Unknown categories are
    /// ignored.
    ///
    /// # Errors
    /// If the value does not have the form `1~UNIX_SECONDS~NOTICE_DATE~CATEGORIES~RECEIPT`.
    pub fn parse(value: &[u8], categories: &Categories) -> Result<Self, NativeCookieError> {
        let (content, _) = Self::split(value)?;
        let mut parts = content.split('~');
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

    /// Whether one of the keys signed the value.
    pub fn is_signed(value: &[u8], keys: &CookieKeys) -> bool {
        matches!(Self::split(value), Ok((content, Some(signature))) if keys.verify(content, signature))
    }

    /// Splits a value into its content and its signature, if any.
    fn split(value: &[u8]) -> Result<(&str, Option<&str>), NativeCookieError> {
        if value.len() > MAX_VALUE_BYTES || !value.is_ascii() {
            return Err(NativeCookieError::NotText);
        }
        let text = std::str::from_utf8(value).map_err(|_| NativeCookieError::NotText)?;
        // Some servers quote the value.
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        match text.rsplit_once('~') {
            Some((content, signature))
                if signature.len() == SIGNATURE_LENGTH && content.matches('~').count() == 4 =>
            {
                Ok((content, Some(signature)))
            }
            _ => Ok((text, None)),
        }
    }

    /// The cookie value, signed if there are keys.
    pub fn value(&self, categories: &Categories, keys: Option<&CookieKeys>) -> String {
        let names = categories.names_of(self.granted.difference(CategorySet::NECESSARY));
        let Self { decided_at, notice_date, receipt, .. } = self;
        let content = format!("1~{decided_at}~{notice_date}~{}~{receipt}", names.join("+"));
        match keys.and_then(|keys| keys.sign(&content)) {
            Some(signature) => format!("{content}~{signature}"),
            None => content,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Category;

    fn parse(value: &str) -> Result<NativeCookie, NativeCookieError> {
        NativeCookie::parse(value.as_bytes(), &Categories::default())
    }

    #[test]
    fn the_documented_example_round_trips() {
        let value = "1~1795500000~2018-05-25~functional+analytics~";
        let cookie = parse(value).expect("the example is valid");
        assert_eq!(cookie.decided_at, 1_795_500_000);
        let granted = [Category::NECESSARY, Category::FUNCTIONAL, Category::ANALYTICS];
        assert_eq!(cookie.granted, granted.into_iter().collect());
        assert_eq!(cookie.value(&Categories::default(), None), value);
        assert_eq!(parse(&format!("\"{value}\"")), Ok(cookie));
    }

    #[test]
    fn signed_cookies_parse_without_the_key_but_only_the_key_authenticates_them() {
        let keys = |letter: &str| CookieKeys::parse(&letter.repeat(32)).expect("a key");
        let (ours, other) = (keys("a"), keys("b"));
        let plain = "1~1795500000~2018-05-25~functional~r-1";
        let signed = parse(plain).expect("valid").value(&Categories::default(), Some(&ours));
        assert_eq!(signed.strip_prefix(plain).map(str::len), Some(1 + SIGNATURE_LENGTH));
        assert_eq!(parse(&signed), parse(plain));
        assert!(NativeCookie::is_signed(signed.as_bytes(), &ours));
        assert!(!NativeCookie::is_signed(signed.as_bytes(), &other));
        assert!(!NativeCookie::is_signed(plain.as_bytes(), &ours));
        let more = signed.replace("functional", "functional+social");
        assert!(!NativeCookie::is_signed(more.as_bytes(), &ours));
    }

    #[test]
    fn with_a_key_unsigned_copies_are_invalid_and_ignored_beside_a_signed_one() {
        let keys = Arc::new(CookieKeys::parse(&"a".repeat(32)).expect("a key"));
        let categories = Categories::default();
        let source = Native::new(Some(Arc::clone(&keys)));
        let read = |values: &[&str]| {
            let header = values.iter().map(|value| format!("consentry={value}"));
            let header = header.collect::<Vec<_>>().join("; ");
            match source.read(&Cookies::new([header.as_bytes()]), &categories) {
                Reading::Decisions(decisions) => decisions
                    .iter()
                    .map(|decision| (categories.names_of(decision.denied).len(), decision.void))
                    .collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        let plain = "1~1795500000~2018-05-25~functional~";
        let signed = parse(plain).expect("valid").value(&categories, Some(&keys));
        assert_eq!(read(&[&signed]), [(3, None)]);
        assert_eq!(read(&[plain]), [(3, Some(Void::Unsigned))], "its refusals are there");
        assert_eq!(read(&["junk"]), [(0, Some(Void::Unsigned))]);
        assert_eq!(read(&[plain, &signed, "junk"]), [(3, None)]);
        assert_eq!(
            Native::new(None).read(&Cookies::new([b"consentry=junk".as_slice()]), &categories),
            Reading::Malformed
        );
    }

    #[test]
    fn a_refusal_of_everything_is_a_decision() {
        let cookie = parse("1~1795500000~2018-05-25~~r-1").expect("valid");
        assert_eq!(cookie.granted, CategorySet::NECESSARY);
        assert_eq!(cookie.receipt, "r-1");
    }

    #[test]
    fn unknown_categories_are_ignored() {
        let cookie = parse("1~1795500000~2018-05-25~analytics+video~").expect("valid");
        assert!(cookie.granted.contains(Category::ANALYTICS));
    }

    #[test]
    fn invalid_values_are_malformed() {
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

    #[test]
    fn values_above_1_kib_are_rejected() {
        for (length, is_read) in [(1024, true), (1025, false)] {
            let start = "1~1795500000~2018-05-25~analytics~";
            let value = format!("{start}{}", "x".repeat(length - start.len()));
            let read = NativeCookie::parse(value.as_bytes(), &Categories::default());
            assert_eq!(read.is_ok(), is_read, "{length}");
        }
    }
}
