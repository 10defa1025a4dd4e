//! `catalogue import`: converts a third-party cookie database into a catalogue.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::error::CliError;
use crate::config::import::{category_table, import};
use crate::config::toml_writer::write_rule;

/// Manage cookie catalogues
#[derive(Debug, clap::Args)]
pub(super) struct Catalogue {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Import(Import),
}

/// Convert the CSV file of the Open Cookie Database to TOML, for `catalogue = [...]` in a config
///
/// The category table is printed to standard error. Invalid rows are reported there with their line
/// number and cause exit code 1; all other rows are imported.
#[derive(Debug, clap::Args)]
struct Import {
    /// CSV file
    file: PathBuf,
    /// Category mapping, such as "Functional=necessary"; can be repeated
    #[arg(long, value_name = "SOURCE=CATEGORY")]
    map: Vec<String>,
}

impl Catalogue {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let Command::Import(command) = self.command;
        command.execute()
    }
}

impl Import {
    fn execute(self) -> Result<(), CliError> {
        let table = category_table(&self.map).map_err(CliError::Usage)?;
        let name = self.file.display();
        let file = File::open(&self.file)
            .map_err(|error| CliError::Usage(format!("cannot read {name}: {error}")))?;
        let imported =
            import(file, &table).map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
        let mut out = BufWriter::new(io::stdout().lock());
        writeln!(out, "# {} cookies of the Open Cookie Database.", imported.rules.len())?;
        for rule in &imported.rules {
            out.write_all(write_rule(rule).as_bytes())?;
        }
        out.flush()?;
        let mut log = io::stderr().lock();
        for (source_category, category) in &table {
            let count = imported.counts.get(source_category).copied().unwrap_or_default();
            writeln!(log, "{source_category} -> {category}: {count}")?;
        }
        for (line, reason) in &imported.bad_rows {
            writeln!(log, "{name}:{line}: {reason}")?;
        }
        match imported.bad_rows.len() {
            0 => Ok(()),
            count => Err(CliError::Run(anyhow::anyhow!(
                "{count} rows not imported, {} imported",
                imported.rules.len()
            ))),
        }
    }
}
