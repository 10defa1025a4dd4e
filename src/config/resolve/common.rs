//! What holds for every site that does not say otherwise.

use crate::catalogue::FilterLists;
use crate::config::catalogue_file::Rules;
use crate::config::document::Document;
use crate::config::raw::{Raw, RawConsent, RawUnclassified};
use crate::config::settings::{Detect, Expire, Mode, Technologies};
use crate::consent::Categories;

/// The config under way, with its problems so far.
pub(super) type Doc<'a, 'text> = &'a mut Document<'text, Raw>;

/// The top level of the config.
pub(super) struct Common {
    pub(super) mode: Option<Mode>,
    pub(super) unclassified: Option<RawUnclassified>,
    pub(super) consent: RawConsent,
    pub(super) categories: Categories,
    pub(super) rules: Rules,
    pub(super) expire: Expire,
    pub(super) detect: Detect,
    pub(super) email_opens: bool,
    /// The filter lists, compiled once for all sites.
    pub(super) lists: Option<FilterLists>,
    pub(super) technologies: Technologies,
    /// What the paths of our own pages begin with.
    pub(super) centre_prefix: String,
}
