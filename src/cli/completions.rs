//! `completions`: prints a shell completion script.

use std::io::{self, Write};

use clap_complete::Shell;

use super::error::CliError;

/// Print shell completions
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn execute(self, mut arguments: clap::Command) -> Result<(), CliError> {
        // Into memory first: the generator panics when its output is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut arguments, "consentry", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
