//! What a rule is made of.

use std::sync::Arc;

use super::pattern::Pattern;
use super::requires::Requires;
use crate::consent::Category;

/// Where a rule comes from; a later tier wins over an earlier one, whatever the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// A catalogue file: the built-in ones first, then the files of `catalogue`, in their order.
    Catalogue(u16),
    /// A `[[cookie]]` or `[[beacon]]` of the config.
    Config,
    /// A `[[site.cookie]]` or `[[site.beacon]]` of the config.
    Site,
    /// The consent cookies themselves: without them the visitor would be asked for ever.
    Consent,
}

/// What a rule says of a cookie or a beacon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The category.
    pub category: Category,
    /// Who uses it.
    pub vendor: Option<Arc<str>>,
    /// The vendor's id on the IAB's Global Vendor List: where a TC string decides, the vendor needs
    /// consent as well as the category.
    pub tcf_vendor: Option<u16>,
    /// What it is for, in a sentence.
    pub purpose: Option<Arc<str>>,
    /// How long it lives, in words.
    pub lifetime: Option<Arc<str>>,
}

/// Where a rule says that its cookies live: what a deletion needs besides the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// `Domain`; `None` for host-only cookies.
    pub domain: Option<Arc<str>>,
    /// `Path`.
    pub path: Arc<str>,
}

/// A rule for cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieRule {
    /// Which names it is for.
    pub pattern: Pattern,
    /// Where it comes from.
    pub tier: Tier,
    /// Its place among the rules of its catalogue, which gives it.
    pub number: usize,
    /// What it says.
    pub entry: Entry,
    /// Where its cookies live, if it says so.
    pub place: Option<RulePlace>,
    /// Conditions besides the name; `None` where the name decides.
    pub requires: Option<Box<Requires>>,
}
