//! `inventory`: lists the cookies, beacons and URL parameters seen by a running proxy.

use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::admin_client::AdminSites;
use super::error::CliError;

/// List cookies, beacons and URL parameters seen by a running proxy
#[derive(Debug, clap::Args)]
pub(super) struct InventoryArgs {
    #[command(flatten)]
    admin: AdminSites,
    /// Print the inventory as JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [&str; 9] =
    ["NAME", "CATEGORY", "VENDOR", "FROM", "SET", "SENT", "STRIPPED", "LAST SEEN", "ATTRIBUTES"];

const HELD_BACK: [&str; 6] = ["NAME", "CATEGORY", "VENDOR", "KIND", "TIMES", "LAST SEEN"];

const URL_PARAMETERS: [&str; 6] = ["NAME", "CATEGORY", "VENDOR", "SENT", "STRIPPED", "LAST SEEN"];

impl InventoryArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let sites = self.admin.inventory()?;
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json {
            serde_json::to_writer_pretty(&mut out, &sites).map_err(io::Error::from)?;
            writeln!(out)?;
            return Ok(out.flush()?);
        }
        for (name, seen) in &sites {
            for kind in ["cookies", "beacons"] {
                let items = seen[kind].as_array().map(Vec::as_slice).unwrap_or_default();
                writeln!(out, "site {name}: {} {kind}", items.len())?;
                let rows: Vec<[String; 9]> = items.iter().map(row).collect();
                if !rows.is_empty() {
                    table(COLUMNS, &rows, &mut out)?;
                }
                writeln!(out)?;
            }
            let held_back = seen["held_back"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !held_back.is_empty() {
                writeln!(out, "site {name}: {} blocked in pages", held_back.len())?;
                table(
                    HELD_BACK,
                    &held_back.iter().map(held_back_row).collect::<Vec<_>>(),
                    &mut out,
                )?;
                writeln!(out)?;
            }
            let parameters =
                seen["url_parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !parameters.is_empty() {
                writeln!(out, "site {name}: {} URL parameters", parameters.len())?;
                let rows: Vec<[String; 6]> = parameters.iter().map(parameter_row).collect();
                table(URL_PARAMETERS, &rows, &mut out)?;
                writeln!(out)?;
            }
        }
        Ok(out.flush()?)
    }
}

fn row(item: &Value) -> [String; 9] {
    let text = |key: &str| item[key].as_str().unwrap_or("-").to_owned();
    let number = |at: &str| item.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let stripped = number("/undecided/stripped") + number("/decided/stripped");
    [
        text("name"),
        category(item).to_owned(),
        text("vendor"),
        text("from"),
        number("/set").to_string(),
        number("/sent").to_string(),
        stripped.to_string(),
        text("last_seen"),
        match item["method"].as_str() {
            Some(method) => format!("{method} {}", text("content_type")),
            None => attributes(&item["attributes"]),
        },
    ]
}

/// The category of the item's rule, or the state of an item without a rule.
fn category(item: &Value) -> &str {
    let without_rule = match item["presumed"].is_object() {
        true => "unclassified, presumed necessary",
        false => "unclassified",
    };
    item["category"].as_str().unwrap_or(without_rule)
}

/// The attributes of a cookie, one word each.
pub(super) fn attributes(of: &Value) -> String {
    let mut words = Vec::new();
    if of["http_only"] == true {
        words.push("HttpOnly".to_owned());
    }
    if of["secure"] == true {
        words.push("Secure".to_owned());
    }
    if let Some(same_site) = of["same_site"].as_str() {
        words.push(format!("SameSite={same_site}"));
    }
    if let Some(domain) = of["domain"].as_str() {
        words.push(format!("Domain={domain}"));
    }
    match of["lifetime_seconds"].as_i64() {
        _ if of.is_null() => {}
        None => words.push("session".to_owned()),
        Some(seconds) if seconds >= 2 * 86_400 => words.push(format!("{} days", seconds / 86_400)),
        Some(seconds) => words.push(format!("{seconds} s")),
    }
    words.join(" ")
}

fn parameter_row(item: &Value) -> [String; 6] {
    let [name, category, vendor, _, _, sent, stripped, last_seen, _] = row(item);
    [name, category, vendor, sent, stripped, last_seen]
}

fn held_back_row(item: &Value) -> [String; 6] {
    let text = |key: &str| item[key].as_str().unwrap_or("-").to_owned();
    let times = item["times"].as_u64().unwrap_or_default().to_string();
    [
        text("name"),
        category(item).to_owned(),
        text("vendor"),
        text("kind"),
        times,
        text("last_seen"),
    ]
}

fn table<const N: usize>(
    columns: [&str; N],
    rows: &[[String; N]],
    out: &mut impl Write,
) -> io::Result<()> {
    let head = columns.map(str::to_owned);
    let widths: Vec<usize> = (0..N)
        .map(|column| {
            let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    for row in [&head].into_iter().chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
