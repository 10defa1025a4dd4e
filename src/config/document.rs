//! Fault-tolerant TOML deserialization, which reports all errors at once.
//!
//! serde stops at the first invalid value. Each such value is reported and removed from the parsed document, and
//! the rest is deserialized again.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::watched_file::WatchedFile;
use crate::config::spanned::{Spanned, Text};

/// Maximum number of reported problems.
const MAX_PROBLEMS: usize = 100;

/// The file being resolved, with its problems so far.
pub(super) type Ctx<'a, 'text> = &'a mut ConfigDocument<'text>;

/// A parsed file and its problems.
pub(super) struct ConfigDocument<'a> {
    pub(super) file: String,
    text: &'a str,
    /// The keys, without those that have invalid values.
    table: toml::Spanned<DeTable<'a>>,
    pub(super) problems: Vec<Diagnostic>,
    /// The other files and directories that were read.
    pub(super) files: Vec<WatchedFile>,
    /// Keys that were removed because of invalid values. They do not count as missing.
    taken_out: HashSet<String>,
}

/// Reads a file. The value of a file with a syntax error is the default, because its meaning is a guess.
pub(super) fn read<'a, T: DeserializeOwned + Default>(
    file: &str,
    text: &'a str,
) -> (ConfigDocument<'a>, T) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut document = ConfigDocument {
        file: file.to_owned(),
        text,
        table,
        problems: Vec::new(),
        files: Vec::new(),
        taken_out: HashSet::new(),
    };
    let is_valid = errors.is_empty();
    for error in errors.into_iter().take(MAX_PROBLEMS) {
        document.problem(error.span(), String::new(), error.message(), None);
    }
    while is_valid && document.problems.len() < MAX_PROBLEMS {
        let error = match T::deserialize(toml::Deserializer::from(document.table.clone())) {
            Ok(value) => return (document, value),
            Err(error) => error,
        };
        let span = error.span();
        let path = span.clone().and_then(|span| remove_at(document.table.get_mut(), &span));
        let Some(path) = path else {
            document.problem(span, String::new(), error.message(), None);
            break;
        };
        let (message, hint) = explain(error.message());
        document.taken_out.insert(path.clone());
        document.problem(span, path, message, hint.as_deref());
    }
    document.table.get_mut().clear();
    (document, T::default())
}

/// The line that follows a text, from 1.
pub(super) fn line_after(before: &str) -> usize {
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

impl<'a> ConfigDocument<'a> {
    /// The keys and values, without invalid ones.
    pub(super) fn table(&self) -> &DeTable<'a> {
        self.table.get_ref()
    }

    /// Reads another file, and adds it to the watched files.
    pub(super) fn read_file(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        self.files.push(WatchedFile::new(path));
        std::fs::read(path).map_err(|error| format!("cannot read the file: {error}"))
    }

    /// Reads another file as text, and adds it to the watched files.
    pub(super) fn read_text(&mut self, path: &Path) -> Result<String, String> {
        String::from_utf8(self.read_file(path)?)
            .map_err(|_| "cannot read the file: it is not UTF-8".to_owned())
    }

    /// Reports a problem of a value.
    pub(super) fn wrong<V>(
        &mut self,
        typed: &Spanned<V>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.problem(Some(typed.span()), self.path_of(typed), message, hint);
    }

    /// The path of a value. Empty for a default.
    pub(super) fn path_of<V>(&self, typed: &Spanned<V>) -> String {
        path_in(self.table(), &typed.span()).unwrap_or_default()
    }

    /// Reports a value that is not `expected`.
    pub(super) fn is_not(&mut self, typed: &Text, expected: &str, hint: Option<&str>) {
        self.wrong(typed, format!("`{}` is not {expected}", typed.get_ref()), hint);
    }

    /// Returns the result for a value. An error is reported.
    pub(super) fn checked<V, E: Display>(
        &mut self,
        typed: &Text,
        result: Result<V, E>,
    ) -> Option<V> {
        let report = |error: E| self.wrong(typed, format!("`{}`: {error}", typed.get_ref()), None);
        result.map_err(report).ok()
    }

    /// Reports a required key as missing in a table, unless it was present with an invalid value.
    pub(super) fn missing<V>(&mut self, table: &Spanned<V>, key: &str, example: &str) {
        let key = format!("{}.{key}", self.path_of(table));
        if !self.was_invalid(&key) {
            self.problem(Some(table.span()), key, "is missing", Some(example));
        }
    }

    /// Whether a key was removed because of its value.
    pub(super) fn was_invalid(&self, key: &str) -> bool {
        self.taken_out.contains(key)
    }

    /// Reports a problem at a position in the text, or at the position of the key.
    pub(super) fn problem(
        &mut self,
        at: Option<Range<usize>>,
        key: String,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let mut problem = self.of_key(key, message);
        if let Some(span) = at {
            problem.line = Some(self.line(span));
        }
        problem.hint = hint.map(str::to_owned);
        self.problems.push(problem);
    }

    /// Creates a problem at the position of a key.
    pub(super) fn of_key(&self, key: String, message: impl Into<String>) -> Diagnostic {
        let line = self.find(&key).0.map(|span| self.line(span));
        Diagnostic { file: self.file.clone(), line, key, message: message.into(), hint: None }
    }

    /// Creates a problem of the whole file.
    pub(super) fn of_file(&self, message: String) -> Diagnostic {
        Diagnostic::of_file(&self.file, message)
    }

    fn line(&self, span: Range<usize>) -> usize {
        line_after(self.text.get(..span.start).unwrap_or(self.text))
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

    /// Whether a key is present. An empty table is not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).1.is_some_and(|value| value.as_table().is_none_or(|keys| !keys.is_empty()))
    }

    /// The position and the value of a key such as `site[0].limits.burst`. If the key is absent, the position of its
    /// innermost table.
    fn find(&self, key: &str) -> (Option<Range<usize>>, Option<&DeValue<'a>>) {
        let mut table = Some(self.table());
        let mut found = (None, None);
        for step in key.split('.') {
            let (name, index) = match step.split_once('[') {
                Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
                None => (step, None),
            };
            let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else {
                return (found.0, None);
            };
            found = (Some(key.span()), Some(value.get_ref()));
            if let (DeValue::Array(items), Some(index)) = (value.get_ref(), index) {
                let item = items.get(index);
                found = (item.map(|item| item.span()).or(found.0), item.map(|item| item.get_ref()));
            }
            table = found.1.and_then(DeValue::as_table);
        }
        found
    }
}

/// The path of the value at a position.
fn path_in(table: &DeTable<'_>, at: &Range<usize>) -> Option<String> {
    let path_of = |(key, value): (_, &_)| Some(format!("{}{}", key, path_below(value, at)?));
    table.iter().map(|(key, value)| (key.get_ref(), value)).find_map(path_of)
}

/// The path of the value at a position, after that of `value`.
fn path_below(value: &toml::Spanned<DeValue<'_>>, at: &Range<usize>) -> Option<String> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => path_in(table, at).map(|path| format!(".{path}")),
        DeValue::Array(items) => {
            let path_of = |(index, item)| Some(format!("[{index}]{}", path_below(item, at)?));
            items.iter().enumerate().find_map(path_of)
        }
        _ => None,
    };
    inner.or_else(|| (value.span() == *at).then(String::new))
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

/// Splits the hint from an error message. For an unknown key, the hint is the most similar known key.
fn explain(message: &str) -> (String, Option<String>) {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        let (message, hint) = message
            .rsplit_once('\n')
            .map_or((message, None), |(message, hint)| (message, Some(hint)));
        return (message.to_owned(), hint.map(str::to_owned));
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
