//! The top-level settings, resolved once for all sites.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalogue::{FilterLists, RuleSet};
use crate::config::catalogue_file::Rules;
use crate::config::raw::{RawCentre, RawLimits};
use crate::config::settings::{Detect, Expire, Mode, OnWithdrawal, Technologies, UrlIdentifiers};
use crate::consent::Categories;
use crate::http::ForwardedFor;
use crate::locale::Locales;
use crate::policy::Unclassified;

/// The top-level settings that all sites share.
pub(super) struct Defaults {
    pub(super) mode: Mode,
    pub(super) unclassified: Unclassified,
    pub(super) forwarded_for: ForwardedFor,
    pub(super) url_identifiers: UrlIdentifiers,
    pub(super) categories: Categories,
    /// The rules of all sites, and the same rules compiled.
    pub(super) rules: Rules,
    pub(super) rule_set: Arc<RuleSet>,
    pub(super) expire: Expire,
    pub(super) detect: Detect,
    pub(super) email_opens: bool,
    /// The filter lists, compiled once for all sites.
    pub(super) lists: Option<FilterLists>,
    pub(super) technologies: Technologies,
    pub(super) limits: RawLimits,
    pub(super) centre: RawCentre,
    /// Path prefix of consentry's own pages.
    pub(super) prefix: String,
    pub(super) on_withdrawal: OnWithdrawal,
    /// The languages, for sites that configure none.
    pub(super) locales: Arc<Locales>,
    /// The directory that relative paths start from.
    pub(super) folder: PathBuf,
    /// Whether each site needs an upstream.
    pub(super) needs_upstreams: bool,
}
