//! `run`: runs the proxy.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::args::load;
use super::error::CliError;
use crate::app::{self, Bound};
use crate::config::settings::Mode;
use crate::config::{Config, Overrides};
use crate::telemetry::start_log;

/// Run the proxy until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Config file (TOML)
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
    /// Listen address for client connections [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR", env = "CONSENTRY_LISTEN")]
    listen: Option<String>,
    /// Upstream URL, such as http://127.0.0.1:3000
    #[arg(long, value_name = "URL", env = "CONSENTRY_UPSTREAM")]
    upstream: Option<String>,
    /// Listen address for metrics and health checks, or `off` [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "CONSENTRY_ADMIN")]
    admin: Option<String>,
    /// Enforce consent, or only report what would be changed; applies to every site
    #[arg(long, value_name = "MODE", env = "CONSENTRY_MODE")]
    mode: Option<Mode>,
}

impl RunArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let Self { config: path, listen, upstream, admin, mode } = self;
        let overrides = Overrides { listen, upstream, admin, mode, sources: None };
        start(path, overrides, app::build)
    }
}

/// Raises the soft limit of open files to the hard limit. The default soft limit is low for the sake of programs
/// that cannot handle more (systemd, "File Descriptor Limits").
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise RLIMIT_NOFILE");
    }
}

/// Reads the config, builds the server, and runs it until a stop signal.
pub(super) fn start(
    path: Option<PathBuf>,
    overrides: Overrides,
    build: impl FnOnce(Config) -> anyhow::Result<Bound>,
) -> Result<(), CliError> {
    let config = load(path.as_deref(), &overrides)?;
    let terminal = io::stderr().is_terminal();
    let json = app::is_json(config.log.format, terminal);
    let (control, _log) = start_log(config.log.level, json, terminal);
    keep_panics_quiet();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    allow_open_files();
    let bound = build(config)?.log_level(control);
    let bound = match path {
        Some(path) => bound.reloading(path, overrides),
        None => bound,
    };
    Ok(bound.run()?)
}

/// Logs only the location of a panic: its message may contain anything, including the value of a cookie.
fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "internal fault");
    }));
}
