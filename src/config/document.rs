//! Fault-tolerant TOML deserialization, which reports all errors at once.
//!
//! serde stops at the first invalid value. Each such value is reported and removed from the parsed document, and
//! the rest is deserialized again.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::watched_file::WatchedFile;
use crate::config::spanned::Spanned;

/// Maximum number of reported problems.
const MAX_PROBLEMS: usize = 100;

/// A deserialized file and its problems.
pub(super) struct Document<'a, T> {
    pub(super) file: String,
    pub(super) text: &'a str,
    pub(super) value: T,
    pub(super) problems: Vec<Diagnostic>,
    /// The other files and directories that were read.
    pub(super) files: Vec<WatchedFile>,
    /// Keys that were removed because of invalid values. They do not count as missing.
    taken_out: HashSet<String>,
}

pub(super) fn read<'a, T: DeserializeOwned + Default>(
    file: &str,
    text: &'a str,
) -> Document<'a, T> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    let mut document = Document {
        file: file.to_owned(),
        text,
        value: T::default(),
        problems: Vec::new(),
        files: Vec::new(),
        taken_out: HashSet::new(),
    };
    for error in errors.into_iter().take(MAX_PROBLEMS) {
        document.problem(error.span(), String::new(), error.message().to_owned(), None);
    }
    if !document.problems.is_empty() {
        // The values of a file with a syntax error are not checked, because their meaning is a guess.
        return document;
    }
    while document.problems.len() < MAX_PROBLEMS {
        let error = match T::deserialize(toml::Deserializer::from(table.clone())) {
            Ok(value) => {
                document.value = value;
                break;
            }
            Err(error) => error,
        };
        let span = error.span();
        let path = span.clone().and_then(|span| remove_at(table.get_mut(), &span));
        let Some(path) = path else {
            document.problem(span, String::new(), error.message().to_owned(), None);
            break;
        };
        let (message, hint) = explain(error.message());
        document.taken_out.insert(path.clone());
        document.problem(span, path, message, hint);
    }
    document
}

impl<T> Document<'_, T> {
    /// Reads another file, and adds it to the watched files.
    pub(super) fn read_file(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.push(WatchedFile::new(path));
        std::fs::read(path)
    }

    /// Reads another file as text, and adds it to the watched files.
    pub(super) fn read_text(&mut self, path: &Path) -> io::Result<String> {
        let bytes = self.read_file(path)?;
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
    }

    /// Reports a problem at a position in the text.
    pub(super) fn problem(
        &mut self,
        at: Option<Range<usize>>,
        key: String,
        message: String,
        hint: Option<String>,
    ) {
        let problem = self.at(at, key, message, hint);
        self.problems.push(problem);
    }

    /// Creates a problem at a position in the text, or at the position of the key.
    pub(super) fn at(
        &self,
        at: Option<Range<usize>>,
        key: String,
        message: String,
        hint: Option<String>,
    ) -> Diagnostic {
        let line = at.or_else(|| span_of(self.text, &key)).map(|span| {
            let before = self.text.get(..span.start).unwrap_or(self.text);
            before.bytes().filter(|byte| *byte == b'\n').count() + 1
        });
        Diagnostic { file: self.file.clone(), line, key, message, hint }
    }

    /// Reports a required key as missing, unless it was present with an invalid value.
    pub(super) fn missing(&mut self, at: Range<usize>, key: String, hint: &str) {
        if !self.taken_out.contains(&key) {
            self.problem(Some(at), key, "is missing".to_owned(), Some(hint.to_owned()));
        }
    }
}

