//! `man`: writes the manual pages, one per command.

use std::io;
use std::path::{Path, PathBuf};

use super::error::CliError;

/// Write the manual pages to a folder: consentry.1, and one page per command
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Existing folder
    folder: PathBuf,
}

impl ManArgs {
    pub(super) fn execute(self, arguments: clap::Command) -> Result<(), CliError> {
        Ok(write(arguments, &self.folder)?)
    }
}

fn write(arguments: clap::Command, folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(arguments.disable_help_subcommand(true), folder)
}
