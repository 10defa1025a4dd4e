//! `health`: whether a running proxy answers, for containers without a shell.

use std::io::{self, Write};

use super::ask::{AdminUrl, DEFAULT};
use super::failure::Failure;

/// Ask a running proxy whether it is ready: exit code 0, or 1 with the reason
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// The private listener of a running proxy
    #[arg(long, value_name = "URL", env = "CONSENTRY_ADMIN", default_value = DEFAULT)]
    admin: String,
    /// Whether it lives, ready or not
    #[arg(long)]
    live: bool,
}

impl Health {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let path = if self.live { "/livez" } else { "/readyz" };
        let said = AdminUrl::at(self.admin).text(path)?;
        Ok(io::stdout().lock().write_all(said.as_bytes())?)
    }
}
