//! `ext-proc`: runs the external processor for Envoy.

use std::path::PathBuf;

use super::error::CliError;
use super::run::start;
use crate::app::build_ext_proc;
use crate::config::Overrides;
use crate::config::settings::{AdminAddress, Mode, unix_path};

/// Run the filter as Envoy's external processor (gRPC) until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub(super) struct ExtProcArgs {
    /// Config file (TOML); `listen.http`, `listen.https` and `upstream` are ignored
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: PathBuf,
    /// Listen address for Envoy: an address, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9091", value_parser = address)]
    listen: AdminAddress,
    /// Listen address for metrics and health checks, or `off` [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "CONSENTRY_ADMIN")]
    admin: Option<String>,
    /// Enforce consent, or only report what would be changed; applies to every site
    #[arg(long, value_name = "MODE", env = "CONSENTRY_MODE")]
    mode: Option<Mode>,
}

impl ExtProcArgs {
    pub(super) fn execute(self) -> Result<(), CliError> {
        let Self { config, listen, admin, mode } = self;
        let overrides = Overrides { listen: None, upstream: None, admin, mode, sources: None };
        start(Some(config), overrides, |config| build_ext_proc(config, &listen))
    }
}

fn address(text: &str) -> Result<AdminAddress, String> {
    if let Some(path) = unix_path(text) {
        return Ok(AdminAddress::Unix(path));
    }
    let wrong = "invalid address: use ADDRESS:PORT, such as 127.0.0.1:9091, or unix:/PATH";
    text.parse().map(AdminAddress::Tcp).map_err(|_| wrong.to_owned())
}
