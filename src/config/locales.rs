//! Languages of the pages for visitors: the built-in ones, overridden by the files of a directory.

use std::path::Path;
use std::sync::Arc;

use super::document::{Ctx, read};
use super::raw::RawCentre;
use super::watched_file::WatchedFile;
use crate::locale::{FILES, Locale, LocaleFile, Locales};

/// Loads the built-in languages. The files of the configured directory override them and add further languages.
pub(super) fn locales(document: Ctx, centre: &RawCentre, folder: &Path) -> Locales {
    let mut all = Vec::new();
    for (tag, text) in FILES {
        let built_in = format!("{tag}.toml (built in)");
        all.extend(one(document, &built_in, text, tag, None).map(Arc::new));
    }
    if let Some(typed) = &centre.locales {
        let path = folder.join(typed.get_ref());
        if let Err(error) = add_folder(document, &path, &mut all) {
            document.wrong(typed, format!("`{}`: {error}", path.display()), None);
        }
    }
    let tags: Vec<&str> = all.iter().map(|locale| locale.tag.as_str()).collect();
    let tags = tags.join(", ");
    let language = centre.language.get_ref();
    Locales::new(all.clone(), language)
        .or_else(|| {
            let message = format!("unknown language `{language}`");
            document.wrong(&centre.language, message, Some(&format!("the languages are {tags}")));
            Locales::new(all, RawCentre::default().language.get_ref())
        })
        .unwrap_or_default()
}

fn add_folder(document: Ctx, folder: &Path, all: &mut Vec<Arc<Locale>>) -> Result<(), String> {
    document.files.push(WatchedFile::new(folder));
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
    let mut paths = entries.map_err(|error| format!("cannot read the folder: {error}"))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    for path in paths {
        let text = document.read_text(&path)?;
        let tag = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let tag = tag.unwrap_or_default();
        let at = all.iter().position(|locale| locale.tag.eq_ignore_ascii_case(&tag));
        let below = at.and_then(|at| all.get(at)).cloned();
        let file = path.display().to_string();
        let Some(locale) = one(document, &file, &text, &tag, below.as_deref()) else { continue };
        match at.and_then(|at| all.get_mut(at)) {
            Some(slot) => *slot = Arc::new(locale),
            None => all.push(Arc::new(locale)),
        }
    }
    Ok(())
}

