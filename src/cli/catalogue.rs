//! `catalogue import` converts a third-party cookie database into a catalogue; `catalogue stats` counts entries.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::config::catalogue_stats::{CatalogueStats, built_in, stats};
use crate::config::import::{category_table, import, merge};
use crate::config::toml_writer::write_rule;

/// Manage cookie catalogues
#[derive(Debug, clap::Args)]
pub(super) struct CatalogueArgs {
    #[command(subcommand)]
    command: CatalogueCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CatalogueCommand {
    Import(ImportArgs),
    Stats(StatsArgs),
}

/// Show the number, completeness and age of catalogue entries
///
/// One line per file: cookies, beacons, hosts, the share of cookies with provider, purpose, lifetime and source, and the
/// date of the last review. Below, the cookies by category.
#[derive(Debug, clap::Args)]
struct StatsArgs {
    /// Catalogue files [default: the built-in catalogue]
    files: Vec<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Convert the CSV file of the Open Cookie Database to TOML, for `catalogue = [...]` in a config
///
/// The category table is printed to standard error. Invalid rows are reported there with their line
/// number and cause exit code 1; all other rows are imported.
#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// CSV file
    file: PathBuf,
    /// Category mapping, such as "Functional=necessary"; can be repeated
    #[arg(long, value_name = "SOURCE=CATEGORY")]
    map: Vec<String>,
    /// Catalogue file to merge the rules into; the result is printed, and the changes are listed on standard error
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
}

impl CatalogueArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        match self.command {
            CatalogueCommand::Import(command) => command.execute(),
            CatalogueCommand::Stats(command) => command.execute(),
        }
    }
}

impl ImportArgs {
    fn execute(self) -> Result<(), CliError> {
        let table = category_table(&self.map).map_err(CliError::Usage)?;
        let name = self.file.display();
        let file = File::open(&self.file)
            .map_err(|error| CliError::Usage(format!("cannot read {name}: {error}")))?;
        let imported =
            import(file, &table).map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
        let mut log = io::stderr().lock();
        let mut out = BufWriter::new(io::stdout().lock());
        match &self.merge {
            Some(path) => {
                let merged = merge(&read(path)?, &imported.rules)
                    .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
                out.write_all(merged.text.as_bytes())?;
                for name in &merged.added {
                    writeln!(log, "added {name}")?;
                }
                for (name, key, text) in &merged.updated {
                    writeln!(log, "updated {name}: {key} = {text:?}")?;
                }
                for (name, category, source_category) in &merged.kept {
                    writeln!(
                        log,
                        "kept {name}: category {category}, imported as {source_category}"
                    )?;
                }
            }
            None => {
                writeln!(out, "# {} cookies of the Open Cookie Database.", imported.rules.len())?;
                for rule in &imported.rules {
                    out.write_all(write_rule(rule).as_bytes())?;
                }
            }
        }
        out.flush()?;
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

impl StatsArgs {
    fn execute(self) -> Result<(), CliError> {
        let files = match self.files.as_slice() {
            [] => built_in(),
            paths => paths
                .iter()
                .map(|path| Ok((path.display().to_string(), read(path)?)))
                .collect::<Result<_, CliError>>()?,
        };
        let (files, total) = stats(&files).map_err(|error| CliError::Usage(error.to_string()))?;
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json {
            writeln!(out, "{}", serde_json::json!({ "files": files, "total": total }))?;
            return Ok(out.flush()?);
        }
        let columns = ["cookies", "beacons", "hosts", "provider", "purpose", "lifetime", "source"];
        write!(out, "{:24}", "file")?;
        for column in columns {
            write!(out, "{column:>10}")?;
        }
        writeln!(out, "  reviewed")?;
        for stats in files.iter().chain([&total]) {
            line(&mut out, stats)?;
        }
        writeln!(out)?;
        for (category, count) in &total.categories {
            writeln!(out, "{category:24}{count:>10}")?;
        }
        Ok(out.flush()?)
    }
}

fn line(out: &mut impl Write, stats: &CatalogueStats) -> io::Result<()> {
    write!(out, "{:24}{:>10}{:>10}{:>10}", stats.file, stats.cookies, stats.beacons, stats.hosts)?;
    for count in [stats.with_vendor, stats.with_purpose, stats.with_lifetime, stats.with_source] {
        match (count * 100).checked_div(stats.cookies) {
            Some(share) => write!(out, "{:>10}", format!("{share} %"))?,
            None => write!(out, "{:>10}", "-")?,
        }
    }
    writeln!(out, "  {}", stats.reviewed.as_deref().unwrap_or("-"))
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        CliError::Usage(format!("{}: cannot read the file: {error}", path.display()))
    })
}
