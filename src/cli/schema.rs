//! `schema`: prints the JSON Schema of the config, for editors.

use std::io::{self, Write};

use super::error::CliError;
use crate::config;

/// Print the JSON Schema of the config, for editors and taplo
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {}

impl SchemaArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        Ok(writeln!(io::stdout().lock(), "{:#}", config::schema())?)
    }
}
