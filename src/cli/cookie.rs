//! `cookie`: prints a native consent cookie for scripts and tests.

use std::io::{self, Write};

use time::Date;

use super::args::{LookupArgs, date};
use super::error::CliError;
use crate::clock::unix_now;
use crate::consent::sources::Native;
use crate::consent::{CategorySet, ConsentReader};

/// Print a consent cookie as NAME=VALUE, signed if the config has a key
#[derive(Debug, clap::Args)]
pub(super) struct CookieArgs {
    #[command(flatten)]
    lookup: LookupArgs,
    /// Granted categories, separated by commas; empty for necessary only
    #[arg(long, value_name = "CATEGORIES", value_delimiter = ',', required = true)]
    allow: Vec<String>,
    /// Date of the notice shown to the visitor [default: notice date of the config, or 2018-05-25]
    #[arg(long, value_name = "DATE", value_parser = date)]
    notice: Option<Date>,
}

impl CookieArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let filter = self.lookup.filter(None)?;
        let reader = &filter.settings().reader;
        let mut granted = CategorySet::NECESSARY;
        for name in self.allow.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            let known = || reader.categories.names_of(reader.categories.all()).join(", ");
            let category = reader.categories.find(name).ok_or_else(|| {
                CliError::Usage(format!(
                    "`{name}` is not a category; the categories are {}",
                    known()
                ))
            })?;
            granted.insert(category);
        }
        writeln!(io::stdout(), "{}", consent_cookie(reader, granted, self.notice))?;
        Ok(())
    }
}

/// A consent cookie with the current time, for the current notice or for `notice`.
pub(super) fn consent_cookie(
    reader: &ConsentReader,
    granted: CategorySet,
    notice: Option<Date>,
) -> String {
    let mut cookie = reader.new_cookie(granted, unix_now());
    cookie.notice_date = notice.unwrap_or(cookie.notice_date);
    format!("{}={}", Native::COOKIE, reader.cookie_value(&cookie))
}
