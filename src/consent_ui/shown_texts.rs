//! Texts shown to a visitor, identified by a hash for the receipt.

use std::collections::HashMap;

use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::config::settings;
use crate::consent::ConsentReader;
use crate::locale::{Locale, Texts};
use crate::receipts::{ShownTexts, hex};

/// The version of consentry, which also determines the markup.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All texts of the banner, preference centre and notice in one language, except observed cookies.
#[derive(Serialize)]
struct AllTexts<'a> {
    version: &'a str,
    site: &'a str,
    language: &'a str,
    notice_date: Option<String>,
    earlier_notices: Vec<String>,
    operator: &'a settings::SiteOperator,
    purposes: Vec<ShownPurpose<'a>>,
    texts: &'a Texts,
}

#[derive(Serialize)]
struct ShownPurpose<'a> {
    category: &'a str,
    title: String,
    description: String,
}

/// The texts of a site in one language as a JSON line, and their version and hash.
pub(crate) fn shown_texts(
    site: &str,
    settings: &settings::CentreSettings,
    reader: &ConsentReader,
    locale: &Locale,
) -> (String, ShownTexts) {
    let purposes = reader.categories.iter().map(|(_, category)| {
        let texts = locale.category(category).into_owned();
        ShownPurpose { category, title: texts.title, description: texts.description }
    });
    let shown = AllTexts {
        version: VERSION,
        site,
        language: &locale.tag,
        notice_date: settings.notice_date.map(|date| date.to_string()),
        earlier_notices: settings.earlier_notices.iter().map(ToString::to_string).collect(),
        operator: &settings.operator,
        purposes: purposes.collect(),
        texts: &locale.texts,
    };
    // Cannot fail: all values are strings.
    let line = serde_json::to_string(&shown).unwrap_or_default();
    let sha256 = hex(digest(&SHA256, line.as_bytes()).as_ref());
    (line, ShownTexts { version: VERSION.to_owned(), sha256 })
}

/// The text versions of a site by language tag, for receipts.
#[derive(Debug, Default)]
pub(super) struct TextVersions(HashMap<String, ShownTexts>);

impl TextVersions {
    pub(super) fn new(
        site: &str,
        settings: &settings::CentreSettings,
        reader: &ConsentReader,
    ) -> Self {
        let all = settings.locales.all().iter().map(|locale| {
            let (_, texts) = shown_texts(site, settings, reader, locale);
            (locale.tag.clone(), texts)
        });
        Self(all.collect())
    }

    /// The value of a form's hidden field in a language. `None` if receipts are disabled.
    pub(super) fn field(&self, tag: &str) -> Option<String> {
        self.0.get(tag).map(|texts| format!("{}:{}", texts.version, texts.sha256))
    }

    /// The texts of a posted form in a language. Taken from its hidden field, because the config
    /// may have been reloaded since the page was served. Without a valid field: the current texts.
    pub(super) fn of_form(&self, tag: &str, field: Option<&str>) -> Option<ShownTexts> {
        field.and_then(parse).or_else(|| self.0.get(tag).cloned())
    }
}

fn parse(field: &str) -> Option<ShownTexts> {
    let (version, sha256) = field.split_once(':')?;
    let is_hash =
        sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    let is_version = (1..=32).contains(&version.len()) && version.bytes().all(plain);
    let texts = ShownTexts { version: version.to_owned(), sha256: sha256.to_owned() };
    (is_hash && is_version).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_identifies_its_texts_and_unknown_ids_mean_the_current_texts() {
        let current = ShownTexts { version: "2.0.0".to_owned(), sha256: "b".repeat(64) };
        let versions = TextVersions([("de".to_owned(), current.clone())].into());
        let earlier = ShownTexts { version: "1.0.0-rc.1+x".to_owned(), sha256: "0f".repeat(32) };
        let field = format!("{}:{}", earlier.version, earlier.sha256);
        assert_eq!(versions.of_form("de", Some(&field)), Some(earlier));
        assert_eq!(versions.of_form("de", versions.field("de").as_deref()), Some(current.clone()));
        let hash = "0f".repeat(32);
        for invalid in [
            "",
            ":",
            &hash,
            &format!(":{hash}"),
            &format!("1:{hash}0"),
            &format!("1:{}", hash.to_uppercase()),
            &format!("<b>:{hash}"),
            &format!("{}:{hash}", "1".repeat(33)),
        ] {
            assert_eq!(versions.of_form("de", Some(invalid)), Some(current.clone()), "{invalid}");
        }
        assert_eq!(versions.of_form("en", None), None);
    }
}
