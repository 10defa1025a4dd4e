//! Consent × catalogue → decision. Pure.
//!
//! Which way it fails, in one table:
//!
//! | what                                     | then                                              |
//! |------------------------------------------|---------------------------------------------------|
//! | the consent cookie cannot be read        | no decision: the site's default                   |
//! | a cookie is strictly necessary           | it passes, whatever the consent                   |
//! | a rule names a vendor of the IAB's list  | where a TC string decides, the vendor needs consent too |
//! | no rule knows a cookie, or it is nameless| `unclassified`: `block` wants consent to every   |
//! |                                          | category, `allow` passes it                       |
//! | a `Set-Cookie` may delete its cookie     | without consent a deletion of ours passes instead (decided by the filter) |
//! | no rule knows a request as a beacon      | it is forwarded                                   |

use crate::catalogue::{Catalogue, CookieRule, Entry};
use crate::consent::{Category, CategorySet, Consent, Vendors};

/// What happens to cookies that no rule knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclassified {
    /// They pass for visitors who allowed every category, and so whichever they belong to.
    Block,
    /// They pass.
    Allow,
}

/// What a cookie is, and whether it may pass.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The rule that knows the cookie; `None` for an unclassified one.
    pub rule: Option<&'a CookieRule>,
    /// Whether it passes.
    pub permitted: bool,
}

impl Decision<'_> {
    /// The cookie's category; `None` for an unclassified one.
    pub fn category(&self) -> Option<Category> {
        self.rule.map(|rule| rule.entry.category)
    }
}

/// A site's catalogue and its answer to the unknown.
#[derive(Debug)]
pub struct Policy {
    /// What cookies and beacons are.
    pub catalogue: Catalogue,
    /// What happens to cookies that no rule knows.
    pub unclassified: Unclassified,
    /// Every category of the site.
    pub all: CategorySet,
    /// The vendors that the catalogue's rules name.
    pub vendors: Vendors,
}

impl Policy {
    /// Decides on a cookie by its name, as raw bytes.
    pub fn cookie(&self, name: &[u8], consent: &Consent) -> Decision<'_> {
        let rule = self.catalogue.cookie(name);
        let permitted = match rule {
            Some(rule) => self.permits(&rule.entry, consent),
            None => self.permits_unclassified(consent.granted),
        };
        Decision { rule, permitted }
    }

    /// Whether a cookie or a beacon that a rule knows may pass.
    pub fn permits(&self, entry: &Entry, consent: &Consent) -> bool {
        let refused = || {
            let vendor = entry.tcf_vendor.and_then(|id| self.vendors.find(id));
            vendor.is_some_and(|vendor| consent.refused_vendors.contains(vendor))
        };
        match entry.category {
            Category::NECESSARY => true,
            category => permits(consent.granted, category) && !refused(),
        }
    }

    /// Whether cookies and beacons that no rule knows may pass.
    pub fn permits_unclassified(&self, granted: CategorySet) -> bool {
        match self.unclassified {
            Unclassified::Block => self.all.difference(granted) == CategorySet::EMPTY,
            Unclassified::Allow => true,
        }
    }
}

/// Whether a category may pass; strictly necessary cannot be switched off by consent.
pub fn permits(granted: CategorySet, category: Category) -> bool {
    category == Category::NECESSARY || granted.contains(category)
}
