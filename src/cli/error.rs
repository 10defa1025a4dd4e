//! Command errors and their exit codes.

use std::io;

use thiserror::Error;

use crate::config::ConfigError;

/// Why a command fails.
#[derive(Debug, Error)]
pub(super) enum CliError {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Exit code 1.
    #[error(transparent)]
    Run(#[from] anyhow::Error),
    /// The reader of the output closed it. Exit code 0.
    #[error("the output is closed")]
    OutputClosed,
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Run(error.into()),
        }
    }
}

impl CliError {
    /// The exit code and the message for standard error. `None` if there is no message.
    pub(super) fn report(&self) -> (u8, Option<String>) {
        match self {
            Self::OutputClosed => (0, None),
            // With its causes, in one line.
            Self::Run(error) => (1, Some(format!("error: {error:#}"))),
            Self::Config(error) => (2, Some(error.to_string())),
            Self::Usage(message) => (2, Some(format!("error: {message}"))),
        }
    }
}
