//! What the command line says, over what the file says.

use super::settings::Mode;

/// Each flag that was given.
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