impl<T> Document<'_, T> {
    /// A number within bounds. The default if it is absent or out of range.
    pub(super) fn bounded<N: TryFrom<u32> + Default>(
        &mut self,
        key: &str,
        typed: Option<Spanned<u32>>,
        least: u32,
        most: u32,
        default: u32,
    ) -> N {
        let mut value = default;
        if let Some(typed) = typed {
            if (least..=most).contains(typed.get_ref()) {
                value = *typed.get_ref();
            } else {
                let message = format!("{} is out of range ({least} to {most})", typed.get_ref());
                self.problem(Some(span(&typed)), key.to_owned(), message, None);
            }
        }
        N::try_from(value).unwrap_or_default()
    }

    /// A duration of at least `least`. The default if it is absent or invalid.
    pub(super) fn duration(
        &mut self,
        key: &str,
        typed: Option<Spanned<String>>,
        default: Duration,
        least: Duration,
    ) -> Duration {
        let Some(typed) = typed else { return default };
        match humantime::parse_duration(typed.get_ref()) {
            Ok(duration) if duration >= least => duration,
            _ => {
                let message = format!("`{}` is not a duration", typed.get_ref());
                let above = if least.is_zero() { "" } else { " above 0" };
                let hint = format!("a number{above} with a unit: \"500ms\", \"5s\", \"2m\"");
                self.problem(Some(span(&typed)), key.to_owned(), message, Some(hint));
                default
            }
        }
    }

    /// Reports a problem of a command line flag.
    pub(super) fn flag_problem(&mut self, flag: &str, message: String, hint: Option<&str>) {
        self.problems.push(Diagnostic {
            file: "command line".to_owned(),
            line: None,
            key: flag.to_owned(),
            message,
            hint: hint.map(str::to_owned),
        });
    }
}

/// The position of a key such as `site[0].limits.burst`. If the key is absent, the position of its innermost table.
fn span_of(text: &str, key: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut tables = Some(table.get_ref());
    let mut span = None;
    for step in key.split('.') {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let found = tables.and_then(|table| table.iter().find(|(key, _)| *key.get_ref() == *name));
        let Some((key, value)) = found else { break };
        span = Some(key.span());
        let value = match (value.get_ref(), index) {
            (DeValue::Array(items), Some(index)) => {
                let item = items.get(index);
                span = item.map(|item| item.span()).or(span);
                item.map(|item| item.get_ref())
            }
            (value, _) => Some(value),
        };
        tables = value.and_then(DeValue::as_table);
    }
    span
}

/// Removes the innermost entry at a position, and returns its key path.
fn remove_at(table: &mut DeTable<'_>, at: &Range<usize>) -> Option<String> {
    let contains = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        let inner = match value.get_mut() {
            DeValue::Table(inner) => remove_at(inner, at).map(|path| format!("{name}.{path}")),
            DeValue::Array(items) => {
                take_out_of_items(items, at).map(|path| format!("{name}{path}"))
            }
            _ => None,
        };
        if inner.is_some() {
            return inner;
        }
        if contains(key.span()) || contains(value.span()) {
            found = Some(name);
        }
    }
    let name = found?;
    table.remove(name.as_str());
    Some(name)
}

fn take_out_of_items(items: &mut toml::de::DeArray<'_>, at: &Range<usize>) -> Option<String> {
    for (index, item) in items.iter_mut().enumerate() {
        let span = item.span();
        match item.get_mut() {
            DeValue::Table(inner) => {
                if let Some(path) = remove_at(inner, at) {
                    return Some(format!("[{index}].{path}"));
                }
            }
            DeValue::Array(inner) => {
                if let Some(path) = take_out_of_items(inner, at) {
                    return Some(format!("[{index}]{path}"));
                }
            }
            // Removing an item would shift the following ones, so it is replaced with an empty string.
            value if span.start <= at.start && at.end <= span.end => {
                if matches!(value, DeValue::String(text) if text.is_empty()) {
                    return None;
                }
                *value = DeValue::String("".into());
                return Some(format!("[{index}]"));
            }
            _ => {}
        }
    }
    None
}

/// Rewrites serde's message for an unknown key, with the most similar known key as a hint.
fn explain(message: &str) -> (String, Option<String>) {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return (message.to_owned(), None);
    };
    let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(best) => format!("did you mean `{best}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    ("unknown key".to_owned(), Some(hint))
}

/// The most similar word, if one is similar enough.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The position of a value, for problems.
pub(super) fn span<T>(value: &Spanned<T>) -> Range<usize> {
    value.span()
}
