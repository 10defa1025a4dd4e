//! `health`: checks a running proxy, for containers without a shell.

use std::io::{self, Write};

use super::admin_client::AdminUrl;
use super::error::CliError;

/// Check the readiness of a running proxy: exit code 0, or 1 with the reason
#[derive(Debug, clap::Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    admin: AdminUrl,
    /// Check liveness instead of readiness
    #[arg(long)]
    live: bool,
}

impl HealthArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let path = if self.live { "/livez" } else { "/readyz" };
        let text = self.admin.text(path)?;
        Ok(io::stdout().lock().write_all(text.as_bytes())?)
    }
}
