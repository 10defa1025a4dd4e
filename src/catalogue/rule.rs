//! Cookie rules and their parts.

use std::sync::Arc;

use super::pattern::Pattern;
use super::purpose::{Purpose, PurposeKind};
use super::requires::Requires;
use crate::consent::Category;

/// The origin of a rule. Later tiers take precedence over earlier ones, regardless of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RulePriority {
    /// A catalogue file: first the built-in ones, then the files in `catalogue`, in order.
    Catalogue(u16),
    /// A `[[cookie]]` or `[[beacon]]` in the config.
    Config,
    /// A `[[site.cookie]]` or `[[site.beacon]]` in the config.
    Site,
    /// The consent cookies. Without them, visitors would be asked again forever.
    Consent,
}

/// The position of a rule in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePosition {
    /// The file. Built-in files begin with `builtin:`.
    pub file: Arc<str>,
    /// The offset of the rule, in bytes.
    pub offset: usize,
}

/// The description of a cookie or beacon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The category.
    pub category: Category,
    /// The vendor.
    pub vendor: Option<Arc<str>>,
    /// The vendor's id on the IAB's Global Vendor List. If a TC string decides, the vendor needs
    /// consent in addition to the category.
    pub tcf_vendor: Option<u16>,
    /// The kind of purpose, which locale files translate.
    pub kind: Option<PurposeKind>,
    /// The purpose in words. It replaces the text of the kind, except for built-in rules.
    pub purpose: Option<Purpose>,
    /// The lifetime, in words.
    pub lifetime: Option<Arc<str>>,
    /// The position of the rule. `None` for a rule that is not from a TOML file.
    pub position: Option<RulePosition>,
}

impl Entry {
    /// An entry of a category without a description.
    pub fn new(category: Category) -> Self {
        Self {
            category,
            vendor: None,
            tcf_vendor: None,
            kind: None,
            purpose: None,
            lifetime: None,
            position: None,
        }
    }
}

/// The scope of a rule's cookies, which deletions need in addition to the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleScope {
    /// `Domain`. `None` for host-only cookies.
    pub domain: Option<Arc<str>>,
    /// `Path`.
    pub path: Arc<str>,
}

/// A cookie rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieRule {
    /// The names that the rule matches.
    pub pattern: Pattern,
    /// The origin of the rule.
    pub tier: RulePriority,
    /// The number among the rules of its catalogue, assigned by the catalogue.
    pub number: usize,
    /// Category and description.
    pub entry: Entry,
    /// The scope of its cookies, if specified.
    pub scope: Option<RuleScope>,
    /// Conditions besides the name. `None` if only the name matters.
    pub requires: Option<Box<Requires>>,
}
