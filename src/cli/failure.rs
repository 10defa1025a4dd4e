//! Why a command fails, and with which exit code.

use std::io;

use thiserror::Error;

use crate::config::ConfigError;

/// Why a command ends with a code other than 0.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Exit code 1.
    #[error(transparent)]
    Run(#[from] anyhow::Error),
    /// Whoever reads the output has heard enough.
    #[error("the output is closed")]
    OutputClosed,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Run(error.into()),
        }
    }
}

impl Failure {
    /// The exit code, and what standard error says; `None` when it says nothing.
    pub(super) fn report(&self) -> (u8, Option<String>) {
        match self {
            Self::OutputClosed => (0, None),
            // With its causes, in one sentence.
            Self::Run(error) => (1, Some(format!("error: {error:#}"))),
            Self::Config(error) => (2, Some(error.to_string())),
            Self::Usage(message) => (2, Some(format!("error: {message}"))),
        }
    }
}
