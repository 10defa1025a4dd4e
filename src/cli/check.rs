//! `check`: validates a config and prints a summary.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use super::error::CliError;
use crate::catalogue::ListLines;
use crate::config::settings::{Config, HostPattern, ReceiptStore, SiteConfig, UrlIdentifiers};
use crate::config::{self, Overrides};
use crate::consent::ConsentReader;
use crate::consent::sources::{AUTO, GrantLifetime};
use crate::policy::Unclassified;

/// Check a config file: print a summary, or every error with file, line and key (exit code 2)
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Config file (TOML)
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: PathBuf,
}

impl CheckArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let config = config::load(&self.config, &Overrides::default())?;
        for warning in &config.warnings {
            writeln!(io::stderr(), "warning: {warning}")?;
        }
        for warning in unwritable(&config) {
            writeln!(io::stderr(), "warning: {warning}")?;
        }
        write_summary(&config, &mut io::stdout().lock())?;
        Ok(())
    }
}

/// Files and directories that `run` must write and this user cannot.
fn unwritable(config: &Config) -> Vec<String> {
    let mut files = Vec::new();
    if let Some(receipts) = &config.receipts {
        files.push(("receipts.spool", receipts.spool.as_path()));
        if let ReceiptStore::Sqlite(path) = &receipts.store {
            files.push(("receipts.url", path));
        }
    }
    let mut warnings: Vec<String> = files
        .into_iter()
        .filter_map(|(key, file)| {
            // SQLite creates further files beside the database file.
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let no_folder = folder.exists() && !folder.is_dir();
            let wrong = no_folder
                .then(|| format!("{} is not a folder", folder.display()))
                .or_else(|| not_writable(folder))
                .or_else(|| file.exists().then(|| not_writable(file)).flatten())?;
            Some(format!("{key}: {wrong}"))
        })
        .collect();
    let acme = config.tls.as_ref().and_then(|tls| tls.acme.as_ref());
    // The directory is created with its parents.
    let existing = acme.and_then(|acme| acme.cache.ancestors().find(|folder| folder.exists()));
    if let Some(wrong) = existing.and_then(not_writable) {
        warnings.push(format!("tls.acme.cache: {wrong}"));
    }
    warnings
}

fn not_writable(path: &Path) -> Option<String> {
    let error = access(path, Access::WRITE_OK).err()?;
    Some(format!("{} is not writable by this user: {error}", path.display()))
}

fn write_summary(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let admin =
        config.listen.admin.as_ref().map_or_else(|| "off".to_owned(), |admin| admin.to_string());
    let listened = [("", config.listen.http), ("https ", config.listen.https)];
    let listened: Vec<String> =
        listened.iter().filter_map(|(name, at)| Some(format!("{name}{}", (*at)?))).collect();
    writeln!(out, "ok: listens on {}, admin on {admin}", listened.join(", "))?;
    for identity in config.tls.iter().flat_map(|tls| &tls.identities) {
        writeln!(out, "certificate for {}", identity.names.join(", "))?;
    }
    if let Some(receipts) = &config.receipts {
        let store = match &receipts.store {
            ReceiptStore::Sqlite(path) => format!("in {}", path.display()),
            // The URL contains a password.
            ReceiptStore::Postgres { .. } => "on a PostgreSQL server".to_owned(),
        };
        let days = receipts.retention_days;
        let spool = receipts.spool.display();
        writeln!(
            out,
            "receipts {store}, kept for {days} days; spooled in {spool} while it is down"
        )?;
    }
    for list in &config.filter_lists {
        let ListLines { requests, parameters, without_effect } = list.lines;
        writeln!(
            out,
            "filter list {}: {requests} lines for requests, {parameters} for URL parameters, {without_effect} without effect",
            list.file
        )?;
    }
    config.sites.iter().try_for_each(|site| write_site(site, out))
}

