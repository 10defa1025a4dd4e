//! What the pages for visitors say, in the visitor's language.
//!
//! Pure. The previous step, `config`, reads the files; the next, `centre` and `page`, fill the texts in.

mod builtin;
mod negotiate;
mod texts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use time::Date;

pub use builtin::FILES;
pub use texts::{CategoryTexts, LocaleFile, Texts};

/// One language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    /// The language tag (RFC 5646), such as `pt-BR`: what the `lang` attribute says.
    pub tag: String,
    /// What the pages say.
    pub texts: Texts,
    categories: BTreeMap<String, CategoryTexts>,
    months: Vec<String>,
}

impl Locale {
    /// A language from a file that has every text, over what is there already of that language.
    ///
    /// # Errors
    /// The keys that are in neither.
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
        if missing.is_empty() {
            Ok(Self { tag: tag.to_owned(), texts, categories, months })
        } else {
            Err(missing)
        }
    }

    /// A date in the form of the language.
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

    /// What a category is called and what it is for; one of the site's own that no file speaks of is
    /// called by its name.
    pub fn category<'a>(&'a self, name: &str) -> Cow<'a, CategoryTexts> {
        if let Some(texts) = self.categories.get(name) {
            return Cow::Borrowed(texts);
        }
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let title = first.into_iter().chain(letters.map(|c| if c == '_' { ' ' } else { c }));
        Cow::Owned(CategoryTexts { title: title.collect(), description: String::new() })
    }

    /// The names of categories in a row, as the language separates them.
    pub fn list<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> String {
        let names: Vec<_> =
            names.into_iter().map(|name| self.category(name).title.clone()).collect();
        let wide = self.tag.starts_with("zh") || self.tag.starts_with("ja");
        names.join(if wide { "、" } else { ", " })
    }
}

/// Puts values in the places of a text that are named for them, such as `{date}`.
pub fn fill<'a>(text: &'a str, values: &[(&str, &str)]) -> Cow<'a, str> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled.push_str(value),
            None => {
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
        }
        rest = behind;
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
    /// By tag.
    all: Vec<Arc<Locale>>,
    /// The place of the site's own language.
    default: usize,
}

impl Locales {
    /// These languages, of which one is the site's own; `None` when it is not among them.
    pub fn new(mut all: Vec<Arc<Locale>>, default: &str) -> Option<Self> {
        all.sort_by(|a, b| a.tag.cmp(&b.tag));
        let default = all.iter().position(|locale| locale.tag.eq_ignore_ascii_case(default))?;
        Some(Self { all, default })
    }

    /// Every language, by tag.
    pub fn all(&self) -> &[Arc<Locale>] {
        &self.all
    }

    /// The tag of the site's own language.
    pub fn default_tag(&self) -> &str {
        self.all.get(self.default).map_or("", |locale| &locale.tag)
    }

    /// The language for a visitor: what a link asks for, then what the browser asks for
    /// (`Accept-Language`, RFC 9110 section 12.5.4), then the site's own.
    pub fn choose(
        &self,
        asked: Option<&str>,
        accept_language: Option<&str>,
    ) -> Option<&Arc<Locale>> {
        let tags = || self.all.iter().map(|locale| locale.tag.as_str());
        asked
            .and_then(|asked| negotiate::lookup(asked, tags()))
            .or_else(|| negotiate::negotiate(accept_language?, tags()))
            .map_or_else(|| self.all.get(self.default), |place| self.all.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_their_places_and_nothing_else_changes() {
        assert_eq!(fill("on {date}.", &[("date", "1 May")]), "on 1 May.");
        assert_eq!(fill("{a}{b}{a}", &[("a", "{b}"), ("b", "2")]), "{b}2{b}");
        assert_eq!(fill("nothing", &[("a", "1")]), "nothing");
        assert_eq!(fill("{unknown} {", &[]), "{unknown} {}");
    }
}
