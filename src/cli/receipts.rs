//! `receipts`: reads and erases receipts in the store.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::args::{load, time};
use super::error::CliError;
use crate::clock::unix_now;
use crate::config::Overrides;
use crate::config::settings::{self, Durability};
use crate::consent_ui::shown_texts;
use crate::http::rfc3339;
use crate::receipts::{Cursor, Receipt, ReceiptsError, Sqlite, Store, open};

/// Number of receipts read at a time.
const PAGE: u32 = 1000;

/// Time limit of one operation on the store.
const WITHIN: Duration = Duration::from_secs(30);

/// Read and erase receipts of visitors' decisions
#[derive(Debug, clap::Args)]
pub(super) struct ReceiptsArgs {
    #[command(subcommand)]
    command: ReceiptsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReceiptsCommand {
    /// Print receipts as JSON lines, oldest first
    Export {
        #[command(flatten)]
        config: ConfigArgs,
        /// Limit to receipts recorded at this time or later: Unix seconds, a date or RFC 3339
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<i64>,
    },
    /// Print one receipt; the visitor's consent cookie contains the receipt id
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Receipt id: 32 hexadecimal digits
        id: String,
    },
    /// Erase one receipt from the store and the spool, for example on a visitor's request
    Erase {
        #[command(flatten)]
        config: ConfigArgs,
        /// Receipt id: 32 hexadecimal digits
        #[arg(value_parser = id)]
        id: String,
    },
    /// Print the texts referenced by receipts, one JSON line per site and language
    Texts {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// Config file (TOML) with the receipt store
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: PathBuf,
}

impl ReceiptsArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        match self.command {
            ReceiptsCommand::Export { config, since } => export(&settings_of(&config)?, since),
            ReceiptsCommand::Show { config, id } => show(&settings_of(&config)?, &id),
            ReceiptsCommand::Erase { config, id } => erase(&settings_of(&config)?, &id),
            ReceiptsCommand::Texts { config } => texts(&config),
        }
    }
}

fn settings_of(config: &ConfigArgs) -> Result<settings::ReceiptSettings, CliError> {
    let config = load(Some(&config.config), &Overrides::default())?;
    config.receipts.ok_or_else(|| CliError::Usage("no [receipts] in the config".to_owned()))
}

/// Opens the spool if it exists. A missing spool is not created.
fn spool(settings: &settings::ReceiptSettings) -> Result<Option<Sqlite>, CliError> {
    let there = settings.spool.exists();
    let spool = there.then(|| Sqlite::open(&settings.spool, Durability::Batch)).transpose();
    spool.map_err(failed)
}

fn export(settings: &settings::ReceiptSettings, since: Option<i64>) -> Result<(), CliError> {
    let mut store = open(settings, WITHIN).map_err(failed)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut cursor = Cursor::since(since.unwrap_or(i64::MIN));
    loop {
        let page = store.page(&cursor, PAGE).map_err(failed)?;
        let Some(last) = page.last() else { break };
        cursor = Cursor::after(last);
        for receipt in &page {
            print(receipt, &mut out)?;
        }
    }
    out.flush()?;
    if let Some(spool) = spool(settings)? {
        let waiting = spool.count().map_err(failed)?;
        if waiting > 0 {
            writeln!(
                io::stderr(),
                "{waiting} receipts are still in the spool {}",
                settings.spool.display()
            )?;
        }
    }
    Ok(())
}

fn show(settings: &settings::ReceiptSettings, id: &str) -> Result<(), CliError> {
    let waiting = match spool(settings)? {
        Some(mut spool) => spool.find(id).map_err(failed)?,
        None => None,
    };
    let found = match waiting {
        Some(receipt) => Some(receipt),
        None => open(settings, WITHIN).and_then(|mut store| store.find(id)).map_err(failed)?,
    };
    match found {
        Some(receipt) => print(&receipt, &mut io::stdout().lock()),
        None => Err(CliError::Run(anyhow::anyhow!("no receipt with this id"))),
    }
}

/// Erases a receipt. The tombstone is written first, because a running proxy may be moving the receipt from its
/// spool.
fn erase(settings: &settings::ReceiptSettings, id: &str) -> Result<(), CliError> {
    let mut store = open(settings, WITHIN).map_err(failed)?;
    let mut found = store.find(id).map_err(failed)?.is_some();
    let ids = [id.to_owned()];
    store.erase(&ids, unix_now()).map_err(failed)?;
    if let Some(mut spool) = spool(settings)? {
        found |= spool.find(id).map_err(failed)?.is_some();
        spool.remove(&ids).map_err(failed)?;
        spool.empty_log();
    }
    if found {
        return Ok(writeln!(io::stdout(), "erased {id}")?);
    }
    Err(CliError::Run(anyhow::anyhow!(
        "no receipt with this id in the store or in {}; one in another spool will not be stored",
        settings.spool.display()
    )))
}

fn texts(config: &ConfigArgs) -> Result<(), CliError> {
    let config = load(Some(&config.config), &Overrides::default())?;
    let mut out = BufWriter::new(io::stdout().lock());
    for site in &config.sites {
        for locale in site.centre.locales.all() {
            let reader = &site.filter.reader;
            let (line, _) = shown_texts(&site.name, &site.centre, reader, locale);
            writeln!(out, "{line}")?;
        }
    }
    Ok(out.flush()?)
}

/// Parses the id of a receipt.
fn id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("must be 32 hexadecimal digits".to_owned())
    }
}

/// Prints a receipt as a JSON line, with its times in RFC 3339.
fn print(receipt: &Receipt, out: &mut impl Write) -> Result<(), CliError> {
    let mut line = serde_json::to_value(receipt).map_err(io::Error::from)?;
    for (name, at) in [("time", Some(receipt.time)), ("recorded_at", receipt.recorded_at)] {
        if let Some(time) = at.and_then(rfc3339)
            && let Some(field) = line.get_mut(name)
        {
            *field = time.into();
        }
    }
    Ok(writeln!(out, "{line}")?)
}

fn failed(error: ReceiptsError) -> CliError {
    CliError::Run(error.into())
}
