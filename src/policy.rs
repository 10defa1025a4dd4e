//! Consent × catalogue → decision. Pure.
//!
//! Which way it fails, in one table:
//!
//! | what                                     | then                                              |
//! |------------------------------------------|---------------------------------------------------|
//! | the consent cookie cannot be read        | no decision: the site's default                   |
//! | a cookie is strictly necessary           | it passes, whatever the consent                   |
//! | a rule names a vendor of the IAB's list  | where a TC string decides, the vendor needs consent too |
//! | a rule requires attributes, and the `Set-Cookie` has others | the rule does not count            |
//! | no rule knows a cookie, and it is a record of consent | it passes                                |
//! | no rule knows a cookie, or it is nameless| `unclassified`: `presume` passes what is presumed necessary, and what is not only with consent to every category; |
//! |                                          | `block` wants consent to every category; `allow` passes it |
//! | a `Set-Cookie` may delete its cookie     | without consent a deletion of ours passes instead (decided by the filter) |
//! | no rule knows a request as a beacon      | it is forwarded                                   |

use crate::catalogue::{
    Catalogue, CookieRule, Entry, Grounds, Sight, is_consent_record, presumed_sent, presumed_set,
};
use crate::consent::{Category, CategorySet, Consent, Vendors};
use crate::cookie::{Cookies, ResponseTime, SetCookie};

/// What happens to cookies that no rule knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclassified {
    /// They pass if they are presumed strictly necessary; others as with `Block`.
    Presume,
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
    /// Why an unclassified one is presumed strictly necessary, if it is.
    pub presumed: Option<Grounds>,
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
    /// Decides on a cookie that a browser with these cookies may hold, by its name as raw bytes: in doubt it is permitted.
    pub fn held_cookie(
        &self,
        name: &[u8],
        cookies: &Cookies<'_>,
        consent: &Consent,
    ) -> Decision<'_> {
        let sight = Sight::benefit_of_doubt(cookies);
        let rule = self.catalogue.cookie_in(name, &sight);
        self.decide(rule, name, None, consent, || presumed_sent(name, &sight))
    }

    /// Decides on a cookie that a request brings, among the others that `sight` shows.
    pub fn sent_cookie(
        &self,
        (name, value): (&[u8], &[u8]),
        sight: &Sight<'_>,
        consent: &Consent,
    ) -> Decision<'_> {
        let rule = self.catalogue.cookie_in(name, sight);
        self.decide(rule, name, Some(value), consent, || presumed_sent(name, sight))
    }

    /// Decides on a `Set-Cookie` line of the response that `sight` shows, which browsers judge by the clocks of `time`.
    pub fn set_cookie(
        &self,
        cookie: &SetCookie<'_>,
        sight: &Sight<'_>,
        time: impl FnOnce() -> ResponseTime,
        consent: &Consent,
    ) -> Decision<'_> {
        let rule = self.catalogue.set_cookie(cookie, sight);
        let presumed = || presumed_set(cookie, time());
        self.decide(rule, cookie.name, Some(cookie.value), consent, presumed)
    }

    fn decide<'a>(
        &self,
        rule: Option<&'a CookieRule>,
        name: &[u8],
        value: Option<&[u8]>,
        consent: &Consent,
        presumed: impl FnOnce() -> Option<Grounds>,
    ) -> Decision<'a> {
        if let Some(rule) = rule {
            let permitted = self.permits(&rule.entry, consent);
            return Decision { rule: Some(rule), presumed: None, permitted };
        }
        if is_consent_record(name, value) {
            return Decision { rule, presumed: None, permitted: true };
        }
        // Whatever the consent: what passes now must pass after a withdrawal too.
        let presumed = self.presumes().then(presumed).flatten();
        let permitted = presumed.is_some() || self.permits_unclassified(consent.granted);
        Decision { rule, presumed, permitted }
    }

    /// Whether a cookie or a beacon that a rule knows may pass.
    pub fn permits(&self, entry: &Entry, consent: &Consent) -> bool {
        let refused = || {
            let vendor = entry.tcf_vendor.and_then(|id| self.vendors.find(id, entry.category));
            vendor.is_some_and(|vendor| consent.refused_vendors.contains(vendor))
        };
        match entry.category {
            Category::NECESSARY => true,
            category => permits(consent.granted, category) && !refused(),
        }
    }

    /// Whether cookies that no rule knows may be presumed strictly necessary.
    pub fn presumes(&self) -> bool {
        self.unclassified == Unclassified::Presume
    }

    /// Whether cookies and beacons that no rule knows may pass without further evidence.
    pub fn permits_unclassified(&self, granted: CategorySet) -> bool {
        match self.unclassified {
            Unclassified::Presume | Unclassified::Block => {
                self.all.difference(granted) == CategorySet::EMPTY
            }
            Unclassified::Allow => true,
        }
    }
}

/// Whether a category may pass; strictly necessary cannot be switched off by consent.
pub fn permits(granted: CategorySet, category: Category) -> bool {
    category == Category::NECESSARY || granted.contains(category)
}
