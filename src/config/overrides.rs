//! Command line flags that override the config file.

use super::settings::Mode;

/// The flags that were given.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--upstream`
    pub upstream: Option<String>,
    /// `--admin`
    pub admin: Option<String>,
    /// `--mode`, for every site
    pub mode: Option<Mode>,
    /// The consent sources, for every site
    pub sources: Option<Vec<String>>,
}
