//! Config parsing and validation: TOML to plain settings. No other module parses TOML.
//!
//! There are four stages. `document` deserializes the text into `raw` (the typed values), and continues after
//! errors to report all of them. `merge` adds the top-level settings to each site. `resolve` converts `raw` into
//! [`settings`] (the validated values).

mod catalogue_file;
pub mod catalogue_stats;
mod diagnostic;
mod document;
pub mod import;
mod locales;
mod merge;
mod overrides;
mod raw;
mod resolve;
pub mod settings;
mod spanned;
pub mod toml_writer;
mod watched_file;

use std::collections::HashSet;
use std::path::Path;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

pub(crate) use catalogue_file::line_of;
pub use diagnostic::{ConfigError, Diagnostic};
pub use overrides::Overrides;
pub use settings::{Config, FilterConfig};
pub use watched_file::WatchedFile;

use resolve::Upstreams;

/// The JSON Schema of a config (2020-12).
pub fn schema() -> Value {
    let without_null = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
    });
    let settings = SchemaSettings::draft2020_12().with_transform(without_null);
    let mut schema = settings.into_generator().into_root_schema_for::<raw::Raw>();
    schema.insert("title".to_owned(), "consentry.toml".into());
    // Removes the prefix `Raw` from the names of tables.
    let text = schema.to_value().to_string().replace("\"Raw", "\"").replace("/Raw", "/");
    serde_json::from_str(&text).unwrap_or_default()
}

/// Loads a config file.
///
/// # Errors
/// When a file cannot be read, or when the config is invalid. Contains every problem with file, line and key.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
    read_file(path, overrides, Upstreams::Required)
}

/// Parses a config text. Relative paths in it start from the directory of `path`.
///
/// # Errors
/// As [`load`].
pub fn parse(
    text: &str,
    path: Option<&Path>,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    read(text, path, None, overrides, Upstreams::Required)
}

/// Loads the filters of a config file, for the tower layer. `[[site]]` and its `upstream` are optional.
///
/// # Errors
/// As [`load`].
pub fn load_filters(path: &Path, overrides: &Overrides) -> Result<FilterConfig, ConfigError> {
    read_file(path, overrides, Upstreams::Optional).map(FilterConfig::from)
}

/// Parses the filters of a config text, for the tower layer. `[[site]]` and its `upstream` are optional. Relative
/// paths start from the directory of `path`.
///
/// # Errors
/// As [`load`].
pub fn parse_filters(
    text: &str,
    path: Option<&Path>,
    overrides: &Overrides,
) -> Result<FilterConfig, ConfigError> {
    read(text, path, None, overrides, Upstreams::Optional).map(FilterConfig::from)
}

fn read_file(
    path: &Path,
    overrides: &Overrides,
    upstreams: Upstreams,
) -> Result<Config, ConfigError> {
    let name = path.display().to_string();
    let file = WatchedFile::new(path);
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        problems: vec![Diagnostic::of_file(&name, format!("cannot read the file: {error}"))],
        files: vec![file.clone()],
    })?;
    read(&text, Some(path), Some(file), overrides, upstreams)
}

fn read(
    text: &str,
    path: Option<&Path>,
    file: Option<WatchedFile>,
    overrides: &Overrides,
    upstreams: Upstreams,
) -> Result<Config, ConfigError> {
    let name = path.map_or_else(|| "(config)".to_owned(), |path| path.display().to_string());
    let folder = path.and_then(Path::parent).unwrap_or_else(|| Path::new(""));
    let (mut document, raw) = document::read::<raw::Raw>(&name, text);
    let config = resolve::resolve(&mut document, raw, folder, overrides, upstreams);
    let mut files = std::mem::take(&mut document.files);
    files.extend(file);
    if document.problems.is_empty() {
        Ok(Config { files, ..config })
    } else {
        document.problems.sort_by(|a, b| {
            (a.file != name, &a.file, a.line).cmp(&(b.file != name, &b.file, b.line))
        });
        // Settings shared by several sites are validated for each site, but reported once.
        let mut reported = HashSet::new();
        document.problems.retain(|problem| reported.insert(problem.clone()));
        Err(ConfigError { problems: document.problems, files })
    }
}

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod merge_tests;