fn write_site(site: &SiteConfig, out: &mut impl Write) -> io::Result<()> {
    let hosts: Vec<String> = site.hosts.iter().map(HostPattern::to_string).collect();
    let upstreams: Vec<String> =
        site.balance.upstreams.iter().map(|it| it.address.to_string()).collect();
    let filter = &site.filter;
    let reader = &filter.reader;
    let sources: Vec<&str> = reader.sources.iter().map(|source| source.name()).collect();
    let catalogue = &filter.policy.catalogue;
    writeln!(out, "site {}", site.name)?;
    writeln!(out, "  hosts         {}", hosts.join(", "))?;
    writeln!(out, "  upstream      {}", upstreams.join(", "))?;
    writeln!(out, "  mode          {}", filter.mode.as_str())?;
    let default = match &reader.region {
        Some(region) => format!("by region ({})", region.header),
        None => reader.categories.names_of(reader.default).join(", "),
    };
    writeln!(out, "  consent       {}, without a decision: {default}", sources.join(", "))?;
    if let Some(date) = reader.notice_date {
        writeln!(out, "  notice        {date}")?;
    }
    let (grants, refusals) = (lifetimes(reader), reader.ask_again_days);
    writeln!(
        out,
        "  decisions     consent expires {grants}, refusals never; after a refusal the banner returns after {refusals} days"
    )?;
    match &reader.own.keys {
        Some(keys) => {
            writeln!(out, "  cookie        signed, {} key(s) in consent.key_file", keys.count())?
        }
        None if reader.reads_own_cookie() => writeln!(
            out,
            "  cookie        unsigned: scripts of the page and hosts of the same domain can grant consent for visitors who have not decided; set consent.key_file"
        )?,
        None => {}
    }
    let unclassified = match filter.policy.unclassified {
        Unclassified::Presume => {
            "pass if presumed necessary, else only with every category granted"
        }
        Unclassified::Block => "pass only with every category granted",
        Unclassified::Allow => "pass",
    };
    writeln!(out, "  unclassified  {unclassified}")?;
    let caps = reader.categories.iter().filter_map(|(category, name)| {
        let seconds = filter.max_cookie_lifetime.of(Some(category))?;
        let lifetime = Duration::from_secs(seconds.unsigned_abs());
        Some(format!("{name} {}", humantime::format_duration(lifetime)))
    });
    let caps = caps.collect::<Vec<_>>().join(", ");
    if !caps.is_empty() {
        writeln!(out, "  lifetimes     of cookies, at most: {caps}")?;
    }
    let (cookies, beacons) = (catalogue.cookie_rules(), catalogue.beacon_paths());
    let parameters = catalogue.named_parameters();
    writeln!(
        out,
        "  rules         {cookies} cookies, {beacons} beacon paths, {parameters} URL parameters"
    )?;
    let identifiers = match filter.url_identifiers {
        UrlIdentifiers::Strip => "stripped from requests",
        UrlIdentifiers::Redirect => "page loads redirected to the URL without them",
        UrlIdentifiers::Off => "forwarded",
    };
    writeln!(out, "  identifiers   without consent in URLs: {identifiers}")?;
    let banner = if site.page.banner.is_some() { "with a banner" } else { "without a banner" };
    let guard = if site.page.guard { ", guarded" } else { "" };
    let (prefix, language) = (&site.centre.prefix, site.centre.locales.default_tag());
    writeln!(out, "  pages         {banner}{guard}; served at {prefix}, in {language} by default")
}

/// When consent expires, for each source.
fn lifetimes(reader: &ConsentReader) -> String {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for source in &reader.sources {
        let name = source.name();
        let lifetime = match reader.lifetime_of(name) {
            _ if name == AUTO && reader.tool_lifetimes => "as in each tool".to_owned(),
            GrantLifetime::Days(days) => format!("after {days} days"),
            GrantLifetime::Written if reader.tool_lifetimes => {
                "at the end in the cookie".to_owned()
            }
            GrantLifetime::Written => format!("after at most {} days", reader.max_age_days),
            GrantLifetime::Cookie => "with the cookie".to_owned(),
        };
        match found.iter_mut().find(|(other, _)| *other == lifetime) {
            Some((_, names)) => names.push(name),
            None => found.push((lifetime, vec![name])),
        }
    }
    let text =
        found.into_iter().map(|(lifetime, names)| format!("{lifetime} ({})", names.join(", ")));
    text.collect::<Vec<_>>().join(", ")
}
