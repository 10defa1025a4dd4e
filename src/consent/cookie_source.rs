//! Adapter for tools whose cookies each contain a whole decision. A tool's file has its cookie names, its default
//! categories, and a function that parses one value.

use super::category::{Categories, Category};
use super::source::{ConsentSource, Reading, SourceSettings};
use super::votes::IdMap;
use crate::cookie::Cookies;

/// Parses one value. `None` for a malformed value.
type ReadValue = fn(&CookieSource, &[u8], &Categories) -> Option<Reading>;

/// A source whose cookies each contain a whole decision.
#[derive(Debug)]
pub(super) struct CookieSource {
    name: &'static str,
    cookies: Vec<CookieMatcher>,
    pub(super) map: IdMap,
    pub(super) settings: SourceSettings,
    read: ReadValue,
}

/// The name of a cookie, or a pattern of names.
#[derive(Debug)]
pub(super) struct CookieMatcher {
    /// The name, in which placeholders stand for the part that varies.
    pattern: String,
    /// The literal start of the pattern.
    prefix: String,
    /// Whether the part after the prefix fits the pattern.
    is_rest: fn(&[u8]) -> bool,
}

impl CookieMatcher {
    /// A single name.
    pub(super) fn exact(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { prefix: name.clone(), pattern: name, is_rest: <[u8]>::is_empty }
    }

    /// A pattern of names. `is_rest` checks the part of a name from the first placeholder on.
    pub(super) fn pattern(pattern: &str, is_rest: fn(&[u8]) -> bool) -> Self {
        let prefix = pattern.split(['{', '*']).next().unwrap_or_default().to_owned();
        Self { pattern: pattern.to_owned(), prefix, is_rest }
    }

    /// The values of the cookies with such a name.
    pub(super) fn values<'a: 'n, 'n>(
        &'n self,
        cookies: &'n Cookies<'a>,
    ) -> impl Iterator<Item = &'a [u8]> + 'n {
        let named = cookies.beginning_with(self.prefix.as_bytes());
        named.filter(|(rest, _)| (self.is_rest)(rest)).map(|(_, value)| value)
    }

    /// The pattern of the name.
    pub(super) fn as_pattern(&self) -> String {
        self.pattern.clone()
    }
}

/// Whether the text is one or more digits.
pub(super) fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

impl CookieSource {
    pub(super) fn new(
        name: &'static str,
        cookies: impl IntoIterator<Item = CookieMatcher>,
        defaults: &[(&str, Category)],
        settings: &SourceSettings,
        read: ReadValue,
    ) -> Self {
        Self {
            name,
            cookies: cookies.into_iter().collect(),
            map: IdMap::new(defaults, &settings.map),
            settings: settings.clone(),
            read,
        }
    }
}

impl ConsentSource for CookieSource {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cookie_names(&self) -> Vec<String> {
        self.cookies.iter().map(CookieMatcher::as_pattern).collect()
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let copies = self.cookies.iter().flat_map(|name| name.values(cookies));
        Reading::of_copies(copies, |value| {
            (self.read)(self, value, categories).unwrap_or(Reading::Malformed)
        })
    }
}
