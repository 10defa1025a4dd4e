//! `ext-proc`: the filter for Envoy.

use std::path::PathBuf;

use super::failure::Failure;
use super::run::start;
use crate::config::Overrides;
use crate::config::settings::Mode;

/// Run the filter as Envoy's external processor (gRPC) until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub(super) struct ExtProc {
    /// The config (TOML); where it says to listen and to forward is Envoy's affair
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: PathBuf,
    /// Where Envoy connects
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9091")]
    listen: String,
    /// Where metrics and health are served, or `off` [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "CONSENTRY_ADMIN")]
    admin: Option<String>,
    /// Change the traffic, or only report what would be changed; for every site
    #[arg(long, value_name = "MODE", env = "CONSENTRY_MODE")]
    mode: Option<Mode>,
}

impl ExtProc {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self { config, listen, admin, mode } = self;
        let listen = Some(listen);
        let overrides = Overrides { listen, upstream: None, admin, mode, sources: None };
        start(Some(config), overrides, crate::app::build_ext_proc)
    }
}
