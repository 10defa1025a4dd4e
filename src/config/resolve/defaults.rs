//! Top-level settings, which are the defaults of every site.

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

/// The config being resolved, with its problems so far.
pub(super) type Ctx<'a, 'text> = &'a mut Document<'text, Raw>;

/// Top-level settings of the pages and notices for visitors.
pub(super) struct PageDefaults {
    /// Path prefix of consentry's own pages.
    pub(super) prefix: String,
    pub(super) centre: RawCentre,
    pub(super) banner: RawBanner,
    pub(super) page: RawPage,
    pub(super) on_withdrawal: OnWithdrawal,
    /// The languages, for sites that configure none.
    pub(super) locales: Arc<Locales>,
    /// The directory that relative paths start from.
    pub(super) folder: PathBuf,
}

/// The top level of the config.
pub(super) struct Defaults {
    pub(super) mode: Option<Mode>,
    pub(super) unclassified: Option<RawUnclassified>,
    pub(super) consent: RawConsent,
    pub(super) categories: Categories,
    /// The rules of all sites, and the same rules compiled.
    pub(super) rules: Rules,
    pub(super) rule_set: Arc<RuleSet>,
    pub(super) expire: Expire,
    pub(super) detect: Detect,
    pub(super) email_opens: bool,
    /// Maximum number of cookies in a request.
    pub(super) max_cookies: usize,
    /// The filter lists, compiled once for all sites.
    pub(super) lists: Option<FilterLists>,
    pub(super) technologies: Technologies,
    /// TLS settings for upstreams.
    pub(super) upstream_tls: RawUpstreamTls,
    /// The default limits of a site.
    pub(super) site_limits: RawSiteLimits,
    /// Settings of the pages and notices for visitors.
    pub(super) pages: PageDefaults,
    /// Whether each site needs an upstream.
    pub(super) needs_upstreams: bool,
}
