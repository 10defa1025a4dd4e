//! `run`: the proxy.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::failure::Failure;
use super::input::load;
use crate::app::{self, Bound};
use crate::config::settings::Mode;
use crate::config::{Config, Overrides};
use crate::telemetry::start_log;

/// Run the proxy until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub(super) struct Run {
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

impl Run {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self { config: path, listen, upstream, admin, mode } = self;
        let overrides = Overrides { listen, upstream, admin, mode, sources: None };
        start(path, overrides, app::build)
    }
}

/// Lets as many connections be open as the system allows: the limit that programs begin with is low, for the sake of some
/// that could not bear a higher one (systemd, "File Descriptor Limits").
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Reads the config, builds what it says, and runs that until it is told to stop.
pub(super) fn start(
    path: Option<PathBuf>,
    overrides: Overrides,
    build: impl FnOnce(Config) -> anyhow::Result<Bound>,
) -> Result<(), Failure> {
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

/// What a panic says may hold anything, a cookie's value too: only its place is told.
fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "internal fault");
    }));
}
