//! Consent × catalogue → decision. Pure.
//!
//! Which way it fails, in one table:
//!
//! | what                                     | then                                              |
//! |------------------------------------------|---------------------------------------------------|
//! | the consent cookie cannot be read        | no decision: the site's default                   |
//! | a cookie is strictly necessary           | it passes, whatever the consent                   |
//! | no rule knows a cookie, or it is nameless| `unclassified`: `block` wants consent to every   |
//! |                                          | category, `allow` passes it                       |
//! | a `Set-Cookie` deletes its cookie        | it passes (decided by the filter)                 |
//! | no rule knows a request as a beacon      | it is forwarded                                   |

use crate::catalogue::{Catalogue, CookieRule};
use crate::consent::{Category, CategorySet};

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
}

impl Policy {
    /// Decides on a cookie by its name, as raw bytes.
    pub fn cookie(&self, name: &[u8], granted: CategorySet) -> Decision<'_> {
        let rule = self.catalogue.cookie(name);
        let permitted = match rule {
            Some(rule) => permits(granted, rule.entry.category),
            None => self.permits_unclassified(granted),
        };
        Decision { rule, permitted }
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
