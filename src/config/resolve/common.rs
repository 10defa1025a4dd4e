//! What holds for every site that does not say otherwise.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalogue::{FilterLists, RuleSet};
use crate::config::catalogue_file::Rules;
use crate::config::document::Document;
use crate::config::raw::{
    Raw, RawBanner, RawCentre, RawConsent, RawPage, RawSiteLimits, RawUnclassified, RawUpstreamTls,
};
use crate::config::settings::{Detect, Expire, Mode, OnWithdrawal, Technologies};
use crate::consent::Categories;
use crate::locale::Locales;

/// The config under way, with its problems so far.
pub(super) type Doc<'a, 'text> = &'a mut Document<'text, Raw>;

/// What visitors see of us, on every site that does not say otherwise.
pub(super) struct Pages {
    /// What the paths of our own pages begin with.
    pub(super) prefix: String,
    pub(super) centre: RawCentre,
    pub(super) banner: RawBanner,
    pub(super) page: RawPage,
    pub(super) on_withdrawal: OnWithdrawal,
    /// The languages, where a site has none of its own.
    pub(super) locales: Arc<Locales>,
    /// Where paths start from.
    pub(super) folder: PathBuf,
}

/// The top level of the config.
pub(super) struct Common {
    pub(super) mode: Option<Mode>,
    pub(super) unclassified: Option<RawUnclassified>,
    pub(super) consent: RawConsent,
    pub(super) categories: Categories,
    /// The rules of all sites, and the same compiled.
    pub(super) rules: Rules,
    pub(super) rule_set: Arc<RuleSet>,
    pub(super) expire: Expire,
    pub(super) detect: Detect,
    pub(super) email_opens: bool,
    /// Cookies of a request.
    pub(super) max_cookies: usize,
    /// The filter lists, compiled once for all sites.
    pub(super) lists: Option<FilterLists>,
    pub(super) technologies: Technologies,
    /// How hands are shaken with upstreams that speak TLS.
    pub(super) upstream_tls: RawUpstreamTls,
    /// How much each site takes.
    pub(super) site_limits: RawSiteLimits,
    /// What visitors see of us.
    pub(super) pages: Pages,
    /// Whether each site needs an upstream.
    pub(super) needs_upstreams: bool,
}
