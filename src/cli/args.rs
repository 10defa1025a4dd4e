//! Input shared by several commands: a config, and arguments or lines.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::Date;

use super::error::CliError;
use crate::config::{self, Config, ConfigError, Overrides};
use crate::consent_ui::ConsentUi;
use crate::filter::Filter;
use crate::http::{Authority, parse_date, parse_time};
use crate::proxy::{ForwardSettings, NotFound, Site, SiteRouter};

/// Reads the config file, or an empty config.
pub(super) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    match path {
        Some(path) => config::load(path, overrides),
        None => config::parse("", None, overrides),
    }
}

/// Reads the config of a command that forwards no request: any upstream is valid.
pub(super) fn load_offline(
    path: Option<&Path>,
    sources: Option<Vec<String>>,
) -> Result<Config, ConfigError> {
    let upstream = path.is_none().then(|| "http://127.0.0.1:1".to_owned());
    load(path, &Overrides { sources, upstream, ..Overrides::default() })
}

/// Options of the look-up commands: the config and the site.
#[derive(Debug, clap::Args)]
pub(super) struct LookupArgs {
    /// Config file [default: built-in catalogue and default settings]
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
    /// Name of the site [default: the first site]
    #[arg(long, value_name = "NAME", conflicts_with = "host")]
    site: Option<String>,
    /// Requested host, which selects the site
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

impl LookupArgs {
    /// The filter of the selected site.
    pub(super) fn filter(&self, sources: Option<Vec<String>>) -> Result<Arc<Filter>, CliError> {
        let config = load_offline(self.config.as_deref(), sources)?;
        if let Some(host) = &self.host {
            return site_of_host(config, host, "/").map(|site| Arc::clone(&site.filter));
        }
        let names: Vec<String> = config.sites.iter().map(|site| site.name.clone()).collect();
        let is_named = |name: &str| self.site.as_ref().is_none_or(|wanted| wanted == name);
        let site = config.sites.into_iter().find(|site| is_named(&site.name));
        let unknown = || {
            let name = self.site.as_deref().unwrap_or_default();
            CliError::Usage(format!("no site `{name}`: the sites are {}", names.join(", ")))
        };
        site.map(|site| Arc::new(Filter::new(site.filter))).ok_or_else(unknown)
    }
}

/// The site that serves a host and a path.
pub(super) fn site_of_host(config: Config, host: &str, path: &str) -> Result<Arc<Site>, CliError> {
    let host = Authority::parse(host.as_bytes()).map_or(host, |authority| authority.host);
    router(config).find(host, path).cloned().map_err(|missing| {
        CliError::Usage(match missing {
            NotFound::Host => {
                format!("no site has the host `{host}`: see the hosts of each [[site]]")
            }
            NotFound::Path => format!("no site of `{host}` has the path `{path}`"),
        })
    })
}

/// The sites of a config, without upstream connections.
fn router(config: Config) -> SiteRouter {
    let sites = config.sites.into_iter().enumerate().map(|(index, site)| {
        let filter = Arc::new(Filter::new(site.filter));
        let consent_ui =
            ConsentUi::new(&site.name, site.centre, &site.page, Arc::clone(&filter), None);
        let forwarding = ForwardSettings {
            balance: site.balance,
            upstreams: Vec::new(),
            limits: site.limits,
            forwarded_for: site.forwarded_for,
        };
        let built = Site::new(index, site.name, filter, (consent_ui, None), forwarding, None);
        (site.hosts, site.paths, Arc::new(built))
    });
    SiteRouter::new(sites.collect())
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
    parse_date(text).ok_or("invalid date: use YYYY-MM-DD, such as 2018-05-25")
}

/// Parses a time as Unix seconds.
pub(super) fn time(text: &str) -> Result<i64, &'static str> {
    let expected =
        "invalid time: use Unix seconds or a time such as 2026-11-24 or 2026-11-24T09:00:00Z";
    parse_time(text).ok_or(expected)
}
