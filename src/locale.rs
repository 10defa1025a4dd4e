//! Texts of the pages for visitors, by language.
//!
//! Free of side effects. `config` reads the locale files; `consent_ui`, `html` and `proxy` use the
//! texts.

mod builtin;
mod negotiate;
mod texts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use icu_plurals::{PluralCategory, PluralRules};
use time::Date;

use crate::catalogue::{CookieLifetime, PurposeKind};

pub(crate) use builtin::FILES;
pub(crate) use texts::{CategoryTexts, ErrorTexts, ErrorTopic, LocaleFile, Texts};

/// One language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    /// The language tag (RFC 5646), such as `pt-BR`, used in the `lang` attribute.
    pub tag: String,
    /// The texts of the pages.
    pub texts: Texts,
    categories: BTreeMap<String, CategoryTexts>,
    errors: BTreeMap<ErrorTopic, ErrorTexts>,
    months: Vec<String>,
    lifetimes: BTreeMap<String, BTreeMap<String, String>>,
    kinds: BTreeMap<String, String>,
}

impl Locale {
    /// A language from a file, on top of existing texts of the language.
    ///
    /// # Errors
    /// Returns the keys that are in neither.
    pub fn new(tag: &str, file: LocaleFile, below: Option<&Self>) -> Result<Self, Vec<String>> {
        let mut missing = Vec::new();
        let texts = file.over(below.map(|below| &below.texts), &mut missing);
        let months = file.months.or_else(|| below.map(|below| below.months.clone()));
        let months = months.unwrap_or_default();
        if months.len() != 12 {
            missing.push("months (twelve of them)".to_owned());
        }
        let mut categories = below.map(|below| below.categories.clone()).unwrap_or_default();
        categories.extend(file.category);
        for name in ["necessary", "functional", "analytics", "targeting", "social"] {
            if !categories.contains_key(name) {
                missing.push(format!("category.{name}"));
            }
        }
        let mut lifetimes = below.map(|below| below.lifetimes.clone()).unwrap_or_default();
        lifetimes.extend(file.lifetime);
        let mut kinds = below.map(|below| below.kinds.clone()).unwrap_or_default();
        kinds.extend(file.kind);
        let mut errors = below.map(|below| below.errors.clone()).unwrap_or_default();
        errors.extend(file.error);
        if missing.is_empty() {
            let tag = tag.to_owned();
            Ok(Self { tag, texts, categories, errors, months, lifetimes, kinds })
        } else {
            Err(missing)
        }
    }

    /// A date in the format of the language.
    pub fn date(&self, date: Date) -> String {
        let month = usize::from(u8::from(date.month())).saturating_sub(1);
        let month = self.months.get(month).map(String::as_str).unwrap_or_default();
        let day = match date.day() {
            1 if !self.texts.first_day.is_empty() => self.texts.first_day.clone(),
            day => day.to_string(),
        };
        let year = date.year().to_string();
        fill(&self.texts.date, &[("day", &day), ("month", month), ("year", &year)]).into_owned()
    }

    /// A lifetime in words. `None` if the language has no texts for the unit.
    pub(crate) fn lifetime(&self, lifetime: CookieLifetime) -> Option<Cow<'_, str>> {
        let (count, unit) = match lifetime {
            CookieLifetime::Session => return Some(Cow::Borrowed(&self.texts.session)),
            CookieLifetime::Persistent => return Some(Cow::Borrowed(&self.texts.persistent)),
            CookieLifetime::Span(count, unit) => (count, unit),
        };
        let texts = self.lifetimes.get(unit.name());
        let text = |category: &str| texts.and_then(|texts| texts.get(category));
        let text = text(plural(&self.tag, count)).or_else(|| text("other"));
        Some(fill(text?, &[("count", &count.to_string())]))
    }

    /// The text of a kind of purpose, if the language has one.
    pub(crate) fn kind(&self, kind: PurposeKind) -> Option<&str> {
        self.kinds.get(kind.name()).map(String::as_str)
    }

    /// Title and description of a category. A custom category without texts gets its name as the
    /// title.
    pub fn category<'a>(&'a self, name: &str) -> Cow<'a, CategoryTexts> {
        if let Some(texts) = self.categories.get(name) {
            return Cow::Borrowed(texts);
        }
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let title = first.into_iter().chain(letters.map(|c| if c == '_' { ' ' } else { c }));
        Cow::Owned(CategoryTexts { title: title.collect(), description: String::new() })
    }

    /// Category titles as a list, with the language's separator.
    pub fn list<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> String {
        let names: Vec<_> =
            names.into_iter().map(|name| self.category(name).title.clone()).collect();
        let wide = self.tag.starts_with("zh") || self.tag.starts_with("ja");
        names.join(if wide { "、" } else { ", " })
    }
}

