//! Config errors, with file, line, key and hint.

use std::fmt;

use thiserror::Error;

use super::watched_file::WatchedFile;

/// One config error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// The file name, as given by the user.
    pub file: String,
    /// The line, starting at 1. `None` for the whole file.
    pub line: Option<usize>,
    /// The key, such as `site[0].upstream`. Empty if the problem has no key.
    pub key: String,
    /// The error message.
    pub message: String,
    /// A hint at a valid value.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A problem of a whole file.
    pub fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new(), message, hint: None }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}

/// All errors of a config.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, in the order of the file. Never empty.
    pub problems: Vec<Diagnostic>,
    /// The files and directories that were read. A change of one of them may fix the config.
    pub files: Vec<WatchedFile>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Diagnostic::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
