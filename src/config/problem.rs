//! What is wrong in a config, said so that it can be found and mended.

use std::fmt;

use thiserror::Error;

use super::watched_file::WatchedFile;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; `None` when the whole file is meant.
    pub line: Option<usize>,
    /// The key, such as `site[0].upstream`; empty when none is meant.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new(), message, hint: None }
    }
}

impl fmt::Display for Problem {
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

/// Everything that is wrong in a config.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, in the order of the file. Never empty.
    pub problems: Vec<Problem>,
    /// The files and folders that were looked into: a change of one may mend it.
    pub files: Vec<WatchedFile>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