/// The plural category of a count in a language (Unicode TR 35, part 3). `other` for unknown languages.
fn plural(tag: &str, count: u32) -> &'static str {
    let rules = tag.parse::<icu_locale_core::Locale>().ok();
    let rules = rules.and_then(|locale| PluralRules::try_new_cardinal(locale.into()).ok());
    match rules.map(|rules| rules.category_for(count)) {
        Some(PluralCategory::Zero) => "zero",
        Some(PluralCategory::One) => "one",
        Some(PluralCategory::Two) => "two",
        Some(PluralCategory::Few) => "few",
        Some(PluralCategory::Many) => "many",
        Some(PluralCategory::Other) | None => "other",
    }
}

/// Replaces the placeholders of a text, such as `{date}`, with values.
pub(crate) fn fill<'a>(text: &'a str, values: &[(&str, &str)]) -> Cow<'a, str> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, remainder)) = after.split_once('}') else { break };
        filled.push_str(before);
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled.push_str(value),
            None => {
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
        }
        rest = remainder;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    filled.push_str(rest);
    Cow::Owned(filled)
}

/// The languages of a site.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Locales {
    /// Sorted by tag.
    all: Vec<Arc<Locale>>,
    /// Index of the site's default language.
    default: usize,
}

impl Locales {
    /// These languages, with a default. `None` if the default is not among them.
    pub fn new(mut all: Vec<Arc<Locale>>, default: &str) -> Option<Self> {
        all.sort_by(|a, b| a.tag.cmp(&b.tag));
        let default = all.iter().position(|locale| locale.tag.eq_ignore_ascii_case(default))?;
        Some(Self { all, default })
    }

    /// Every language, by tag.
    pub fn all(&self) -> &[Arc<Locale>] {
        &self.all
    }

    /// The tag of the site's default language.
    pub fn default_tag(&self) -> &str {
        self.all.get(self.default).map_or("", |locale| &locale.tag)
    }

    /// The language for a visitor: the one in a link, else the best match for `Accept-Language`
    /// (RFC 9110 section 12.5.4), else the site's default.
    pub fn choose(
        &self,
        requested: Option<&str>,
        accept_language: Option<&str>,
    ) -> Option<&Arc<Locale>> {
        let tags = || self.all.iter().map(|locale| locale.tag.as_str());
        requested
            .and_then(|requested| negotiate::lookup(requested, tags()))
            .or_else(|| negotiate::negotiate(accept_language?, tags()))
            .map_or_else(|| self.all.get(self.default), |position| self.all.get(position))
    }

    /// The texts of an error page for a visitor, and their language. English if the visitor's
    /// language has no texts for the topic.
    pub fn choose_error(
        &self,
        topic: ErrorTopic,
        requested: Option<&str>,
        accept_language: Option<&str>,
    ) -> Option<(&Locale, &ErrorTexts)> {
        let chosen = self.choose(requested, accept_language).into_iter();
        let english = self.all.iter().filter(|locale| locale.tag == "en");
        chosen.chain(english).find_map(|locale| Some((&**locale, locale.errors.get(&topic)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_other_text_is_unchanged() {
        assert_eq!(fill("on {date}.", &[("date", "1 May")]), "on 1 May.");
        assert_eq!(fill("{a}{b}{a}", &[("a", "{b}"), ("b", "2")]), "{b}2{b}");
        assert_eq!(fill("nothing", &[("a", "1")]), "nothing");
        for text in ["{unknown}", "{", "}", "{}", "a {b", "a} {b", "{a}{b"] {
            assert_eq!(fill(text, &[("b", "2")]), text);
        }
        assert_eq!(fill("{b} {b", &[("b", "2")]), "2 {b");
    }
}
