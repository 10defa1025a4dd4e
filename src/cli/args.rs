//! Input shared by several commands: a config, and arguments or lines.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use time::Date;

use crate::config::{self, Config, ConfigError, Overrides};
use crate::http::{parse_date, parse_time};

/// Reads the config file, or an empty config.
pub(super) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    match path {
        Some(path) => config::load(path, overrides),
        None => config::parse("", None, overrides),
    }
}

/// `--config` of the look-up commands.
#[derive(Debug, clap::Args)]
pub(super) struct LookupArgs {
    /// Config file (the first site is used) [default: built-in catalogue and default settings]
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
}

impl LookupArgs {
    pub(super) fn load(&self, sources: Option<Vec<String>>) -> Result<Config, ConfigError> {
        let mut overrides = Overrides { sources, ..Overrides::default() };
        if self.config.is_none() {
            // No request is forwarded, so any upstream is valid.
            overrides.upstream = Some("http://127.0.0.1:1".to_owned());
        }
        load(self.config.as_deref(), &overrides)
    }
}

/// The arguments, or the lines of standard input if there are no arguments.
pub(super) fn lines(arguments: Vec<String>) -> Box<dyn Iterator<Item = io::Result<Vec<u8>>>> {
    if !arguments.is_empty() {
        return Box::new(arguments.into_iter().map(|argument| Ok(argument.into_bytes())));
    }
    Box::new(io::stdin().lock().split(b'\n').map(|line| {
        line.map(|mut line| {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            line
        })
    }))
}

/// Parses a date.
pub(super) fn date(text: &str) -> Result<Date, &'static str> {
    parse_date(text).ok_or("not a date such as 2018-05-25")
}

/// Parses a time as Unix seconds.
pub(super) fn time(text: &str) -> Result<i64, &'static str> {
    let expected = "neither Unix seconds nor a time such as 2026-11-24 or 2026-11-24T09:00:00Z";
    parse_time(text).ok_or(expected)
}