/// Parses the language of a file. Problems are added to `document`.
fn one(document: Ctx, file: &str, text: &str, tag: &str, below: Option<&Locale>) -> Option<Locale> {
    let (mut read, texts) = read::<LocaleFile>(file, text);
    let plain = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if tag.is_empty() || !plain {
        let message = format!("`{tag}` is not a language tag");
        let hint = Some("use a file name such as de.toml or pt-BR.toml");
        read.problem(None, String::new(), message, hint);
    }
    if !read.problems.is_empty() {
        document.problems.append(&mut read.problems);
        return None;
    }
    let tag = below.map_or(tag, |below| &below.tag);
    match Locale::new(tag, texts, below) {
        Ok(locale) => Some(locale),
        Err(missing) => {
            for key in missing {
                read.problem(None, key, "is missing", None);
            }
            document.problems.append(&mut read.problems);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{LifetimeUnit, PurposeKind};
    use crate::config::raw::Raw;
    use std::collections::BTreeSet;
    use time::{Date, Month};

    fn built_in() -> Vec<(&'static str, LocaleFile)> {
        FILES
            .iter()
            .map(|(tag, text)| {
                let (read, texts) = read::<LocaleFile>(tag, text);
                assert!(read.problems.is_empty(), "{tag}: {:?}", read.problems);
                (*tag, texts)
            })
            .collect()
    }

    /// The placeholders in a text.
    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
    }

    #[test]
    fn every_language_translates_every_text_with_the_same_placeholders() {
        let all = built_in();
        let (_, english) = all.iter().find(|(tag, _)| *tag == "en").expect("English");
        let english_texts = english.present();
        for (tag, file) in &all {
            let texts = file.present();
            for (name, text) in &english_texts {
                let translated = texts.get(name).unwrap_or_else(|| panic!("{tag} has no {name}"));
                assert!(!translated.trim().is_empty(), "{tag} {name}");
                if *name != "date" {
                    assert_eq!(placeholders(translated), placeholders(text), "{tag} {name}");
                    // A single word may be the same in two languages (Name, Cookies). A sentence may not.
                    let words = text.split_whitespace().count();
                    assert!(
                        *tag == "en" || words < 3 || translated != text,
                        "{tag} {name} is English"
                    );
                }
            }
            assert_eq!(placeholders(texts["date"]), ["day", "month", "year"].into(), "{tag}");
            for kind in PurposeKind::ALL {
                let text = file.kind.get(kind.name()).unwrap_or_else(|| panic!("{tag}: {kind:?}"));
                assert!(*tag == "en" || *text != english.kind[kind.name()], "{tag}: {kind:?}");
            }
            assert_eq!(file.kind.len(), PurposeKind::ALL.len(), "{tag}");
            for unit in LifetimeUnit::ALL.map(LifetimeUnit::name) {
                let texts = &file.lifetime[unit];
                assert!(texts.contains_key("other"), "{tag}: {unit}");
                assert!(texts.values().all(|text| text.contains("{count}")), "{tag}: {unit}");
            }
            for (name, category) in &english.category {
                let translated =
                    file.category.get(name).unwrap_or_else(|| panic!("{tag} has no {name}"));
                assert!(
                    !translated.description.is_empty() && !translated.title.is_empty(),
                    "{tag} {name}"
                );
                assert!(
                    *tag == "en" || translated.description != category.description,
                    "{tag} {name}"
                );
            }
            assert_eq!(file.category.len(), english.category.len(), "{tag}");
            for (topic, error) in &english.error {
                let translated =
                    file.error.get(topic).unwrap_or_else(|| panic!("{tag}: {topic:?}"));
                assert!(
                    !translated.title.is_empty() && !translated.text.is_empty(),
                    "{tag}: {topic:?}"
                );
                assert!(
                    *tag == "en" || translated.text != error.text,
                    "{tag}: {topic:?} is English"
                );
            }
            assert_eq!(file.error.len(), 9, "{tag}");
            // English words that no other language contains.
            let other_locale: Vec<&str> = texts
                .values()
                .chain(
                    file.category
                        .values()
                        .flat_map(|c| [&c.title, &c.description])
                        .map(|t| t.as_str())
                        .chain(
                            file.error
                                .values()
                                .flat_map(|e| [&e.title, &e.text])
                                .map(|t| t.as_str()),
                        )
                        .collect::<Vec<_>>()
                        .iter(),
                )
                .flat_map(|text| text.split(|c: char| !c.is_alphabetic()))
                .filter(|word| {
                    ["the", "your", "you", "this", "with", "and", "are", "choice"].contains(word)
                })
                .collect();
            assert!(*tag == "en" || other_locale.is_empty(), "{tag}: {other_locale:?}");
        }
    }

    #[test]
    fn dates_have_the_form_of_the_language() {
        let (mut document, raw) = read::<Raw>("test", "");
        let locales = locales(&mut document, &raw.centre, Path::new(""));
        let may = Date::from_calendar_date(2018, Month::May, 25).expect("a date");
        let first = Date::from_calendar_date(2026, Month::March, 1).expect("a date");
        for (tag, expected, expected_first) in [
            ("de", "25. Mai 2018", "1. März 2026"),
            ("en", "25 May 2018", "1 March 2026"),
            ("es", "25 de mayo de 2018", "1 de marzo de 2026"),
            ("fr", "25 mai 2018", "1er mars 2026"),
            ("hu", "2018. május 25.", "2026. március 1."),
            ("it", "25 maggio 2018", "1º marzo 2026"),
            ("ja", "2018年5月25日", "2026年3月1日"),
            ("ko", "2018년 5월 25일", "2026년 3월 1일"),
            ("nl", "25 mei 2018", "1 maart 2026"),
            ("pl", "25 maja 2018", "1 marca 2026"),
            ("pt-BR", "25 de maio de 2018", "1º de março de 2026"),
            ("ru", "25 мая 2018 г.", "1 марта 2026 г."),
            ("zh", "2018年5月25日", "2026年3月1日"),
        ] {
            let locale = locales.choose(Some(tag), None).expect("there");
            assert_eq!((locale.tag.as_str(), locale.date(may).as_str()), (tag, expected));
            assert_eq!(locale.date(first), expected_first);
        }
    }

    #[test]
    fn a_locale_folder_overrides_texts_adds_languages_and_reports_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written")
        };
        write("de.toml", "banner_title = \"Kekse\"\n[category.video]\ntitle = \"Videos\"");
        write("sv.toml", "name = \"Svenska\"");
        write("en.toml", "banner_titel = \"Biscuits\"");
        write("notes.txt", "not read");
        let text = "centre = { locales = '.', language = 'xx' }";
        let (mut document, raw) = read::<Raw>("consentry.toml", text);
        let locales = locales(&mut document, &raw.centre, folder.path());
        let german = locales.choose(Some("de"), None).expect("there");
        assert_eq!(german.texts.banner_title, "Kekse");
        assert_eq!(german.texts.save, "Auswahl speichern");
        assert_eq!(german.category("video").title, "Videos");
        assert_eq!(german.category("my_own").title, "My own");
        let problems: Vec<String> = document.problems.iter().map(ToString::to_string).collect();
        let all = problems.join("\n");
        assert!(all.contains("sv.toml") && all.contains("banner_title"), "{all}");
        assert!(all.contains("en.toml:1") && all.contains("did you mean `banner_title`"), "{all}");
        assert!(all.contains("centre.language") && all.contains("unknown language `xx`"), "{all}");
    }
}
